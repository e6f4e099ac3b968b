"""Any Hugging Face text model as an encoder: one class for each answer to "what of it is trained?"."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from interestlab.batch import Inputs
from interestlab.contract import Encoder
from interestlab_encoders.pooling import POOLINGS, choose
from interestlab_encoders.pretrained import load, positions
from interestlab_encoders.tokens import Tokens
from interestlab_encoders.weights import locate


class TextEncoder(Encoder):
    """A pretrained text model, BERT-like or GPT-like. Subclasses say in :meth:`adapt` what of it is trained.

    Only safetensors are read, and no code that comes with a model is run.

    Args:
        fields: texts to read, one stream each; ``+`` joins columns, as in ``item.title+item.brand``.
        model: ``minilm``, or a model's name on the Hugging Face hub, or its folder.
        max_length: most tokens read of a text; the rest is cut off.
        pooling: how one vector comes from those of the tokens. ``auto``: as the model was trained, where its folder
            says so (as sentence-transformers' do); else the last token of causal models, and the mean of others.
        normalize: scale the vectors to unit length.

    Raises:
        ValueError: the model is not found or cannot be read, or ``max_length`` is longer than it can read.
    """

    prepare_key: str

    def __init__(
        self,
        fields: Sequence[str] = ("item.title",),
        model: str = "minilm",
        max_length: int = 64,
        pooling: Literal["auto", "cls", "mean", "last"] = "auto",
        normalize: bool = False,
    ) -> None:
        super().__init__()
        folder = locate(model)
        self.fields = list(fields)
        self.tokens = Tokens(folder, max_length)
        self.prepare_key = self.tokens.key
        backbone = load(folder)
        limit = min(self.tokens.limit, positions(backbone) or self.tokens.limit)
        if max_length > limit:
            raise ValueError(f"max_length={max_length} is more than the {limit} tokens that '{model}' can read")
        self.pool = POOLINGS[choose(folder, backbone.config) if pooling == "auto" else pooling]
        self.normalize = normalize
        self.out_dim = int(backbone.config.hidden_size)
        # A loaded model is in evaluation mode; dropout belongs to training.
        self.backbone = backbone.train()

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        """Decide what is trained: freeze, insert or wrap. Called once, by :meth:`build`; returns the backbone to use."""
        return backbone

    def build(self, sizes: Mapping[str, int], dim: int) -> None:
        self.backbone = self.adapt(self.backbone)  # type: ignore[arg-type]

    def prepare(self, values: Sequence[str]) -> list[np.ndarray]:
        return self.tokens(values)

    def forward(self, inputs: Inputs) -> Tensor:
        hidden = self.backbone(
            input_ids=inputs.values.long(), attention_mask=inputs.mask.long(), return_dict=True
        ).last_hidden_state
        vectors = self.pool(hidden, inputs)
        return F.normalize(vectors, dim=-1) if self.normalize else vectors


class Frozen(TextEncoder):
    """A text model as it was trained: its vectors are constants, computed once and kept on disk."""

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        frozen: nn.Module = backbone.requires_grad_(False)
        return frozen.eval()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.backbone.eval()
        return self

    @torch.no_grad()
    def forward(self, inputs: Inputs) -> Tensor:
        return super().forward(inputs)


class Full(TextEncoder):
    """A text model whose every weight is fine-tuned.

    Args:
        dropout: probability of every dropout in the model; None keeps the model's own.
        gradient_checkpointing: keep only the layers' inputs and compute the rest again going backward: a third more
            time for much less memory.
        kwargs: as for every text encoder.
    """

    def __init__(self, dropout: float | None = None, gradient_checkpointing: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dropout = dropout
        self.gradient_checkpointing = gradient_checkpointing

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        if self.dropout is not None:
            for module in backbone.modules():
                if isinstance(module, nn.Dropout):
                    module.p = self.dropout
        if self.gradient_checkpointing:
            # transformers renamed it in 5.23, and drops the old name in 6
            renamed = getattr(backbone, "activation_checkpointing_enable", None)
            enable = renamed or backbone.gradient_checkpointing_enable
            # the re-entrant kind gives no gradient when the inputs, here token ids, need none
            enable({"use_reentrant": False})
        return backbone
