"""Which item comes next, told apart from the whole catalogue or from the items of the batch."""

from typing import Literal

import torch
from torch import Tensor

from interestlab.batch import Batch, Candidates
from interestlab.contract import Objective
from interestlab_objectives.chunked_cross_entropy import chunked_cross_entropy


class NextItem(Objective):
    """Softmax cross-entropy of the next item, averaged over every position that has one.

    The full softmax over the catalogue is what makes plain sequence models strong (Klenitskiy and Vasilev 2023, arXiv
    2309.07602); its logits are made and used chunk by chunk. The candidates of a batch are cheaper where the catalogue
    is too large to encode each step.

    Args:
        candidates: ``catalogue`` tells the next item from every item; ``batch`` from the items of the batch alone.
        temperature: dot products are divided by it. 0.07 suits vectors of unit length; 1.0 suits plain dot products.
        log_q: for ``batch``: subtract the log of the chance that an item is in the batch, so that popular items, which
            are in most batches, are not pushed away more than in the full softmax (Yi et al. 2019, "Sampling-bias-
            corrected neural modeling for large corpus item recommendations"). The catalogue needs no correction.
        chunk_elements: logits that exist at once; 4 Mi floats (16 MiB) are fastest on a CPU, a GPU can take more.

    Raises:
        ValueError: the temperature or the chunk is not positive, or the candidates are neither of the two.
    """

    def __init__(
        self,
        candidates: Literal["catalogue", "batch"] = "catalogue",
        temperature: float = 0.07,
        log_q: bool = True,
        chunk_elements: int = 2**22,
    ) -> None:
        super().__init__()
        if candidates not in ("catalogue", "batch"):
            raise ValueError(f"candidates must be 'catalogue' or 'batch', not {candidates!r}")
        if temperature <= 0 or chunk_elements <= 0:
            raise ValueError(f"temperature ({temperature}) and chunk_elements ({chunk_elements}) must be positive")
        self.candidates = candidates
        self.temperature = temperature
        self.log_q = log_q
        self.chunk_elements = chunk_elements

    def forward(self, z: Tensor, candidates: Candidates, batch: Batch) -> Tensor:
        known = batch.targets >= 0
        bias = None
        if self.log_q and self.candidates == "batch":
            # One event more than the history shows: the target of its last position.
            bias = -log_inclusion(candidates.log_q, batch.mask.sum() + len(batch.users))
        return chunked_cross_entropy(
            z[known],
            candidates.vectors,
            candidates.positions(batch.targets[known]),
            bias,
            scale=1 / self.temperature,
            chunk_elements=self.chunk_elements,
        )


def log_inclusion(log_q: Tensor, events: Tensor | int) -> Tensor:
    """Log of the chance that an item is among ``events`` draws: ``log(1 - (1 - q)^events)``.

    Candidates are unique, so Yi et al.'s ``log q``, which counts an item as often as it was drawn, would correct a
    popular one twice. Where ``q · events`` is small the two differ only by a constant, which a softmax does not see.

    Args:
        log_q: ``[C]`` log of the share of events that each item holds; an item without any (-inf) counts as the rarest.
        events: number of draws.

    Returns:
        ``[C]``, float32, at most 0.
    """
    rarest = torch.where(log_q.isfinite(), log_q, 0.0).amin()
    share = log_q.clamp_min(rarest).exp().clamp_max(1 - 1e-6)
    return torch.log(-torch.expm1(events * torch.log1p(-share)))
