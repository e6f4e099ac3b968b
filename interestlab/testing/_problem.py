"""What the checks feed an objective, in one place: whatever an objective comes to see is added here alone."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.batch import Batch, Candidates
from interestlab.contract import Objective
from interestlab.testing._checks import DIM
from interestlab.testing._trees import map_tensors

LENGTHS = (6, 3, 1, 5)
EVENTS = max(LENGTHS)
ITEMS = 11


class Problem(NamedTuple):
    """What an objective is given: the arguments of its ``forward``, in their order."""

    z: Tensor
    candidates: Candidates
    batch: Batch

    def loss(self, objective: Objective) -> Tensor:
        """What ``objective`` gives for it."""
        return objective(*self)

    @property
    def known(self) -> Tensor:
        """``[B, T]`` bool, True where a position has a target."""
        return self.batch.targets >= 0

    @property
    def wanted(self) -> Tensor:
        """``[M, D]`` the vector of the target of each known position."""
        return self.candidates.vectors[self.candidates.positions(self.batch.targets[self.known])]

    def with_z(self, z: Tensor) -> "Problem":
        """The same with other interests."""
        return self._replace(z=z)

    def of_users(self, order: list[int]) -> "Problem":
        """The same with the users in another order."""
        return self._replace(z=self.z[order], batch=Batch(*(t[order] for t in self.batch)))

    def renamed(self, names: Tensor) -> "Problem":
        """The same with another index for each item, ``names [items]``; candidates stand in the order of theirs."""
        items = names[self.candidates.items]
        order = items.argsort()
        return self._replace(
            candidates=Candidates(self.candidates.vectors[order], items[order], self.candidates.log_q[order]),
            batch=self.batch._replace(
                items=torch.where(self.batch.mask, names[self.batch.items], 0),
                targets=torch.where(self.known, names[self.batch.targets.clamp(min=0)], -1),
            ),
        )

    def padded(self, more: int) -> "Problem":
        """The same with ``more`` places of padding."""

        def longer(t: Tensor, value: float) -> Tensor:
            return torch.cat([t, t.new_full((len(t), more, *t.shape[2:]), value)], 1)

        b = self.batch
        return self._replace(
            z=torch.cat([self.z, torch.randn(len(self.z), more, self.z.shape[2])], 1),
            batch=b._replace(
                items=longer(b.items, 0),
                rows=longer(b.rows, 0),
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
        halved = self.candidates._replace(vectors=self.candidates.vectors.bfloat16())
        return self._replace(z=self.z.bfloat16(), candidates=halved)


def problem(candidates: Literal["batch", "catalogue"], rows: int = 4) -> Problem:
    """Users of unlike history who chose among eleven items; one position between two others has no target."""
    mask = torch.arange(EVENTS) < torch.tensor(LENGTHS[:rows]).unsqueeze(1)
    walk = torch.randint(ITEMS, (rows, EVENTS + 1))
    targets = walk[:, 1:].masked_fill(~mask, -1)
    targets[0, 2] = -1
    batch = Batch(
        users=torch.arange(rows),
        items=walk[:, :-1] * mask,
        rows=torch.arange(rows * EVENTS).view(rows, EVENTS) * mask,
        dt=torch.rand(rows, EVENTS) * 30 * mask,
        mask=mask,
        targets=targets,
        seen=torch.zeros(rows, 0, dtype=torch.int64),
    )
    met = torch.unique(torch.cat([batch.items[mask], targets[targets >= 0]]))
    items = torch.arange(ITEMS) if candidates == "catalogue" else met
    share = torch.rand(ITEMS).add(0.1)
    return Problem(
        z=F.normalize(torch.randn(rows, EVENTS, DIM), dim=-1),
        candidates=Candidates(F.normalize(torch.randn(len(items), DIM), dim=-1), items, (share / share.sum()).log()[items]),
        batch=batch,
    )
