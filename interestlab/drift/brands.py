"""Brands of the items, the most frequent in training first."""

import numpy as np
import polars as pl

from interestlab.drift.session_log import SessionLog

MAX_BRANDS = 30
"""Number of brands that are followed; the others count as no brand."""


def rank_brands(log: SessionLog) -> tuple[np.ndarray, list[str]]:
    """Number the brands that are most frequent in the training events.

    Args:
        log: events with their items.

    Returns:
        ``[I]`` int64 brand of each item, -1 for none or a rare one; and the names of the brands.
    """
    if "brand" not in log.items.columns or log.items["brand"].null_count() == log.items.height:
        return np.full(log.items.height, -1), []
    brand = log.items["brand"].cast(pl.String)
    counts = np.bincount(log.item[log.in_training], minlength=log.items.height)
    sizes = pl.DataFrame({"brand": brand, "events": counts}).drop_nulls().group_by("brand").agg(pl.col("events").sum())
    ranked = sizes.filter(pl.col("events") > 0).sort("events", "brand", descending=[True, False])
    names = ranked["brand"].head(MAX_BRANDS).to_list()
    index = {name: number for number, name in enumerate(names)}
    return brand.replace_strict(index, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy(), names
