"""Any Hugging Face text model as an encoder: one class for each answer to "what of it is trained?"."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from interestlab.batch import Inputs
from interestlab.contract import Encoder, FrozenTrunk
from interestlab_encoders.base import Base
from interestlab_encoders.chain import Chain, read
from interestlab_encoders.pooling import POOLINGS, choose, write
from interestlab_encoders.pretrained import load, positions
from interestlab_encoders.tokens import Tokens
from interestlab_encoders.weights import HUB_FILES, locate


class TextEncoder(Encoder):
    """A pretrained text model, BERT-like or GPT-like. Subclasses say in :meth:`adapt` what of it is trained.

    The layers under the lowest trained parameter are a constant function of a text. What they make of it is computed once,
    without dropout, and kept on disk; training and evaluation start from there.

    Only safetensors are read, and no code that comes with a model is run.

    Args:
        fields: texts to read, one stream each; ``+`` joins columns, as in ``item.title+item.brand``.
        model: ``minilm``, or a model's name on the Hugging Face hub, or its folder.
        max_length: most tokens read of a text; the rest is cut off.
        pooling: how one vector comes from those of the tokens. ``auto``: as the model was trained, where its folder
            says so (as sentence-transformers' do); else the last token of causal models, and the mean of others.
        normalize: scale the vectors to unit length.
        cache: how the constant layers' output is kept, 4 or 2 bytes times the model's width a token; ``off`` computes it
            anew in each step.

    Raises:
        ValueError: the model is not found or cannot be read, or ``max_length`` is longer than it can read.
    """

    preprocess_key: str

    def __init__(
        self,
        fields: Sequence[str] = ("item.title",),
        model: str = "minilm",
        max_length: int = 64,
        pooling: Literal["auto", "cls", "mean", "last"] = "auto",
        normalize: bool = False,
        cache: Literal["float32", "bfloat16", "off"] = "float32",
    ) -> None:
        super().__init__()
        self.folder = locate(model)
        self.fields = list(fields)
        self.tokens = Tokens(self.folder, max_length)
        self.preprocess_key = self.tokens.key
        backbone = load(self.folder)
        limit = min(self.tokens.limit, positions(backbone) or self.tokens.limit)
        if max_length > limit:
            raise ValueError(f"max_length={max_length} is more than the {limit} tokens that '{model}' can read")
        self.pooling = choose(self.folder, backbone.config) if pooling == "auto" else pooling
        self.pool = POOLINGS[self.pooling]
        self.normalize, self.cache = normalize, cache
        self.out_dim = int(backbone.config.hidden_size)
        self.base, self.chain = Base(backbone, model), Chain(backbone)
        # A loaded model is in evaluation mode; dropout belongs to training.
        self.backbone: nn.Module = backbone.train()

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        """Decide what is trained: freeze, insert or wrap. Called once, by :meth:`build`; returns the backbone to use."""
        return backbone

    def build(self, cardinalities: Mapping[str, int], dim: int) -> None:
        self.backbone = self.adapt(self.backbone)  # type: ignore[arg-type]
        self.base.leave_out_of(self)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if mode:
            self.chain.rest(self.depth())
        return self

    def depth(self) -> int:
        """How many of the lowest layers are, with all that is under them, as they were loaded."""
        return self.chain.constant(self.base.changing(self.backbone))

    def parameter_groups(self) -> Mapping[Literal["pretrained", "peft"], Iterable[nn.Parameter]]:
        pretrained = {id(p) for p in self.base.parameters}
        return {
            "pretrained": self.base.parameters,
            "peft": [p for p in self.parameters() if id(p) not in pretrained],
        }

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        return self.tokens(values)

    def frozen_trunk(self) -> FrozenTrunk | None:
        depth = self.depth()
        if not depth:
            return None

        @torch.no_grad()
        def forward(inputs: Inputs) -> Inputs:
            return Inputs(self.chain.states(inputs, depth)[-1], inputs.lengths)

        key = f"{self.base.sha256}-{depth}-{self.chain.model.dtype}"
        return FrozenTrunk(forward, key, (self.out_dim,), cache_dtype=self.cache)

    def forward_from_trunk(self, inputs: Inputs) -> Tensor:
        depth = self.depth()
        states = Inputs(inputs.values.to(self.chain.model.dtype), inputs.lengths)
        return self.pooled(self.chain.resume(states, depth), inputs)

    def forward(self, inputs: Inputs) -> Tensor:
        if trunk := self.frozen_trunk():
            return self.forward_from_trunk(trunk.forward(inputs))
        return self.pooled(read(self.backbone, inputs.values.long(), inputs), inputs)

    def pooled(self, hidden: Tensor, inputs: Inputs) -> Tensor:
        """``[U, L, D]`` a vector a token -> ``[U, D]`` a vector a text."""
        vectors = self.pool(hidden, inputs)
        return F.normalize(vectors, dim=-1) if self.normalize else vectors

    def export(self, folder: Path, *, merged: bool) -> None:
        if not merged:
            raise ValueError(f"{type(self).__name__} has no adapter beside its model; export it merged")
        self.write_model(self.chain.model, folder)

    def write_model(self, model: PreTrainedModel, folder: Path) -> None:
        """Write a model with its tokenizer and pooling, so that it can be the ``model`` of another run."""
        for name in HUB_FILES:
            for file in self.folder.glob(name):
                if file.suffix != ".safetensors" and not file.name.endswith("index.json"):
                    target = folder / file.relative_to(self.folder)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target)
        model.save_pretrained(folder)
        if choose(folder, model.config) != self.pooling:
            write(folder, self.pooling, self.out_dim)


class Frozen(TextEncoder):
    """A text model as it was trained: its vectors are constants, computed once and kept on disk."""

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        frozen: nn.Module = backbone.requires_grad_(False)
        return frozen

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.backbone.eval()
        return self

    @torch.no_grad()
    def forward(self, inputs: Inputs) -> Tensor:
        return super().forward(inputs)


class Full(TextEncoder):
    """A text model whose every weight is fine-tuned, or those of its top layers.

    Args:
        layers: how many of the top layers are trained, or ``all`` of the model with its embeddings.
        dropout: probability of every dropout in what is trained; None keeps the model's own.
        gradient_checkpointing: keep only the layers' inputs and compute the rest again going backward: a third more
            time for much less memory.
        kwargs: as for every text encoder.
    """

    def __init__(
        self,
        layers: int | Literal["all"] = "all",
        dropout: float | None = None,
        gradient_checkpointing: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.layers = layers
        self.dropout = dropout
        self.gradient_checkpointing = gradient_checkpointing

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        if self.layers != "all":
            backbone.requires_grad_(False)
            for module in [*self.chain.choose(self.layers), *self.chain.top]:
                module.requires_grad_(True)
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
