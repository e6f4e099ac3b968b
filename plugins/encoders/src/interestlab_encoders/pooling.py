"""From one vector a token to one vector a text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from torch import Tensor
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING, PretrainedConfig

from interestlab.batch import Inputs

Pooling = Literal["cls", "mean", "last"]


def cls(hidden: Tensor, inputs: Inputs) -> Tensor:  # noqa: ARG001
    """The first token's vector: ``[U, L, D]`` -> ``[U, D]``."""
    return hidden[:, 0]


def mean(hidden: Tensor, inputs: Inputs) -> Tensor:
    """The mean over real tokens: ``[U, L, D]`` -> ``[U, D]``."""
    mask = inputs.mask[..., None].to(hidden.dtype)
    return (hidden * mask).sum(1) / mask.sum(1)


def last(hidden: Tensor, inputs: Inputs) -> Tensor:
    """The last real token's vector, which alone has read everything in a causal model: ``[U, L, D]`` -> ``[U, D]``."""
    assert inputs.lengths is not None
    rows = inputs.lengths - 1
    return hidden.take_along_dim(rows[:, None, None], 1)[:, 0]


POOLINGS: dict[Pooling, Callable[[Tensor, Inputs], Tensor]] = {"cls": cls, "mean": mean, "last": last}

# The names in sentence-transformers' 1_Pooling/config.json: `pooling_mode` since its version 5.5, one flag each before.
_WRITTEN: dict[str, Pooling] = {"cls": "cls", "mean": "mean", "lasttoken": "last"}
_FLAGS: dict[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
}


def write(folder: Path, pooling: Pooling, width: int) -> None:
    """Let a model's folder say how its vectors are pooled, as sentence-transformers and :func:`choose` read it."""
    file = folder / "1_Pooling" / "config.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    flags = {flag: of == pooling for flag, of in _FLAGS.items()}
    file.write_text(json.dumps({"word_embedding_dimension": width} | flags), encoding="utf-8")


def choose(folder: Path, config: PretrainedConfig) -> Pooling:
    """The pooling that a model was trained with, where its folder says so; else last for causal models, else mean."""
    file = folder / "1_Pooling" / "config.json"
    if file.is_file():
        written = json.loads(file.read_text(encoding="utf-8"))
        if (mode := written.get("pooling_mode")) in _WRITTEN:
            return _WRITTEN[mode]
        for flag, pooling in _FLAGS.items():
            if written.get(flag):
                return pooling
    # BERT-like models have a causal head too, but a causal model has no masked one.
    causal = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and type(config) not in MODEL_FOR_MASKED_LM_MAPPING
    return "last" if causal else "mean"
