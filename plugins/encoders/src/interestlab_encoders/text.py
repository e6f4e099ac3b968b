"""Pretrained text models as encoders. Subclasses differ in which parameters they train."""

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
from interestlab.contract import Encoder, FrozenTrunk, ParameterGroup
from interestlab_encoders.base_weights import BaseWeights
from interestlab_encoders.layer_stack import LayerStack, last_hidden_state
from interestlab_encoders.model_folder import HUB_FILES, resolve_model_folder
from interestlab_encoders.pooling import POOLINGS, detect_pooling, write_pooling_config
from interestlab_encoders.pretrained import load_pretrained, max_positions
from interestlab_encoders.tokenizer import FastTokenizer


class TextEncoder(Encoder):
    """A pretrained text encoder, BERT-like or GPT-like. Subclasses select the trained parameters in :meth:`adapt`.

    The layers below the lowest trained parameter are a constant function of the text. Their output is computed once, without
    dropout, and stored on disk; training and evaluation start from there.

    Only safetensors are loaded, and code that comes with a model is not run.

    Args:
        fields: texts to encode, one stream each; ``+`` joins columns, as in ``item.title+item.brand``.
        model: ``minilm``, the name of a model on the Hugging Face hub, or its folder.
        max_length: maximum number of tokens per text; longer texts are truncated.
        pooling: ``cls``, ``mean`` or ``last`` token, or ``auto``: as the model was trained if its folder specifies it (as for
            sentence-transformers); else the last token for causal models and the mean for others.
        normalize: scale the vectors to unit length.
        cache: storage type of the output of the constant layers, 4 or 2 bytes times the model's width per token; ``off``
            computes it again in each step.
        whiten: map the vectors to the width of the model by PCA and scale each component to variance 1 over the distinct
            values of the data, instead of by a learnt layer.

    Raises:
        ValueError: the model cannot be found or loaded, or ``max_length`` exceeds its maximum.
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
        whiten: bool = False,
    ) -> None:
        super().__init__()
        self.folder = resolve_model_folder(model)
        self.fields = list(fields)
        self.tokenizer = FastTokenizer(self.folder, max_length)
        self.preprocess_key = self.tokenizer.key
        pretrained_model = load_pretrained(self.folder)
        limit = min(self.tokenizer.limit, max_positions(pretrained_model) or self.tokenizer.limit)
        if max_length > limit:
            raise ValueError(f"max_length={max_length} is more than the {limit} tokens that '{model}' supports")
        self.pooling = detect_pooling(self.folder, pretrained_model.config) if pooling == "auto" else pooling
        self.pool = POOLINGS[self.pooling]
        self.normalize, self.cache, self.whiten = normalize, cache, whiten
        self.out_dim = int(pretrained_model.config.hidden_size)
        self.base, self.layer_stack = BaseWeights(pretrained_model, model), LayerStack(pretrained_model)
        # A loaded model is in evaluation mode, which would disable dropout in training.
        self.pretrained_model: nn.Module = pretrained_model.train()

    def adapt(self, pretrained_model: PreTrainedModel) -> nn.Module:
        """Freeze, insert or wrap modules to select the trained parameters. Called once, by :meth:`build`.

        Args:
            pretrained_model: the pretrained model, all of whose parameters are trainable.

        Returns:
            the model to use.
        """
        return pretrained_model

    def build(self, cardinalities: Mapping[str, int], dim: int) -> None:
        self.pretrained_model = self.adapt(self.pretrained_model)  # type: ignore[arg-type]
        self.base.exclude_from_state_dict(self)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if mode:
            self.layer_stack.set_eval_below(self.num_constant_layers())
        return self

    def num_constant_layers(self) -> int:
        """Return the number of lowest layers that are unchanged since loading, together with everything below them.

        Returns:
            number of layers.
        """
        return self.layer_stack.count_constant_layers(self.base.changeable_parameters(self.pretrained_model))

    def parameter_groups(self) -> Mapping[ParameterGroup, Iterable[nn.Parameter]]:
        pretrained = {id(p) for p in self.base.parameters}
        return {
            "pretrained": self.base.parameters,
            "peft": [p for p in self.parameters() if id(p) not in pretrained],
        }

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        return self.tokenizer(values)

    def frozen_trunk(self) -> FrozenTrunk | None:
        depth = self.num_constant_layers()
        if not depth:
            return None

        @torch.no_grad()
        def forward(inputs: Inputs) -> Inputs:
            return Inputs(self.layer_stack.hidden_states(inputs, depth)[-1], inputs.lengths)

        key = f"{self.base.sha256}-{depth}-{self.layer_stack.model.dtype}"
        return FrozenTrunk(forward, key, (self.out_dim,), cache_dtype=self.cache)

    def forward_from_trunk(self, inputs: Inputs) -> Tensor:
        states = Inputs(inputs.values.to(self.layer_stack.model.dtype), inputs.lengths)
        return self.pool_tokens(self.layer_stack.run_from(states, self.num_constant_layers()), inputs)

    def forward(self, inputs: Inputs) -> Tensor:
        if trunk := self.frozen_trunk():
            return self.forward_from_trunk(trunk.forward(inputs))
        return self.pool_tokens(last_hidden_state(self.pretrained_model, inputs.values.long(), inputs), inputs)

    def pool_tokens(self, hidden: Tensor, inputs: Inputs) -> Tensor:
        """Pool token vectors to text vectors, and normalise them if the option is set.

        Args:
            hidden: ``[U, L, D]``.
            inputs: the lengths of the texts.

        Returns:
            ``[U, D]``.
        """
        vectors = self.pool(hidden, inputs)
        return F.normalize(vectors, dim=-1) if self.normalize else vectors

    def export(self, folder: Path, *, merged: bool) -> None:
        if not merged:
            raise ValueError(f"{type(self).__name__.lower()} has no separate adapter; export the full model with --merged")
        self.write_model(self.layer_stack.model, folder)

    def write_model(self, model: PreTrainedModel, folder: Path) -> None:
        """Write a model with its tokenizer and pooling, so that it can be the ``model`` of another encoder.

        Args:
            model: a plain model of transformers.
            folder: an existing folder.
        """
        for name in HUB_FILES:
            for file in self.folder.glob(name):
                if file.suffix != ".safetensors" and not file.name.endswith("index.json"):
                    target = folder / file.relative_to(self.folder)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target)
        model.save_pretrained(folder)
        if detect_pooling(folder, model.config) != self.pooling:
            write_pooling_config(folder, self.pooling, self.out_dim)


class Frozen(TextEncoder):
    """A frozen pretrained text encoder; its vectors are computed once and stored on disk."""

    def adapt(self, pretrained_model: PreTrainedModel) -> nn.Module:
        frozen: nn.Module = pretrained_model.requires_grad_(False)
        return frozen

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.pretrained_model.eval()
        return self

    @torch.no_grad()
    def forward(self, inputs: Inputs) -> Tensor:
        return super().forward(inputs)


class Full(TextEncoder):
    """A pretrained text encoder whose weights are fine-tuned, all of them or those of the top layers.

    Args:
        layers: number of top layers to train, or ``all`` including the embeddings.
        dropout: probability of every dropout in the model; None keeps the model's own.
        gradient_checkpointing: store only the inputs of the layers and recompute the rest in the backward pass: a third
            more time for much less memory.
        kwargs: arguments of every text encoder.
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

    def adapt(self, pretrained_model: PreTrainedModel) -> nn.Module:
        if self.layers != "all":
            pretrained_model.requires_grad_(False)
            for module in [*self.layer_stack.top_layers(self.layers), *self.layer_stack.top]:
                module.requires_grad_(True)
        if self.dropout is not None:
            for module in pretrained_model.modules():
                if isinstance(module, nn.Dropout):
                    module.p = self.dropout
        if self.gradient_checkpointing:
            # transformers renamed the method in 5.23 and removes the old name in 6
            renamed = getattr(pretrained_model, "activation_checkpointing_enable", None)
            enable = renamed or pretrained_model.gradient_checkpointing_enable
            # re-entrant checkpointing gives no gradient if the inputs, here token ids, need none
            enable({"use_reentrant": False})
        return pretrained_model
