"""The promises of :class:`interestlab.contract.Dynamics`."""

from typing import Any

import torch
from torch import Tensor

from interestlab.contract import Dynamics, State
from interestlab.testing._checks import require, same
from interestlab.testing._part import TrainableChecks, take
from interestlab.testing._trees import leaves, map_tensors, structure

EVENTS = 7
LENGTHS = (7, 3, 1, 5, 6)


class DynamicsChecks(TrainableChecks[Dynamics]):
    """A dynamics under test, on histories of up to seven events.

    Stability: provisional.
    """

    kind = Dynamics

    def example(self, part: Dynamics, rows: int = 4) -> tuple[Tensor, Tensor, Tensor]:
        mask = torch.arange(EVENTS) < torch.tensor(LENGTHS[:rows]).unsqueeze(1)
        x, dt = self.histories(part, rows, EVENTS)
        return x, dt * mask, mask

    def histories(self, part: Dynamics, rows: int, events: int) -> tuple[Tensor, Tensor]:
        """``x [rows, events, D]`` and ``dt [rows, events]``: days of very different length, some of them none."""
        dt = torch.rand(rows, events).pow(4) * 300
        dt[:, ::3] = 0
        return torch.randn(rows, events, part.dim), dt

    def shape(self, part: Dynamics, example: tuple[Any, ...]) -> tuple[int, ...]:
        several = () if part.num_interests == 1 else (part.num_interests,)
        return *example[0].shape[:-1], *several, part.dim

    def half(self, example: tuple[Any, ...]) -> tuple[Any, ...]:
        x, dt, mask = example
        return x.bfloat16(), dt, mask

    def real(self, out: Tensor, example: tuple[Any, ...]) -> Tensor:
        return out.masked_fill(~example[2].view(*example[2].shape, *[1] * (out.ndim - 2)), 0)

    def whole(self, part: Dynamics, rows: int = 3, events: int = EVENTS) -> tuple[Tensor, Tensor, Tensor]:
        """Histories without padding."""
        x, dt = self.histories(part, rows, events)
        return x, dt, torch.ones(rows, events, dtype=torch.bool)

    def steps(self, part: Dynamics, x: Tensor, dt: Tensor) -> tuple[State, Tensor]:
        """The last state and every ``z``, event by event."""
        state, zs = part.init_state(len(x)), []
        for t in range(x.shape[1]):
            state, z = part.step(state, x[:, t], dt[:, t])
            zs.append(z)
        return state, torch.stack(zs, 1)

    def check_causality(self) -> None:
        """``z[:, t]`` depends on no event after ``t``."""
        part = self.moved()
        x, dt, mask = self.whole(part)
        before = self.out(part, (x, dt, mask))
        for t in range(1, EVENTS):
            other_x, other_dt = x.clone(), dt.clone()
            other_x[:, t:] = torch.randn_like(x[:, t:])
            other_dt[:, t:] += 17
            after = self.out(part, (other_x, other_dt, mask))
            same(after[:, :t], before[:, :t], f"a change at event {t} reaches back")
        x.requires_grad_()
        dt.requires_grad_()
        past = self.out(part, (x, dt, mask))[:, :3]
        for name, gradient in zip(
            ("x", "dt"),
            torch.autograd.grad((past * torch.randn_like(past)).sum(), [x, dt], allow_unused=True),
            strict=True,
        ):
            require(gradient is None or not gradient[:, 3:].any(), f"the future of {name} has a gradient")

    def check_padding(self) -> None:
        """The padding changes nothing: not its length, nor what stands in it, nor that there is any."""
        part = self.moved()
        x, dt, mask = self.example(part)
        expected = self.out(part, (x, dt, mask))
        rubbish = torch.where(mask.unsqueeze(-1), x, 100 * torch.randn_like(x))
        same(
            self.out(part, (rubbish, torch.where(mask, dt, 999.0), mask)),
            expected,
            "what stands in the padding matters",
        )
        more = [torch.cat([t, t.new_ones(len(t), 4, *t.shape[2:])], 1) for t in (x, dt)]
        longer = more[0], more[1], torch.cat([mask, mask.new_zeros(len(mask), 4)], 1)
        same(self.out(part, longer)[:, :EVENTS], expected, "the length of the padding matters")
        for row, length in enumerate(mask.sum(1).tolist()):
            alone = self.out(part, tuple(t[row : row + 1, :length] for t in (x, dt, mask)))
            same(alone[0], expected[row, :length], f"a history of {length} events differs without its padding")

    def check_step(self) -> None:
        """``step``, event by event, is ``forward``, also at once (0 days) and after long silences (10,000 days)."""
        part = self.moved()
        x, dt, mask = self.whole(part)
        for days in (dt, torch.zeros_like(dt), dt + 1e4):
            days = torch.cat([torch.zeros_like(days[:, :1]), days[:, 1:]], 1)
            same(self.steps(part, x, days)[1], self.out(part, (x, days, mask)), "step and forward differ")

    def check_readout(self) -> None:
        """``readout`` of a state is the ``z`` of its step, and finite before the first event and after a silence."""
        part = self.moved()
        x, dt, _ = self.whole(part)
        state, zs = self.steps(part, x, dt)
        same(part.readout(state), zs[:, -1], "the interest of a state is not the z of its step", rtol=1e-5, atol=1e-6)
        for still in (part.init_state(len(x)), part.advance(state, torch.full((len(x),), 30.0))):
            found = part.readout(still)
            require(found.shape == zs[:, -1].shape, f"the interest of a state is {list(found.shape)}")
            require(bool(found.isfinite().all()), "the interest of a state is not finite")

    def check_state(self) -> None:
        """A state is made of tensors, batch first, in the module's dtype; a step keeps its structure and alters no state."""
        part = self.moved().double()
        x, dt, _ = self.whole(part)
        state = part.init_state(3)
        kept = map_tensors(torch.clone, state)
        after, _ = part.step(state, x[:, 0].double(), dt[:, 0].double())
        require(structure(after) == structure(state), "a step changes the structure of the state")
        for leaf in [*leaves(state), *leaves(after)]:
            require(isinstance(leaf, Tensor), f"the state holds a {type(leaf).__name__}")
            require(leaf.ndim > 0 and len(leaf) == 3, f"a tensor of the state is {list(leaf.shape)} for 3 users")
            require(not leaf.is_floating_point() or leaf.dtype == torch.float64, f"the state is {leaf.dtype}")
        require(unchanged(state, kept), "a step changes the state that it was given")

    def check_state_rows(self) -> None:
        """Users can be picked out of a state, and go on as they would have."""
        part = self.moved()
        x, dt, _ = self.whole(part)
        state, _ = self.steps(part, x[:, :-1], dt[:, :-1])
        _, together = part.step(state, x[:, -1], dt[:, -1])
        rows = [2, 0]
        _, picked = part.step(take(state, rows), x[rows, -1], dt[rows, -1])
        same(picked, together[rows], "a user picked out of a state goes on otherwise")

    def check_advance(self) -> None:
        """``advance`` gives a finite state of the same structure, and by 0 days the same; the given state stays as it is."""
        part = self.moved()
        x, dt, _ = self.whole(part)
        state, _ = self.steps(part, x, dt)
        kept = map_tensors(torch.clone, state)
        for days in (0.0, 30.0, 1e4):
            advanced = part.advance(state, torch.full((len(x),), days))
            require(structure(advanced) == structure(state), "advance changes the structure of the state")
            require(unchanged(state, kept), "advance changes the state that it was given")
            for leaf, before in zip(leaves(advanced), leaves(kept), strict=True):
                require(leaf.shape == before.shape, "advance changes the shape of the state")
                require(bool(leaf.isfinite().all()), f"an advance of {days} days is not finite")
                if not days:
                    same(leaf, before, "an advance of 0 days moves the state")

    def check_finite(self) -> None:
        """One event, 600 events and 10,000 days between two give finite interests and gradients."""
        part = self.moved()
        for events in (1, 600):
            x, dt, mask = self.whole(part, rows=2, events=events)
            self.out(part, (x, dt, mask))
        x, dt, mask = self.whole(part)
        self.gradients(part, (x, dt + 1e4, mask))

    def check_effect(self) -> None:
        """An event has an effect on the interest right after it."""
        part = self.moved()
        x, dt, mask = self.whole(part)
        other = x.clone()
        other[:, -1] = torch.randn_like(x[:, -1])
        before, after = (self.out(part, (events, dt, mask))[:, -1] for events in (x, other))
        require(not torch.allclose(before, after), "z does not depend on x")


def unchanged(state: State, kept: State) -> bool:
    """Whether a state is as it was when it was kept."""
    return all(torch.equal(leaf, before) for leaf, before in zip(leaves(state), leaves(kept), strict=True))
