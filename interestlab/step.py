"""One step of training, as an objective sees it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from interestlab.batch import Batch, Candidates


@dataclass(frozen=True)
class Step:
    """Some histories, the items to tell apart, and what the dynamics makes of them.

    Stability: provisional.

    Attributes:
        batch: the histories and their targets.
        candidates: the items to tell apart; every item of the batch and every target is among them.
        event_embeddings: ``[B, T, D]`` the events, as the dynamics reads them.
        run_dynamics: the dynamics, ``(x, dt, mask) -> z [B, T, D]``, or ``[B, T, K, D]`` of K interests; unit length when the
            model scores by cosine. Dropout falls anew at each call.
        objective: what the model learns, the other terms apart.
    """

    batch: Batch
    candidates: Candidates
    event_embeddings: Tensor
    run_dynamics: Callable[[Tensor, Tensor, Tensor], Tensor]
    objective: Callable[["Step"], Tensor]

    @cached_property
    def user_states(self) -> Tensor:
        """``[B, T, D]`` the interest after each event; of several interests, the one nearest to the target.

        Unit length when the model scores by cosine.
        """
        z = self.run_dynamics(self.event_embeddings, self.batch.dt, self.batch.mask)
        return z if z.dim() == 3 else nearest_interest(z, self.candidates, self.batch.targets)

    @cached_property
    def loss(self) -> Tensor:
        """What :attr:`objective` gives, a scalar."""
        return self.objective(self)

    @cached_property
    def target_mask(self) -> Tensor:
        """``[B, T]`` bool, True where a position has a target."""
        return self.batch.targets >= 0

    @cached_property
    def target_index(self) -> Tensor:
        """``[M]`` int64 which candidate is wanted at each of the M known positions."""
        return self.candidates.index_of(self.batch.targets[self.target_mask])

    def with_event_embeddings(self, event_embeddings: Tensor) -> "Step":
        """The same step over other events ``[B, T, D]``, or over the same with other dropout."""
        return replace(self, event_embeddings=event_embeddings)


def nearest_interest(z: Tensor, candidates: Candidates, targets: Tensor) -> Tensor:
    """Of several interests ``[B, T, K, D]`` the one nearest to the target, ``[B, T, D]`` (ComiRec, arXiv 2005.09347).

    Stability: internal.
    """
    wanted = candidates.embeddings[candidates.index_of(targets)]
    best = (z * wanted.unsqueeze(2)).sum(-1).argmax(-1)
    return z.take_along_dim(best[..., None, None], 2).squeeze(2)
