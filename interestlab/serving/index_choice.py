"""Use an inverted file only where it was measured to find what exact search finds."""

from collections.abc import Set as AbstractSet

import numpy as np
import torch
from torch import Tensor

from interestlab.serving.index import ExactIndex, Index
from interestlab.serving.inverted_file import InvertedFile
from interestlab.serving.items import ItemTable

EXACT_UP_TO = 20_000
"""Catalogues up to this size are searched exactly."""

REQUIRED_RECALL = 0.99
MEASURED_AT = 10
MEASURED_USERS = 1000
MIN_MEASURED_USERS = 100
USERS_PER_SEARCH = 64
"""Number of users whose lists are searched at once, since the scores of all items for each user need memory."""


@torch.inference_mode()
def choose_index(items: ItemTable, users: Tensor | None, exact_up_to: int = EXACT_UP_TO) -> tuple[Index, str]:
    """Return the index to use, and a sentence that says why.

    Args:
        items: the items.
        users: real user states, at best :data:`MEASURED_USERS`; None if there are none.
        exact_up_to: catalogues up to this size are searched exactly.
    """
    exact = ExactIndex(items)
    if len(items) <= exact_up_to:
        return exact, f"exact search of {len(items):,} items"
    if users is None or len(users) < MIN_MEASURED_USERS:
        count = 0 if users is None else len(users)
        return exact, f"exact search of {len(items):,} items: {count} user states are too few to measure the recall of an index"
    index = InvertedFile(items)
    while True:
        index.recall = measure_recall(index, exact, users)
        if index.recall >= REQUIRED_RECALL or index.probes * 4 > index.lists:
            break
        index.probes *= 2
    found = f"recall@{MEASURED_AT} {index.recall:.4f} on {len(users):,} user states with {index.probes} of {index.lists} lists"
    if index.recall >= REQUIRED_RECALL:
        return index, f"IVF over {len(items):,} items, {found}"
    return exact, f"exact search of {len(items):,} items: IVF reached {found}, below {REQUIRED_RECALL}"


def measure_recall(index: Index, exact: ExactIndex, users: Tensor) -> float:
    """Return the mean share of the exact ten best items that an index finds.

    Args:
        index: the index.
        exact: the exact one.
        users: user states, ready to be compared.
    """
    shares = []
    for part in users.split(USERS_PER_SEARCH):
        nothing: list[AbstractSet[int]] = [frozenset()] * len(part)
        for found, best in zip(*(i.search(part, MEASURED_AT, nothing) for i in (index, exact)), strict=True):
            best_items = {position for position, _ in best}
            shares.append(len(best_items & {position for position, _ in found}) / len(best_items))
    return float(np.mean(shares))
