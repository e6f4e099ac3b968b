"""What the checks feed a part."""

from collections.abc import Sequence

import numpy as np
import torch

from interestlab.batch import Inputs

TEXTS = (
    "wireless headphones",
    "",
    "红色连衣裙，夏季新款",
    "It was fine at first. " * 500,
    "Très bien ! 👍",
)
"""Texts as they are met: short, empty, Chinese, far too long, and with what is no letter."""


def pad_rows(rows: Sequence[np.ndarray]) -> Inputs:
    """Prepared rows ``[length, ...]`` as the ``[U, L, ...]`` that an encoder reads, with zeros on the right.

    Stability: stable.
    """
    lengths = [len(row) for row in rows]
    values = np.zeros((len(rows), max([1, *lengths]), *rows[0].shape[1:]), rows[0].dtype)
    for padded, row in zip(values, rows, strict=True):
        padded[: len(row)] = row
    return Inputs(torch.from_numpy(values), torch.tensor(lengths))
