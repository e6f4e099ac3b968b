"""A negative control: the same model over encoders that know nothing."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from interestlab.drift.model.trajectory import View
from interestlab.model.embedding_cache import chunks, on
from interestlab.model.evaluation import to_float64
from interestlab.model.streams import Stream
from interestlab.training.lightning_module import transposed


@torch.no_grad()
def random_encoder(seen: View, seed: int) -> View:
    """The view with encoders, projections and fusion of random weights; the dynamics and the objective stay.

    Every weight tensor keeps its numbers in a random order, so that each layer has the scale that it was trained with and
    a pretrained encoder is as random as one trained from nothing. A stream without any weights (vectors from a file) has its
    vectors given to its values by chance.

    Args:
        seen: of the trained model.
        seed: of the order.
    """
    model, draw = seen.model, torch.Generator().manual_seed(seed)
    weights = {key: shuffled(encoder, draw) for key, encoder in model.encoders.items()}
    projections = {key: shuffled(projection, draw) for key, projection in model.projections.items()}
    heads = {side: shuffled(head, draw) for side, head in model.fusion.items()}

    def values(stream: Stream) -> Tensor:
        encoder, key = model.encoders[stream.encoder], stream.encoder
        feature, encoding = model.features[stream.name], model.encodings[stream.name]
        if not weights[key] and not projections[key]:
            given = model.embed_values(stream, np.arange(feature.size))
            return given[torch.randperm(len(given), generator=draw)]
        # Not through `encoding`: what it keeps on disk is of the weights that were trained.
        found = torch.zeros(feature.size, model.dim, dtype=model.log_q.dtype)
        for codes in chunks(np.arange(feature.size), feature.rows, encoding.chunking):
            read = functional_call(encoder, weights[key], (on(model.device, feature.inputs(codes)),))
            read = functional_call(model.projections[key], projections[key], (read.to(found.dtype),))
            found[torch.from_numpy(codes)] = read
        return found

    told = {stream.name: values(stream) for stream in model.streams}
    encoded = {}
    for stream in model.item_streams:
        codes = torch.from_numpy(model.features[stream.name].codes.astype(np.int64))
        present = codes >= 0
        encoded[stream.name] = told[stream.name][codes.clamp(min=0)] * present.unsqueeze(-1), present
    if "item" in model.fusion:
        items = functional_call(model.fusion["item"], heads["item"], transposed(encoded))
    else:
        items = next(iter(encoded.values()))[0]
    items = to_float64(items)
    fusion = {name: to_float64(weight) for name, weight in heads.get("event", {}).items()}
    values_of = {stream.name: told[stream.name] for stream in model.event_streams}
    return replace(seen, items=items, catalogue=model.normalize_for_similarity(items), values=values_of, fusion=fusion)


def shuffled(part: nn.Module, draw: torch.Generator) -> dict[str, Tensor]:
    """The parameters of a part, the numbers of each in a random order."""
    named = part.named_parameters()
    return {n: p.detach().flatten()[torch.randperm(p.numel(), generator=draw)].view_as(p) for n, p in named}
