"""The checks of :class:`interestlab.contract.Dynamics`."""

from typing import Any

import torch
from torch import Tensor

from interestlab.contract import Dynamics, State
from interestlab.testing._checks import require, require_equal
from interestlab.testing._part import TrainableChecks, take
from interestlab.testing._trees import leaves, map_tensors, structure

EVENTS = 7
LENGTHS = (7, 3, 1, 5, 6)


class DynamicsChecks(TrainableChecks[Dynamics]):
    """A dynamics under test, with histories of up to seven events.

    Stability: provisional.
    """

    kind = Dynamics

    def example(self, part: Dynamics, rows: int = 4) -> tuple[Tensor, Tensor, Tensor]:
        mask = torch.arange(EVENTS) < torch.tensor(LENGTHS[:rows]).unsqueeze(1)
        x, dt = self.histories(part, rows, EVENTS)
        return x, dt * mask, mask

    def histories(self, part: Dynamics, rows: int, events: int) -> tuple[Tensor, Tensor]:
        """Return ``x [rows, events, D]`` and ``dt [rows, events]`` with times from 0 to 300 days."""
        dt = torch.rand(rows, events).pow(4) * 300
        dt[:, ::3] = 0
        return torch.randn(rows, events, part.dim), dt

    def shape(self, part: Dynamics, example: tuple[Any, ...]) -> tuple[int, ...]:
        interests_axis = () if part.num_interests == 1 else (part.num_interests,)
        return *example[0].shape[:-1], *interests_axis, part.dim

    def half(self, example: tuple[Any, ...]) -> tuple[Any, ...]:
        x, dt, mask = example
        return x.bfloat16(), dt, mask

    def mask_output(self, out: Tensor, example: tuple[Any, ...]) -> Tensor:
        return out.masked_fill(~example[2].view(*example[2].shape, *[1] * (out.ndim - 2)), 0)

    def unpadded(self, part: Dynamics, rows: int = 3, events: int = EVENTS) -> tuple[Tensor, Tensor, Tensor]:
        """Return histories without padding."""
        x, dt = self.histories(part, rows, events)
        return x, dt, torch.ones(rows, events, dtype=torch.bool)

    def run_steps(self, part: Dynamics, x: Tensor, dt: Tensor) -> tuple[State, Tensor]:
        """Call ``step`` event by event; return the last state and all ``z``."""
        state, zs = part.init_state(len(x)), []
        for t in range(x.shape[1]):
            state, z = part.step(state, x[:, t], dt[:, t])
            zs.append(z)
        return state, torch.stack(zs, 1)

    def check_causality(self) -> None:
        """``z[:, t]`` does not depend on events after ``t``."""
        part = self.perturbed()
        x, dt, mask = self.unpadded(part)
        before = self.out(part, (x, dt, mask))
        for t in range(1, EVENTS):
            other_x, other_dt = x.clone(), dt.clone()
            other_x[:, t:] = torch.randn_like(x[:, t:])
            other_dt[:, t:] += 17
            after = self.out(part, (other_x, other_dt, mask))
            require_equal(after[:, :t], before[:, :t], f"a change of event {t} affects earlier user states")
        x.requires_grad_()
        dt.requires_grad_()
        past = self.out(part, (x, dt, mask))[:, :3]
        for name, gradient in zip(
            ("x", "dt"),
            torch.autograd.grad((past * torch.randn_like(past)).sum(), [x, dt], allow_unused=True),
            strict=True,
        ):
            require(gradient is None or not gradient[:, 3:].any(), f"a user state has a gradient with respect to future {name}")

    def check_padding(self) -> None:
        """The padding has no effect: neither its length nor its values."""
        part = self.perturbed()
        x, dt, mask = self.example(part)
        expected = self.out(part, (x, dt, mask))
        noise = torch.where(mask.unsqueeze(-1), x, 100 * torch.randn_like(x))
        require_equal(
            self.out(part, (noise, torch.where(mask, dt, 999.0), mask)),
            expected,
            "the user states depend on values in the padding",
        )
        more = [torch.cat([t, t.new_ones(len(t), 4, *t.shape[2:])], 1) for t in (x, dt)]
        longer = more[0], more[1], torch.cat([mask, mask.new_zeros(len(mask), 4)], 1)
        require_equal(self.out(part, longer)[:, :EVENTS], expected, "the user states depend on the length of the padding")
        for row, length in enumerate(mask.sum(1).tolist()):
            alone = self.out(part, tuple(t[row : row + 1, :length] for t in (x, dt, mask)))
            require_equal(
                alone[0], expected[row, :length], f"a history of {length} events gives other user states without its padding"
            )

    def check_step(self) -> None:
        """``step``, called event by event, equals ``forward``, also for gaps of 0 and of 10,000 days."""
        part = self.perturbed()
        x, dt, mask = self.unpadded(part)
        for days in (dt, torch.zeros_like(dt), dt + 1e4):
            days = torch.cat([torch.zeros_like(days[:, :1]), days[:, 1:]], 1)
            require_equal(self.run_steps(part, x, days)[1], self.out(part, (x, days, mask)), "step and forward differ")

    def check_readout(self) -> None:
        """``readout`` of a state equals the ``z`` of its step, and is finite before the first event and after ``advance``."""
        part = self.perturbed()
        x, dt, _ = self.unpadded(part)
        state, zs = self.run_steps(part, x, dt)
        require_equal(part.readout(state), zs[:, -1], "readout of a state differs from the z of its step", rtol=1e-5, atol=1e-6)
        for other_state in (part.init_state(len(x)), part.advance(state, torch.full((len(x),), 30.0))):
            z = part.readout(other_state)
            require(z.shape == zs[:, -1].shape, f"readout returns shape {list(z.shape)}; it must be {list(zs[:, -1].shape)}")
            require(bool(z.isfinite().all()), "readout returns NaN or infinity")

    def check_state(self) -> None:
        """A state consists of tensors, batch first, in the module's dtype; ``step`` keeps its structure and copies it."""
        part = self.perturbed().double()
        x, dt, _ = self.unpadded(part)
        state = part.init_state(3)
        copy = map_tensors(torch.clone, state)
        after, _ = part.step(state, x[:, 0].double(), dt[:, 0].double())
        require(structure(after) == structure(state), "step changes the structure of the state")
        for leaf in [*leaves(state), *leaves(after)]:
            require(isinstance(leaf, Tensor), f"the state contains a {type(leaf).__name__}; it may contain only tensors")
            require(
                leaf.ndim > 0 and len(leaf) == 3,
                f"a tensor of the state has shape {list(leaf.shape)} for 3 users; the batch axis must be first",
            )
            require(
                not leaf.is_floating_point() or leaf.dtype == torch.float64,
                f"the state is {leaf.dtype}; it must be float64 for float64 parameters",
            )
        require(is_unchanged(state, copy), "step modifies its input state; return a new state")

    def check_state_selection(self) -> None:
        """Rows selected from a state continue with the same results."""
        part = self.perturbed()
        x, dt, _ = self.unpadded(part)
        state, _ = self.run_steps(part, x[:, :-1], dt[:, :-1])
        _, expected = part.step(state, x[:, -1], dt[:, -1])
        rows = [2, 0]
        _, selected = part.step(take(state, rows), x[rows, -1], dt[rows, -1])
        require_equal(selected, expected[rows], "selecting rows of a state changes the following user states")

    def check_advance(self) -> None:
        """``advance`` returns a finite state of the same structure, equal for 0 days, and does not modify its input."""
        part = self.perturbed()
        x, dt, _ = self.unpadded(part)
        state, _ = self.run_steps(part, x, dt)
        copy = map_tensors(torch.clone, state)
        for days in (0.0, 30.0, 1e4):
            advanced = part.advance(state, torch.full((len(x),), days))
            require(structure(advanced) == structure(state), "advance changes the structure of the state")
            require(is_unchanged(state, copy), "advance modifies its input state; return a new state")
            for leaf, before in zip(leaves(advanced), leaves(copy), strict=True):
                require(leaf.shape == before.shape, "advance changes the shape of the state")
                require(bool(leaf.isfinite().all()), f"advance by {days} days returns NaN or infinity")
                if not days:
                    require_equal(leaf, before, "advance by 0 days changes the state")

    def check_extreme_inputs(self) -> None:
        """One event, 600 events and gaps of 10,000 days give finite user states and gradients."""
        part = self.perturbed()
        for events in (1, 600):
            x, dt, mask = self.unpadded(part, rows=2, events=events)
            self.out(part, (x, dt, mask))
        x, dt, mask = self.unpadded(part)
        self.gradients(part, (x, dt + 1e4, mask))

    def check_effect(self) -> None:
        """An event affects the user state after it."""
        part = self.perturbed()
        x, dt, mask = self.unpadded(part)
        other = x.clone()
        other[:, -1] = torch.randn_like(x[:, -1])
        before, after = (self.out(part, (events, dt, mask))[:, -1] for events in (x, other))
        require(not torch.allclose(before, after), "the user state after an event does not depend on the event")


def is_unchanged(state: State, copy: State) -> bool:
    """Return whether a state equals an earlier copy."""
    return all(torch.equal(leaf, before) for leaf, before in zip(leaves(state), leaves(copy), strict=True))
