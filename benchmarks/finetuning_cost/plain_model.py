"""The plain model: a pretrained text model with PEFT, and a transformer over the history."""

from copy import deepcopy
from typing import cast

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel

from benchmarks.harness.reference import DIM, LEARNING_RATE, TEMPERATURE, transformer
from interestlab.batch import Batch, Inputs
from interestlab.training.lightning_module import InterestModel
from interestlab.training.logq import log_inclusion
from interestlab.training.optimizers import Optim, make_optimizer
from interestlab_encoders.model_folder import resolve_model_folder
from interestlab_objectives.chunked_cross_entropy import chunked_cross_entropy


class PlainModel(nn.Module):
    """The model of the framework, written by hand.

    Args:
        method: name of the encoder.
        layers: number of top layers with LoRA; None: all.
    """

    def __init__(self, method: str, layers: int | None = None) -> None:
        super().__init__()
        text_model = AutoModel.from_pretrained(resolve_model_folder("minilm"), add_pooling_layer=False).float().train()
        self.pretrained_weights = list(text_model.parameters())
        self.is_frozen = method in ("frozen", "side")
        if self.is_frozen:
            text_model.requires_grad_(False).eval()
        if method == "lora":
            count = text_model.config.num_hidden_layers
            top = None if layers is None else list(range(count - layers, count))
            config = LoraConfig(r=8, lora_alpha=16, target_modules=["query", "value"], layers_to_transform=top)
            text_model = get_peft_model(text_model, config)
        self.text_model = text_model
        self.side_blocks: nn.ModuleList | None = None
        self.projection = nn.Linear(text_model.config.hidden_size, DIM)
        self.dynamics = transformer()

    @property
    def trains_encoder(self) -> bool:
        """Whether any weight below the projection is trained."""
        return self.side_blocks is not None or any(p.requires_grad for p in self.text_model.parameters())

    def copy_weights(self, model: InterestModel) -> "PlainModel":
        """Copy the weights of the framework's model, and return this one on its device."""
        encoder = model.backbone.encoders["main"]
        self.text_model.load_state_dict(cast(nn.Module, encoder.pretrained_model).state_dict())
        self.projection.load_state_dict(model.backbone.projections["main"].state_dict())
        self.dynamics = deepcopy(model.backbone.dynamics)
        if hasattr(encoder, "gates"):
            self.side_blocks = cast(nn.ModuleList, deepcopy(encoder.blocks))
            self.gates = cast(nn.Parameter, deepcopy(encoder.gates))
        return self.to(model.device)

    def encode(self, inputs: Inputs) -> Tensor:
        """Return ``[N, w]`` one vector per title."""
        tokens = {"input_ids": inputs.values.long(), "attention_mask": inputs.mask.long()}
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_frozen):
            output = self.text_model(**tokens, output_hidden_states=self.side_blocks is not None)
        if self.side_blocks is None:
            return mean_over_tokens(output.last_hidden_state, inputs.mask)
        means = [mean_over_tokens(state, inputs.mask) for state in output.hidden_states]
        states = [F.layer_norm(state, state.shape[-1:]) for state in means]
        h = self.side_blocks[0](states[0])
        for gate, state, block in zip(self.gates.sigmoid(), states[1:], self.side_blocks[1:], strict=True):
            h = block(gate * state + (1 - gate) * h)
        return cast(Tensor, h)

    def loss(self, encoded: Tensor, batch: Batch, items: Tensor, has_title: Tensor, log_q: Tensor) -> Tensor:
        """Return the loss of a batch.

        Args:
            encoded: ``[E + B, w]`` encoded titles of the batch's occurrences.
            batch: the batch.
            items: ``[E + B]`` its occurrences.
            has_title: ``[E + B]`` which of them have a title; the others get a zero vector.
            log_q: ``[N]`` log of each item's share of the training events.
        """
        vectors = (self.projection(encoded) * has_title[:, None]).to(log_q.dtype)
        events = vectors.new_zeros(*batch.mask.shape, DIM)
        events[batch.mask] = vectors[: int(batch.mask.sum())]
        states = self.dynamics(events, batch.dt, batch.mask)
        distinct, first = np.unique(items.cpu().numpy(), return_index=True)
        candidates, first_row = (torch.from_numpy(a).to(items.device) for a in (distinct, first))
        is_target = batch.targets >= 0
        target_index = torch.searchsorted(candidates, batch.targets[is_target])
        draws = batch.mask.sum() + len(batch.users)
        correction = log_inclusion(log_q[candidates], draws, num_sampled=0, num_items=len(log_q))
        queries, keys = F.normalize(states[is_target], dim=-1), F.normalize(vectors[first_row], dim=-1)
        return chunked_cross_entropy(queries, keys, target_index, -correction, scale=1 / TEMPERATURE)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return the framework's optimiser with its learning rates."""
        modules = [self.text_model, self.side_blocks or nn.ModuleList()]
        encoder = [p for module in modules for p in module.parameters()]
        encoder += [self.gates] if self.side_blocks is not None else []
        pretrained = {id(p) for p in self.pretrained_weights}
        groups = {
            "pretrained": [p for p in encoder if id(p) in pretrained],
            "peft": [p for p in encoder if id(p) not in pretrained],
        }
        return make_optimizer(Optim(lr=LEARNING_RATE), self.parameters(), groups, fused=True)[0]


def mean_over_tokens(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return ``[N, w]`` the mean of ``[N, L, w]`` over the real tokens."""
    weights = mask[..., None].to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)
