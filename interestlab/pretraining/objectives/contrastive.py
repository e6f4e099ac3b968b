"""The contrastive objective."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.batch import Inputs
from interestlab.pretraining.base import TextModel
from interestlab.pretraining.batches import Collate, pad
from interestlab.pretraining.objectives.base import Measured, PretrainObjective
from interestlab.pretraining.settings import Contrast


class PairBatch(NamedTuple):
    """Pairs of texts.

    Attributes:
        first: ``[B, L]`` tokens of the first texts, and lengths ``[B]``.
        second: the same of the second texts.
        texts: ``[B, 2]`` int64 indices of the texts.
    """

    first: Inputs
    second: Inputs
    texts: Tensor


class Contrastive(PretrainObjective):
    """In-batch InfoNCE: find the other text of a pair among those of the batch, in both directions.

    Also known as multiple negatives ranking. The texts of a pair that occurs again in the batch are no negatives.

    Source: van den Oord et al. 2018, arXiv 1807.03748.

    Args:
        base: the model to train.
        settings: the temperature.
    """

    has_perplexity = False

    def __init__(self, base: TextModel, settings: Contrast) -> None:
        super().__init__(base)
        self.settings = settings
        self.trained = base.pretrained_model

    def collate(self, seed: int) -> Collate:
        def make(samples: np.ndarray, columns: list[list[np.ndarray]]) -> PairBatch:
            first, second = columns
            return PairBatch(pad(first, self.padding), pad(second, self.padding), torch.from_numpy(samples))

        return make

    def forward(self, batch: PairBatch) -> Measured:
        first, second = (self.embed(inputs) for inputs in (batch.first, batch.second))
        scores = first.float() @ second.float().T / self.settings.temperature
        anchors, positives = batch.texts.T
        rows = scores.masked_fill(false_negatives(anchors, positives), -torch.inf)
        columns = scores.T.masked_fill(false_negatives(positives, anchors), -torch.inf)
        labels = torch.arange(len(scores), device=scores.device)
        loss = (F.cross_entropy(rows, labels) + F.cross_entropy(columns, labels)) / 2
        return Measured(loss, torch.tensor(len(scores)), (rows.argmax(1) == labels).sum())

    def embed(self, inputs: Inputs) -> Tensor:
        """Return ``[B, D]`` vectors of unit length.

        Args:
            inputs: tokens and lengths.
        """
        out = self.trained(input_ids=inputs.values, attention_mask=inputs.mask.long(), return_dict=True)
        return F.normalize(self.base.pool(out.last_hidden_state, inputs), dim=-1)


def false_negatives(anchors: Tensor, candidates: Tensor) -> Tensor:
    """Return ``[B, B]`` bool, which candidates are no negatives of an anchor, its own positive on the diagonal excluded.

    Args:
        anchors: ``[B]`` index of the text of each anchor.
        candidates: ``[B]`` index of the text of each anchor's positive.
    """
    same = (candidates == candidates[:, None]) | (candidates == anchors[:, None])
    return same & ~torch.eye(len(anchors), dtype=torch.bool, device=anchors.device)
