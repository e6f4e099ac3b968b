"""A negative control: the same model with shuffled encoder weights."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from interestlab.inference.trajectory import ModelView
from interestlab.model.backbone import InterestBackbone
from interestlab.model.embedding_cache import EmbeddingCache
from interestlab.model.frozen import detached_copy, embed_all_values, freeze


@torch.no_grad()
def random_encoder(view: ModelView, seed: int) -> ModelView:
    """Shuffle the weights of encoders, projections and fusion heads; the dynamics and the objective stay.

    Every weight tensor keeps its elements in a random order. So each layer has the scale that it was trained with, and a
    pretrained encoder becomes as random as one that was trained from scratch. A stream without any weights (vectors from a
    file) has its vectors permuted among its values.

    Args:
        view: the trained model and its histories.
        seed: random seed.

    Returns:
        A view of the model with shuffled weights; the given model is unchanged.
    """
    generator = torch.Generator().manual_seed(seed)
    backbone = detached_copy(view.model.backbone)
    for part in (*backbone.encoders.values(), *backbone.projections.values(), *backbone.fusion.values()):
        shuffle_parameters(part, generator)
    return replace(view, frozen=freeze(backbone, embed_random_values(backbone, generator)))


def shuffle_parameters(module: nn.Module, generator: torch.Generator) -> None:
    """Shuffle the elements of each parameter of a module.

    Args:
        module: the module, which is changed in place.
        generator: random generator.
    """
    for p in module.parameters():
        p.copy_(p.flatten()[torch.randperm(p.numel(), generator=generator)].view_as(p))


def embed_random_values(backbone: InterestBackbone, generator: torch.Generator) -> dict[str, Tensor]:
    """Embed all values by shuffled encoders. The disk cache is not used: it is named after the weights before the shuffle.

    Args:
        backbone: a backbone with shuffled weights.
        generator: random generator that permutes the vectors of streams without weights.

    Returns:
        By stream, ``[size, D]``.
    """
    values = {}
    for stream in backbone.streams:
        encoder, projection = backbone.encoder_of(stream), backbone.projections[stream.encoder]
        has_weights = any(True for part in (encoder, projection) for _ in part.parameters())
        if has_weights:
            cache = EmbeddingCache(encoder, backbone.features[stream.name], backbone.chunking, use_disk=False)
            backbone.caches[stream.name] = cache
        (vectors,) = embed_all_values(backbone, [stream]).values()
        values[stream.name] = vectors if has_weights else vectors[torch.randperm(len(vectors), generator=generator)]
    return values
