"""Operations on stacked streams."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def stack_streams(names: Sequence[str], streams: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Stack streams in a fixed order; streams that are not passed count as missing in every row.

    Args:
        names: names of all S streams, in order.
        streams: ``[..., D]`` of each stream that is passed.
        present: ``[...]`` bool of each stream that is passed, False where its value is missing.

    Returns:
        values ``[..., S, D]``, zero where missing, and mask ``[..., S]`` bool, False where missing.

    Raises:
        ValueError: no stream is passed, or one that the head was not built for.
    """
    if not streams:
        raise ValueError("no stream was passed")
    if unknown := sorted(set(streams) - set(names)):
        raise ValueError(f"streams {unknown} are unknown; the head was built for {list(names)}")
    like = next(iter(streams.values()))
    zeros, false = torch.zeros_like(like), torch.zeros(like.shape[:-1], dtype=torch.bool, device=like.device)
    mask = torch.stack([present[name] if name in streams else false for name in names], -1)
    values = torch.stack([streams.get(name, zeros) for name in names], -2)
    return zero_where_missing(values, mask), mask


def drop_streams(values: Tensor, mask: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    """Drop each present stream with probability ``rate``, but keep one stream of every row.

    If all streams of a row would be dropped, a random one is kept. A stream of a row with n streams present is therefore
    dropped with probability ``rate - rate**n / n``.

    Args:
        values: ``[..., S, D]``.
        mask: ``[..., S]`` bool, True where a stream is present.
        rate: probability between 0 and 1.

    Returns:
        values and mask as from :func:`stack_streams`.
    """
    noise = torch.rand(mask.shape, device=mask.device).masked_fill(~mask, -1)
    # The stream with the largest noise is always kept. This matters only in rows where all streams would be dropped, and
    # there it is a random stream.
    mask = mask & ((noise >= rate) | (noise == noise.amax(-1, keepdim=True)))
    return zero_where_missing(values, mask), mask


def zero_where_missing(values: Tensor, mask: Tensor) -> Tensor:
    """Set missing streams to zero.

    Args:
        values: ``[..., S, D]``; missing streams may hold NaN.
        mask: ``[..., S]`` bool, False where a stream is missing.

    Returns:
        ``[..., S, D]``.
    """
    # torch.where instead of a product: NaN times zero is NaN.
    return torch.where(mask.unsqueeze(-1), values, torch.zeros_like(values))


def mean_of_present(values: Tensor, mask: Tensor) -> Tensor:
    """Average the streams that are present.

    Args:
        values: ``[..., S, D]``; values of missing streams are ignored.
        mask: ``[..., S]`` bool, True where a stream is present.

    Returns:
        ``[..., D]``, zero in rows without any stream.
    """
    return zero_where_missing(values, mask).sum(-2) / mask.sum(-1, keepdim=True).clamp(min=1)
