"""Masked language modelling."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.batch import Inputs
from interestlab.errors import DataError
from interestlab.pretraining.base import TextModel, load_masked_lm
from interestlab.pretraining.batches import Collate, pad
from interestlab.pretraining.objectives.base import Measured, PretrainObjective
from interestlab.pretraining.settings import Masking

IGNORED = -100
"""Label of a token that is not predicted, as in transformers."""


class MaskedBatch(NamedTuple):
    """Texts with masked tokens.

    Attributes:
        inputs: ``[B, L]`` tokens, some of them replaced, and lengths ``[B]``.
        labels: ``[B, L]`` the original token where it is to be predicted, else -100.
    """

    inputs: Inputs
    labels: Tensor


class MaskedLanguageModel(PretrainObjective):
    """Predict masked tokens from the others (Devlin et al. 2019, arXiv 1810.04805).

    Unknown tokens are never predicted: a text of many unknown characters would seem easy.

    Args:
        base: the model to train.
        settings: the share of masked tokens.

    Raises:
        DataError: the type of model has no masked language model, or its tokenizer no mask token.
    """

    def __init__(self, base: TextModel, settings: Masking) -> None:
        super().__init__(base)
        self.settings = settings
        self.model, self.new_parameters = load_masked_lm(base.folder)
        self.trained = self.model.base_model
        if self.tokenizer.mask_token is None:
            raise DataError(f"the tokenizer of {base.folder} has no mask token; use another objective.")
        self._predicted: Tensor | None = None
        self.trained.register_forward_hook(self._select)

    def collate(self, seed: int) -> Collate:
        from transformers import DataCollatorForLanguageModeling

        collator = DataCollatorForLanguageModeling(
            self.tokenizer, mlm_probability=self.settings.probability, seed=seed, return_tensors="pt"
        )
        special = np.array(self.tokenizer.all_special_ids)

        def make(_: np.ndarray, columns: list[list[np.ndarray]]) -> MaskedBatch:
            (rows,) = columns
            inputs = pad(rows, self.padding)
            ignored = torch.from_numpy(np.isin(inputs.values.numpy(), special))
            if collator.generator is None:
                collator.create_rng()
            tokens, labels = collator.torch_mask_tokens(inputs.values, ignored)
            return MaskedBatch(Inputs(tokens, inputs.lengths), labels)

        return make

    def forward(self, batch: MaskedBatch) -> Measured:
        predicted = batch.labels != IGNORED
        self._predicted = predicted
        mask = batch.inputs.mask.long()
        logits = self.model(input_ids=batch.inputs.values, attention_mask=mask, return_dict=True).logits[0]
        labels = batch.labels[predicted]
        count = predicted.sum()
        loss = F.cross_entropy(logits.float(), labels, reduction="sum") / count.clamp_min(1)
        return Measured(loss, count, (logits.argmax(-1) == labels).sum())

    def _select(self, _module: Any, _args: Any, out: Any) -> Any:
        """Keep the predicted positions alone: the head costs as much per token as the rest of a small model."""
        out.last_hidden_state = out.last_hidden_state[self._predicted][None]
        return out

    def model_to_save(self) -> Any:
        return self.model
