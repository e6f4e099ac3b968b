"""What the checks feed an objective, in one place: whatever an objective comes to see is added here alone."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.batch import Batch, Candidates
from interestlab.contract import Objective
from interestlab.step import Step
from interestlab.testing._checks import DIM
from interestlab.testing._trees import map_tensors

LENGTHS = (6, 3, 1, 5)
EVENTS = max(LENGTHS)
ITEMS = 11


class Problem(NamedTuple):
    """A step, taken apart into plain tensors.

    ``z`` is given, and not what :func:`follow` makes of ``x``, so that it can be moved alone.
    """

    z: Tensor
    x: Tensor
    candidates: Candidates
    batch: Batch

    def loss(self, objective: Objective) -> Tensor:
        """What ``objective`` gives for it, beside :func:`softmax` where it is a term that is added."""
        step = Step(self.batch, self.candidates, self.x, follow, softmax if objective.auxiliary else objective)
        step.__dict__["user_states"] = self.z
        return objective(step)

    @property
    def known(self) -> Tensor:
        """``[B, T]`` bool, True where a position has a target."""
        return self.batch.targets >= 0

    @property
    def wanted(self) -> Tensor:
        """``[M, D]`` the vector of the target of each known position."""
        return self.candidates.embeddings[self.candidates.index_of(self.batch.targets[self.known])]

    def with_z(self, z: Tensor) -> "Problem":
        """The same with other interests."""
        return self._replace(z=z)

    def of_users(self, order: list[int]) -> "Problem":
        """The same with the users in another order."""
        return self._replace(z=self.z[order], x=self.x[order], batch=Batch(*(t[order] for t in self.batch)))

    def renamed(self, names: Tensor) -> "Problem":
        """The same with another index for each item, ``names [items]``; candidates stand in the order of theirs."""
        given = self.candidates
        items = names[given.items]
        order = items.argsort()
        fields = {field: codes[order] for field, codes in given.field_codes.items()}
        return self._replace(
            candidates=given._replace(
                embeddings=given.embeddings[order],
                items=items[order],
                log_inclusion=given.log_inclusion[order],
                field_codes=fields,
            ),
            batch=self.batch._replace(
                items=torch.where(self.batch.mask, names[self.batch.items], 0),
                targets=torch.where(self.known, names[self.batch.targets.clamp(min=0)], -1),
            ),
        )

    def padded(self, more: int) -> "Problem":
        """The same with ``more`` places of padding."""

        def longer(t: Tensor, value: float) -> Tensor:
            return torch.cat([t, t.new_full((len(t), more, *t.shape[2:]), value)], 1)

        def noise(t: Tensor) -> Tensor:
            return torch.cat([t, torch.randn(len(t), more, t.shape[2])], 1)

        b = self.batch
        return self._replace(
            z=noise(self.z),
            x=noise(self.x),
            batch=b._replace(
                items=longer(b.items, 0),
                event_index=longer(b.event_index, 0),
                dt=longer(b.dt, 0),
                mask=longer(b.mask, False),
                targets=longer(b.targets, -1),
            ),
        )

    def cast(self, change: Callable[[Tensor], Tensor]) -> "Problem":
        """The same with every tensor of floating point changed."""
        changed: Problem = map_tensors(lambda t: change(t) if t.is_floating_point() else t, self)
        return changed

    def half(self) -> "Problem":
        """The same as other parts hand it on under bfloat16 autocast."""
        halved = self.candidates._replace(embeddings=self.candidates.embeddings.bfloat16())
        return self._replace(z=self.z.bfloat16(), x=self.x.bfloat16(), candidates=halved)


def follow(x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
    """A dynamics without weights: the mean of the events so far, the recent ones heavier, under dropout."""
    days = dt.cumsum(1)
    weight = (-(days.unsqueeze(2) - days.unsqueeze(1)).abs() / 30).exp().tril() * mask.unsqueeze(1)
    return F.normalize(weight.to(x.dtype) @ F.dropout(x, 0.2), dim=-1)


def softmax(step: Step) -> Tensor:
    """An objective without weights, for the terms that are added to one."""
    logits = step.user_states[step.target_mask] @ step.candidates.embeddings.T
    return F.cross_entropy(logits.float() if logits.dtype == torch.bfloat16 else logits, step.target_index)


def problem(objective: Objective, rows: int = 4) -> Problem:
    """Users of unlike history who chose among eleven items; one position between two others has no target."""
    mask = torch.arange(EVENTS) < torch.tensor(LENGTHS[:rows]).unsqueeze(1)
    walk = torch.randint(ITEMS, (rows, EVENTS + 1))
    targets = walk[:, 1:].masked_fill(~mask, -1)
    targets[0, 2] = -1
    batch = Batch(
        users=torch.arange(rows),
        items=walk[:, :-1] * mask,
        event_index=torch.arange(rows * EVENTS).view(rows, EVENTS) * mask,
        dt=torch.rand(rows, EVENTS) * 3 * mask,
        mask=mask,
        targets=targets,
        history_items=torch.zeros(rows, 0, dtype=torch.int64),
    )
    met = torch.unique(torch.cat([batch.items[mask], targets[targets >= 0], torch.randint(ITEMS, (objective.num_sampled,))]))
    items = torch.arange(ITEMS) if objective.candidates == "catalogue" else met
    chance = torch.ones(ITEMS) if objective.candidates == "catalogue" else torch.rand(ITEMS).add(0.1).clamp(max=1.0)
    return Problem(
        z=F.normalize(torch.randn(rows, EVENTS, DIM), dim=-1),
        x=torch.randn(rows, EVENTS, DIM),
        candidates=Candidates(
            F.normalize(torch.randn(len(items), DIM), dim=-1),
            items,
            chance.log()[items],
            ITEMS,
            dict.fromkeys(objective.fields, items % 4 - 1),
        ),
        batch=batch,
    )
