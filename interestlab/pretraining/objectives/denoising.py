"""The denoising auto-encoder."""

from typing import Any, NamedTuple

import numpy as np
from torch import nn
from torch.nn import functional as F

from interestlab.batch import Inputs
from interestlab.errors import DataError
from interestlab.pretraining.base import TextModel, quiet
from interestlab.pretraining.batches import Collate, pad
from interestlab.pretraining.objectives.base import Measured, PretrainObjective
from interestlab.pretraining.settings import Denoising


class NoisyBatch(NamedTuple):
    """Texts with deleted tokens, and the texts.

    Attributes:
        noisy: ``[B, L']`` the tokens that are left, and lengths ``[B]``.
        inputs: ``[B, L]`` all tokens, and lengths ``[B]``.
    """

    noisy: Inputs
    inputs: Inputs


class DenoisingAutoEncoder(PretrainObjective):
    """Rebuild a text from the one vector of the text with deleted tokens (TSDAE; Wang et al. 2021, arXiv 2104.06979).

    The decoder is a copy of the model that shares its weights, with attention to the vector in addition. The
    paper deletes words; tokens are deleted here, since Chinese has no spaces between words. Unknown tokens are not predicted.

    Args:
        base: the model to train.
        settings: the share of deleted tokens.

    Raises:
        DataError: the type of model has no decoder with attention to a vector.
    """

    def __init__(self, base: TextModel, settings: Denoising) -> None:
        super().__init__(base)
        self.settings = settings
        self.trained = base.pretrained_model
        self.decoder = make_decoder(self.trained)
        shared = {id(p) for p in self.trained.parameters()}
        self.new_parameters = [p for p in self.decoder.parameters() if id(p) not in shared]
        self.unknown = -1 if self.tokenizer.unk_token_id is None else self.tokenizer.unk_token_id

    def collate(self, seed: int) -> Collate:
        rng = np.random.default_rng(seed)
        special = np.array(self.tokenizer.all_special_ids)

        def delete(row: np.ndarray) -> np.ndarray:
            kept = (rng.random(len(row)) >= self.settings.deletion) | np.isin(row, special[special != self.unknown])
            words = np.flatnonzero(~np.isin(row, special))
            if len(words) and not kept[words].any():
                kept[rng.choice(words)] = True
            return row[kept] if kept.any() else row

        def make(_: np.ndarray, columns: list[list[np.ndarray]]) -> NoisyBatch:
            (rows,) = columns
            return NoisyBatch(pad([delete(row) for row in rows], self.padding), pad(rows, self.padding))

        return make

    def forward(self, batch: NoisyBatch) -> Measured:
        noisy, inputs = batch
        out = self.trained(input_ids=noisy.values, attention_mask=noisy.mask.long(), return_dict=True)
        vectors = self.base.pool(out.last_hidden_state, noisy)[:, None]
        mask = inputs.mask
        logits = self.decoder(
            input_ids=inputs.values[:, :-1],
            attention_mask=mask[:, :-1].long(),
            encoder_hidden_states=vectors,
            use_cache=False,
            return_dict=True,
        ).logits
        labels = inputs.values[:, 1:]
        predicted = mask[:, 1:] & (labels != self.unknown)
        logits, labels, count = logits[predicted], labels[predicted], predicted.sum()
        loss = F.cross_entropy(logits.float(), labels, reduction="sum") / count.clamp_min(1)
        return Measured(loss, count, (logits.argmax(-1) == labels).sum())


def make_decoder(encoder: Any) -> Any:
    """Return a language model that shares the weights of an encoder and also attends to vectors.

    Args:
        encoder: a model of transformers without a head.

    Raises:
        DataError: the type of model has no such decoder.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM

    config = type(encoder.config).from_dict(encoder.config.to_dict() | {"is_decoder": True, "add_cross_attention": True})
    refusal = DataError(
        f"denoising needs a model of the type of BERT, whose decoder attends to a vector; {config.model_type} has none."
    )
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise refusal
    with quiet():
        decoder = AutoModelForCausalLM.from_config(config)
    body = decoder.base_model
    if not any("crossattention" in name for name, _ in body.named_modules()):
        raise refusal
    theirs = dict(body.named_modules())
    for name, module in encoder.named_modules():
        for key, parameter in module.named_parameters(recurse=False):
            if not isinstance(getattr(theirs.get(name), key, None), nn.Parameter):
                raise refusal
            setattr(theirs[name], key, parameter)
    decoder.tie_weights()
    return decoder
