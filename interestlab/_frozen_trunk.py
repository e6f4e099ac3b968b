"""The frozen first layers of an encoder, which :mod:`interestlab.contract` re-exports."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from interestlab.batch import Inputs


@dataclass(frozen=True)
class FrozenTrunk:
    """The first layers of an encoder, with all parameters frozen: a fixed function of each value.

    Stability: provisional.

    Attributes:
        forward: maps the preprocessed rows of U values to rows ``[U, L, *row_shape]`` and their lengths ``[U]``.
        key: identifies the function by everything that its output depends on (weights, depth).
        row_shape: shape of one row.
        rows_per_value: number of rows per value; None: as many as ``preprocess`` returned.
        cache_dtype: how rows are stored on disk: ``float32``, ``bfloat16``, or ``off``: they are recomputed in every step.
    """

    forward: Callable[[Inputs], Inputs]
    key: str
    row_shape: tuple[int, ...]
    rows_per_value: int | None = None
    cache_dtype: Literal["float32", "bfloat16", "off"] = "float32"
