"""Pooling: from one vector per token to one vector per text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from torch import Tensor
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING, PretrainedConfig

from interestlab.batch import Inputs

Pooling = Literal["cls", "mean", "last"]


def cls(hidden: Tensor, inputs: Inputs) -> Tensor:  # noqa: ARG001
    """Return the vector of the first token.

    Args:
        hidden: ``[U, L, D]``.
        inputs: not used.

    Returns:
        ``[U, D]``.
    """
    return hidden[:, 0]


def mean(hidden: Tensor, inputs: Inputs) -> Tensor:
    """Average the vectors of the real tokens.

    Args:
        hidden: ``[U, L, D]``.
        inputs: the lengths of the texts.

    Returns:
        ``[U, D]``.
    """
    mask = inputs.mask[..., None].to(hidden.dtype)
    return (hidden * mask).sum(1) / mask.sum(1)


def last(hidden: Tensor, inputs: Inputs) -> Tensor:
    """Return the vector of the last real token, the only one that depends on the complete text in a causal model.

    Args:
        hidden: ``[U, L, D]``.
        inputs: the lengths of the texts.

    Returns:
        ``[U, D]``.
    """
    assert inputs.lengths is not None
    index = inputs.lengths - 1
    return hidden.take_along_dim(index[:, None, None], 1)[:, 0]


POOLINGS: dict[Pooling, Callable[[Tensor, Inputs], Tensor]] = {"cls": cls, "mean": mean, "last": last}

# Keys of 1_Pooling/config.json of sentence-transformers: `pooling_mode` since its version 5.5, one flag each before.
_MODES: dict[str, Pooling] = {"cls": "cls", "mean": "mean", "lasttoken": "last"}
_FLAGS: dict[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
}


def write_pooling_config(folder: Path, pooling: Pooling, width: int) -> None:
    """Write the pooling of a model in the format of sentence-transformers, which :func:`detect_pooling` reads.

    Args:
        folder: folder of the model.
        pooling: the pooling.
        width: width of the vectors.
    """
    file = folder / "1_Pooling" / "config.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    flags = {flag: value == pooling for flag, value in _FLAGS.items()}
    file.write_text(json.dumps({"word_embedding_dimension": width} | flags), encoding="utf-8")


def detect_pooling(folder: Path, config: PretrainedConfig) -> Pooling:
    """Return the pooling that a model was trained with.

    Args:
        folder: folder of the model, which may contain the pooling config of sentence-transformers.
        config: config of the model.

    Returns:
        the pooling in the folder; else ``last`` for causal models and ``mean`` for others.
    """
    file = folder / "1_Pooling" / "config.json"
    if file.is_file():
        pooling_config = json.loads(file.read_text(encoding="utf-8"))
        if (mode := pooling_config.get("pooling_mode")) in _MODES:
            return _MODES[mode]
        for flag, pooling in _FLAGS.items():
            if pooling_config.get(flag):
                return pooling
    # BERT-like models have a causal head too, but causal models have no masked one.
    causal = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and type(config) not in MODEL_FOR_MASKED_LM_MAPPING
    return "last" if causal else "mean"
