"""One training step, as an objective reads it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from interestlab.batch import Batch, Candidates


@dataclass(frozen=True)
class Step:
    """Histories, candidates, and the user states that the dynamics computes.

    Stability: provisional.

    Attributes:
        batch: the histories and their targets.
        candidates: the items to rank; every item of the batch and every target is among them.
        event_embeddings: ``[B, T, D]`` embeddings of the events, as the dynamics reads them.
        run_dynamics: maps ``event_embeddings, dt, mask`` to user states ``[B, T, D]``, or ``[B, T, K, D]`` with K interests; of
            unit length if the model compares by cosine. Each call draws new dropout masks.
        objective: the main term of the loss.
    """

    batch: Batch
    candidates: Candidates
    event_embeddings: Tensor
    run_dynamics: Callable[[Tensor, Tensor, Tensor], Tensor]
    objective: Callable[["Step"], Tensor]

    @cached_property
    def user_states(self) -> Tensor:
        """``[B, T, D]`` user state after each event; with several interests, the one nearest to the target.

        Of unit length if the model compares by cosine.
        """
        z = self.run_dynamics(self.event_embeddings, self.batch.dt, self.batch.mask)
        return z if z.dim() == 3 else nearest_interest(z, self.candidates, self.batch.targets)

    @cached_property
    def loss(self) -> Tensor:
        """Value of :attr:`objective`, a scalar."""
        return self.objective(self)

    @cached_property
    def target_mask(self) -> Tensor:
        """``[B, T]`` bool, True where a position has a target."""
        return self.batch.targets >= 0

    @cached_property
    def target_index(self) -> Tensor:
        """``[M]`` int64 position of the target among the candidates, for each of the M positions with a target."""
        return self.candidates.index_of(self.batch.targets[self.target_mask])

    def with_event_embeddings(self, event_embeddings: Tensor) -> "Step":
        """Return the same step with other event embeddings; with the same ones, only the dropout masks differ.

        Args:
            event_embeddings: ``[B, T, D]``.
        """
        return replace(self, event_embeddings=event_embeddings)


def nearest_interest(z: Tensor, candidates: Candidates, targets: Tensor) -> Tensor:
    """Select, at each position, the interest nearest to the target (ComiRec, arXiv 2005.09347).

    Stability: internal.

    Args:
        z: ``[B, T, K, D]`` interests.
        candidates: the candidates.
        targets: ``[B, T]`` int64 target items; any interest is returned for a position without a target.

    Returns:
        ``[B, T, D]``
    """
    target_embeddings = candidates.embeddings[candidates.index_of(targets)]
    best = (z * target_embeddings.unsqueeze(2)).sum(-1).argmax(-1)
    return z.take_along_dim(best[..., None, None], 2).squeeze(2)
