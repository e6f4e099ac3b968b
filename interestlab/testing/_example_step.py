"""Example inputs for the checks of an objective."""

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


class ExampleStep(NamedTuple):
    """A step as plain tensors.

    ``z`` is a separate tensor rather than the output of :func:`run_dynamics`, so that it can be changed on its own.
    """

    z: Tensor
    x: Tensor
    candidates: Candidates
    batch: Batch

    def loss(self, objective: Objective) -> Tensor:
        """Return the loss of ``objective``; the main objective of an auxiliary term is :func:`softmax`."""
        step = Step(self.batch, self.candidates, self.x, run_dynamics, softmax if objective.auxiliary else objective)
        step.__dict__["user_states"] = self.z
        return objective(step)

    @property
    def target_mask(self) -> Tensor:
        """``[B, T]`` bool, True where a position has a target."""
        return self.batch.targets >= 0

    @property
    def target_vectors(self) -> Tensor:
        """``[M, D]`` vector of the target at each position with a target."""
        return self.candidates.embeddings[self.candidates.index_of(self.batch.targets[self.target_mask])]

    def with_z(self, z: Tensor) -> "ExampleStep":
        """Replace the user states."""
        return self._replace(z=z)

    def permute_users(self, order: list[int]) -> "ExampleStep":
        """Permute the users."""
        return self._replace(z=self.z[order], x=self.x[order], batch=Batch(*(t[order] for t in self.batch)))

    def rename_items(self, new_indices: Tensor) -> "ExampleStep":
        """Give item i the index ``new_indices[i]``, and sort the candidates by their new indices."""
        candidates = self.candidates
        items = new_indices[candidates.items]
        order = items.argsort()
        fields = {field: codes[order] for field, codes in candidates.field_codes.items()}
        return self._replace(
            candidates=candidates._replace(
                embeddings=candidates.embeddings[order],
                items=items[order],
                log_inclusion=candidates.log_inclusion[order],
                field_codes=fields,
            ),
            batch=self.batch._replace(
                items=torch.where(self.batch.mask, new_indices[self.batch.items], 0),
                targets=torch.where(self.target_mask, new_indices[self.batch.targets.clamp(min=0)], -1),
            ),
        )

    def pad(self, more: int) -> "ExampleStep":
        """Append ``more`` positions of padding."""

        def append(t: Tensor, value: float) -> Tensor:
            return torch.cat([t, t.new_full((len(t), more, *t.shape[2:]), value)], 1)

        def append_noise(t: Tensor) -> Tensor:
            return torch.cat([t, torch.randn(len(t), more, t.shape[2])], 1)

        b = self.batch
        return self._replace(
            z=append_noise(self.z),
            x=append_noise(self.x),
            batch=b._replace(
                items=append(b.items, 0),
                event_index=append(b.event_index, 0),
                dt=append(b.dt, 0),
                mask=append(b.mask, False),
                targets=append(b.targets, -1),
            ),
        )

    def cast(self, change: Callable[[Tensor], Tensor]) -> "ExampleStep":
        """Apply ``change`` to every floating-point tensor."""
        changed: ExampleStep = map_tensors(lambda t: change(t) if t.is_floating_point() else t, self)
        return changed

    def half(self) -> "ExampleStep":
        """Convert to the dtypes that other parts produce under bfloat16 autocast."""
        halved = self.candidates._replace(embeddings=self.candidates.embeddings.bfloat16())
        return self._replace(z=self.z.bfloat16(), x=self.x.bfloat16(), candidates=halved)


def run_dynamics(x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
    """Run a dynamics without weights: a mean of the events so far with decaying weights and dropout."""
    days = dt.cumsum(1)
    weight = (-(days.unsqueeze(2) - days.unsqueeze(1)).abs() / 30).exp().tril() * mask.unsqueeze(1)
    return F.normalize(weight.to(x.dtype) @ F.dropout(x, 0.2), dim=-1)


def softmax(step: Step) -> Tensor:
    """Compute the main objective of auxiliary terms: a softmax without weights."""
    logits = step.user_states[step.target_mask] @ step.candidates.embeddings.T
    return F.cross_entropy(logits.float() if logits.dtype == torch.bfloat16 else logits, step.target_index)


def example_step(objective: Objective, rows: int = 4) -> ExampleStep:
    """Return histories of different lengths over eleven items; one position in the middle has no target."""
    mask = torch.arange(EVENTS) < torch.tensor(LENGTHS[:rows]).unsqueeze(1)
    history = torch.randint(ITEMS, (rows, EVENTS + 1))
    targets = history[:, 1:].masked_fill(~mask, -1)
    targets[0, 2] = -1
    batch = Batch(
        users=torch.arange(rows),
        items=history[:, :-1] * mask,
        event_index=torch.arange(rows * EVENTS).view(rows, EVENTS) * mask,
        dt=torch.rand(rows, EVENTS) * 3 * mask,
        mask=mask,
        targets=targets,
        history_items=torch.zeros(rows, 0, dtype=torch.int64),
    )
    batch_items = torch.unique(
        torch.cat([batch.items[mask], targets[targets >= 0], torch.randint(ITEMS, (objective.num_sampled,))])
    )
    items = torch.arange(ITEMS) if objective.candidates == "catalogue" else batch_items
    inclusion = torch.ones(ITEMS) if objective.candidates == "catalogue" else torch.rand(ITEMS).add(0.1).clamp(max=1.0)
    return ExampleStep(
        z=F.normalize(torch.randn(rows, EVENTS, DIM), dim=-1),
        x=torch.randn(rows, EVENTS, DIM),
        candidates=Candidates(
            F.normalize(torch.randn(len(items), DIM), dim=-1),
            items,
            inclusion.log()[items],
            ITEMS,
            dict.fromkeys(objective.fields, items % 4 - 1),
        ),
        batch=batch,
    )
