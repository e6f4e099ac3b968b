"""The frozen model: a trained backbone with its catalogue encoded, ready to be evaluated, queried, exported or served.

The fusion head of events and the dynamics run in float64. A float32 result depends in its last bits on the shape of the
batch, which would move one rank in some thousand; in float64 no rank depends on how users were batched.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Self, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from interestlab.batch import Batch
from interestlab.contract import Dynamics, FusionHead, Part, State
from interestlab.metrics import top_k_items
from interestlab.model.backbone import Encoded, InterestBackbone, Similarity, fuse, normalize_for_similarity
from interestlab.model.plugin_spec import build_plugin
from interestlab.model.streams import Stream

CHUNK_ITEMS = 65_536
"""Number of items that are fused in one call."""

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class FrozenModel(nn.Module):
    """A trained model that reads events and scores the catalogue. It needs tensors and plain values only.

    Args:
        dynamics: trained dynamics, in the dtype of ``items``.
        items: ``[N, D]`` embedding of each item.
        similarity: how a user state and an item are compared.
        event_fusion: trained fusion head of events, in the dtype of ``items``; None if events have no streams of their own.
        event_streams: names of the event streams that the fusion head reads besides the item.
        values: by event stream, ``[size, D]`` embedding of each distinct value; needed by :meth:`embed_events` alone.
    """

    items: Tensor
    catalogue: Tensor
    """``[N, D]`` the items, ready to be compared."""

    def __init__(
        self,
        dynamics: Dynamics,
        items: Tensor,
        similarity: Similarity,
        event_fusion: FusionHead | None = None,
        event_streams: Sequence[str] = (),
        values: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.dynamics, self.event_fusion, self.similarity = dynamics, event_fusion, similarity
        self.event_streams = list(event_streams)
        self.register_buffer("items", items)
        self.register_buffer("catalogue", normalize_for_similarity(items, similarity), persistent=False)
        self.values = nn.Module()
        for name, table in (values or {}).items():
            self.values.register_buffer(name, table)
        self.requires_grad_(False)
        self.eval()

    # ---- build from a spec

    @property
    def spec(self) -> dict[str, Any]:
        """The plain values that, with the state dict, rebuild the model."""
        return {
            "dynamics": self.dynamics.spec,
            "event_fusion": self.event_fusion and self.event_fusion.spec,
            "event_streams": list(self.event_streams),
            "similarity": self.similarity,
        }

    @classmethod
    def from_state_dict(cls, spec: Mapping[str, Any], state: Mapping[str, Tensor]) -> Self:
        """Rebuild a model from :attr:`spec` and ``state_dict()``.

        Args:
            spec: plain values.
            state: tensors by name.

        Raises:
            PluginError: a plugin that the spec names is not installed.
        """
        items = state["items"]
        dynamics = cast_like(build_plugin(spec["dynamics"], Dynamics), items)
        fusion = None
        if spec["event_fusion"]:
            fusion = build_plugin(spec["event_fusion"], FusionHead)
            fusion.build(["item", *spec["event_streams"]])
            fusion = cast_like(fusion, items)
        tables = {name.removeprefix("values."): table for name, table in state.items() if name.startswith("values.")}
        frozen = cls(dynamics, items, spec["similarity"], fusion, spec["event_streams"], tables)
        frozen.load_state_dict(state)
        return frozen

    # ---- events

    def embed_events(self, items: Tensor, codes: Mapping[str, Tensor]) -> Tensor:
        """Embed events.

        Args:
            items: ``[...]`` int64 index of the item of each event.
            codes: by event stream, ``[...]`` int64 code of the event's value, -1 where it has none.

        Returns:
            ``[..., D]`` as the dynamics reads them.
        """
        streams = {name: look_up(cast(Tensor, getattr(self.values, name)), rows) for name, rows in codes.items()}
        return self.fuse_events(self.items[items], streams)

    def fuse_events(self, items: Tensor, streams: Encoded) -> Tensor:
        """Fuse items with the streams of their events.

        Args:
            items: ``[..., D]`` embedding of the item of each event.
            streams: by event stream, embeddings ``[..., D]`` of any dtype and whether there is a value ``[...]``.

        Returns:
            ``[..., D]`` as the dynamics reads them.
        """
        if self.event_fusion is None:
            return items
        present = torch.ones(items.shape[:-1], dtype=torch.bool, device=items.device)
        cast_streams = {name: (vectors.to(items.dtype), there) for name, (vectors, there) in streams.items()}
        return fuse(self.event_fusion, {"item": (items, present)} | cast_streams)

    # ---- user states

    def forward(self, event_embeddings: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        """Compute the user state after each event of complete histories.

        Args:
            event_embeddings: ``[B, T, D]``.
            dt: ``[B, T]`` days since the previous event.
            mask: ``[B, T]`` bool, True where an event is real.

        Returns:
            ``[B, T, D]`` the user state after each event, or ``[B, T, K, D]``.
        """
        states: Tensor = self.dynamics(event_embeddings, dt, mask)
        return states

    def last_user_state(self, batch: Batch, codes: Mapping[str, Tensor]) -> Tensor:
        """Return the user state after the last event of each history.

        Args:
            batch: the histories.
            codes: by event stream, ``[B, T]`` int64 code of the event's value, -1 where it has none.

        Returns:
            ``[B, D]``, or ``[B, K, D]``, ready to be compared.
        """
        events = self.embed_events(batch.items, codes)
        states = self(events, batch.dt.to(events.dtype), batch.mask)
        return self.normalize(states[torch.arange(len(states), device=states.device), batch.mask.sum(1) - 1])

    def init_state(self, batch_size: int) -> State:
        """Return the state before the first event.

        Args:
            batch_size: number of users B.
        """
        return self.dynamics.init_state(batch_size)

    def step(self, state: State, event_embedding: Tensor, dt: Tensor) -> tuple[State, Tensor]:
        """Process one event of each user.

        Args:
            state: state of B users before the event; it is not changed.
            event_embedding: ``[B, D]``.
            dt: ``[B]`` days since the previous event.

        Returns:
            The state after the event, and the user state ``[B, D]`` or ``[B, K, D]``.
        """
        return self.dynamics.step(state, event_embedding, dt)

    def advance(self, state: State, dt: Tensor) -> State:
        """Let time pass without an event.

        Args:
            state: state of B users; it is not changed.
            dt: ``[B]`` days.
        """
        return self.dynamics.advance(state, dt)

    @property
    def advances(self) -> bool:
        """Whether the user state changes between events."""
        return type(self.dynamics).advance is not Dynamics.advance

    def readout(self, state: State) -> Tensor:
        """Return the user state that follows from a state.

        Args:
            state: state of B users.

        Returns:
            ``[B, D]``, or ``[B, K, D]``.
        """
        return self.dynamics.readout(state)

    # ---- compare

    def normalize(self, x: Tensor) -> Tensor:
        """Return user states or items ready to be compared.

        Args:
            x: ``[..., D]``.
        """
        return normalize_for_similarity(x, self.similarity)

    def score(self, user_states: Tensor, items: Tensor | None = None) -> Tensor:
        """Score items for users.

        Args:
            user_states: ``[B, D]``, or ``[B, K, D]`` for K interests per user (the best counts), ready to be compared.
            items: ``[M, D]`` ready to be compared; None for the whole catalogue.

        Returns:
            ``[B, M]``
        """
        scores = user_states @ (self.catalogue if items is None else items).T
        return scores.amax(1) if user_states.ndim == 3 else scores

    def top_k(self, user_states: Tensor, excluded: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return the items of highest score; equal scores in the order of the catalogue.

        Args:
            user_states: ``[B, D]``, or ``[B, K, D]``, ready to be compared.
            excluded: ``[B, S]`` int64 items that are left out, padded with -1.
            k: number of items.

        Returns:
            Items ``[B, k]`` int64 and their scores ``[B, k]`` float32, minus infinity for an excluded item.
        """
        return top_k_items(user_states, self.catalogue, excluded, k)


# ---- freezing


@torch.no_grad()
def freeze(backbone: InterestBackbone, values: Mapping[str, Tensor] | None = None) -> FrozenModel:
    """Encode the catalogue, and copy the modules that compute user states.

    Args:
        backbone: the trained backbone, with its fields attached; it is not changed.
        values: by stream, the embeddings of all values as :func:`embed_all_values` returns them; None: of all streams. The
            item streams are needed. An event stream without them cannot be read by :meth:`FrozenModel.embed_events`.

    Returns:
        The frozen model, on the backbone's device.
    """
    values = embed_all_values(backbone, backbone.streams) if values is None else values
    chunks = []
    for first in range(0, backbone.num_items, CHUNK_ITEMS):
        rows = slice(first, first + CHUNK_ITEMS)
        codes = {s.name: to_tensor(backbone.features[s.name].codes[rows], backbone.device) for s in backbone.item_streams}
        chunks.append(backbone.fuse_items({name: look_up(values[name], code) for name, code in codes.items()}))
    items = to_float64(torch.cat(chunks))
    dynamics, fusion = backbone.dynamics, dict(backbone.fusion).get("event")
    return FrozenModel(
        cast_like(detached_copy(dynamics), items),
        items,
        backbone.similarity,
        cast(FusionHead, cast_like(detached_copy(fusion), items)) if fusion is not None else None,
        [s.name for s in backbone.event_streams],
        {s.name: values[s.name] for s in backbone.event_streams if s.name in values},
    )


@torch.no_grad()
def embed_all_values(backbone: InterestBackbone, streams: Sequence[Stream]) -> dict[str, Tensor]:
    """Embed every distinct value of some streams.

    Args:
        backbone: the backbone, with its fields attached.
        streams: the streams.

    Returns:
        By stream, ``[size, D]``.
    """
    return {s.name: backbone.embed_values(s, np.arange(backbone.features[s.name].size)) for s in streams}


def look_up(table: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Look up embeddings by their codes.

    Args:
        table: ``[size, D]``.
        codes: ``[...]`` int64, -1 where there is no value.

    Returns:
        ``[..., D]``, zero where there is no value, and ``[...]`` bool, whether there is one.
    """
    present = codes >= 0
    return torch.where(present.unsqueeze(-1), table[codes.clamp(min=0)], table.new_zeros(())), present


def to_tensor(codes: np.ndarray, device: torch.device) -> Tensor:
    """Copy codes to a device, as int64.

    Args:
        codes: ``[...]`` integers.
        device: the target.
    """
    return torch.from_numpy(codes.astype(np.int64)).to(device)


def to_float64(x: Tensor) -> Tensor:
    """Convert a tensor to float64; on a device without float64 it stays as it is.

    Args:
        x: tensor of any shape.
    """
    return x if x.device.type == "mps" else x.double()


def cast_like(module: ModuleT, like: Tensor) -> ModuleT:
    """Convert the floating-point weights of a module to float64 if a tensor is.

    Args:
        module: it is changed.
        like: the tensor.
    """
    return module.double() if like.dtype == torch.float64 else module


def detached_copy(module: ModuleT) -> ModuleT:
    """Copy a module without the trainer that Lightning sets on each plugin, and without gradients.

    Args:
        module: it is not changed.
    """
    memo: dict[int, Any] = {}
    for part in module.modules():
        if isinstance(part, Part):
            memo[id(part._trainer)] = None
        # A tensor with a history, such as a loss that a plugin remembers, cannot be copied as it is.
        memo |= {id(v): v.detach() for v in vars(part).values() if isinstance(v, Tensor) and not v.is_leaf}
    return deepcopy(module, memo)
