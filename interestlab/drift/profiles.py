"""Segments and audiences as tables: what marks them, which brands they prefer, and whom a campaign would reach."""

import numpy as np
import polars as pl

from interestlab.drift.interests import Interests
from interestlab.drift.segmentation import Segmentation, compute_lifts
from interestlab.drift.session_log import SessionLog
from interestlab.drift.shares import InterestShares
from interestlab.drift.verdicts import BOTH, CHANGED, EVOLVED, INSUFFICIENT_EVIDENCE, MIGRATED
from interestlab.stats.multiple_testing import benjamini_hochberg

BRANDS = 30
"""Brands that are followed: those met most in training."""

TOP = 5
"""Interests and brands that are told of a segment."""

RECENT = 20
"""Last events of a user from which the present interest and the preferred brand are read."""


def rank_brands(log: SessionLog) -> tuple[np.ndarray, list[str]]:
    """``[I]`` int64 brand of each item, -1 for none or one that is not followed; and their names."""
    if "brand" not in log.items.columns or log.items["brand"].null_count() == log.items.height:
        return np.full(log.items.height, -1), []
    brand = log.items["brand"].cast(pl.String)
    counts = np.bincount(log.item[log.train], minlength=log.items.height)
    sizes = pl.DataFrame({"brand": brand, "events": counts}).drop_nulls().group_by("brand").agg(pl.col("events").sum())
    names = sizes.filter(pl.col("events") > 0).sort("events", "brand", descending=[True, False])["brand"].head(BRANDS).to_list()
    index = {name: place for place, name in enumerate(names)}
    return brand.replace_strict(index, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy(), names


def segment_table(
    shares: InterestShares, found: Segmentation, people: pl.DataFrame, brand: np.ndarray, brands: list[str]
) -> pl.DataFrame:
    """A row a segment: who, what they prefer by how much, and whether the segment as a whole moved."""
    log, interests = shares.log, shares.interests
    count = len(found.names)
    preferred, _ = compute_lifts(found.of, log.user, interests.of[log.item], count, len(interests))
    branded = log.only(brand[log.item] >= 0)
    brand_lift, brand_p = compute_lifts(found.of, branded.user, brand[branded.item], count, max(1, len(brands)))
    brand_q = benjamini_hochberg(brand_p.ravel()).reshape(brand_p.shape)
    counts = np.zeros((count, len(interests)))
    np.add.at(counts, (found.of[log.user], interests.of[log.item]), 1)
    large = counts >= 0.05 * counts.sum(1, keepdims=True)  # a lift of what hardly occurs tells nothing
    rows = []
    q = benjamini_hochberg(found.p)
    for s, name in enumerate(found.names):
        top = [k for k in np.argsort(-np.where(large[s], preferred[s], 0), kind="stable")[:TOP] if large[s, k]]
        liked = [b for b in np.argsort(-brand_lift[s], kind="stable")[:TOP] if brand_lift[s, b] > 1] if brands else []
        here = people.filter(pl.Series(found.of == s))
        change = found.change[s]
        moved = np.ptp(change) > 1e-6
        rows.append(
            {
                "segment": name,
                "users": here.height,
                "events": int(counts[s].sum()),
                "interests": [interests.names[k] for k in top],
                "lifts": [float(preferred[s, k]) for k in top],
                "brands": [brands[b] for b in liked],
                "brand_lifts": [float(brand_lift[s, b]) for b in liked],
                "brand_q": [float(brand_q[s, b]) for b in liked],
                "tv": float(found.tv[s]),
                "tv_by_chance": float(found.tv_by_chance[s]),
                "p": float(found.p[s]),
                "q": float(q[s]),
                "source": interests.names[int(change.argmin())] if moved else None,
                "destination": interests.names[int(change.argmax())] if moved else None,
                "migrated": here["verdict"].is_in([MIGRATED, BOTH]).sum(),
                "answered": (here["verdict"] != INSUFFICIENT_EVIDENCE).sum(),
            }
        )
    named = dict.fromkeys(("source", "destination"), pl.String)
    lists = (
        named
        | dict.fromkeys(("interests", "brands"), pl.List(pl.String))
        | dict.fromkeys(("lifts", "brand_lifts", "brand_q"), pl.List(pl.Float64))
    )
    return pl.DataFrame(rows, schema_overrides=lists)


def audiences(
    log: SessionLog, interests: Interests, people: pl.DataFrame, brand: np.ndarray, brands: list[str]
) -> pl.DataFrame:
    """Whom a campaign could reach: every user of whom a change is told, with the present interest and the preferred brand.

    Both are the most frequent among the user's last :data:`RECENT` events. Of who evolved only there is no source and no
    destination, and of who migrated only no ``evolved_in``: the largest change in what is no finding is noise.
    """
    place = np.arange(len(log.time)) - log.offsets[log.user]
    recent = place >= (np.diff(log.offsets) - RECENT)[log.user]
    now = _most(log.user[recent], interests.of[log.item[recent]], len(log.users))
    branded = recent & (brand[log.item] >= 0)
    liked = _most(log.user[branded], brand[log.item[branded]], len(log.users))
    return (
        people.with_columns(
            interest_now=pl.Series([interests.names[k] if k >= 0 else None for k in now], dtype=pl.String),
            brand=pl.Series([brands[b] if b >= 0 else None for b in liked], dtype=pl.String),
        )
        .filter(pl.col("verdict").is_in(CHANGED))
        .with_columns(
            pl.when(pl.col("verdict") != EVOLVED).then(pl.col("source", "destination")),
            pl.when(pl.col("verdict") != MIGRATED).then("evolved_in").alias("evolved_in"),
        )
        .select(
            *("user_id", "segment", "verdict", "source", "destination", "evolved_in", "interest_now", "brand", "last"),
            *("q_migration", "q_evolution"),
        )
        .sort("verdict", "destination", "evolved_in", "q_migration", "q_evolution", "user_id", nulls_last=True)
    )


def _most(user: np.ndarray, label: np.ndarray, users: int) -> np.ndarray:
    """``[U]`` the most frequent label of each user, -1 for a user without any; of equals the lower."""
    out = np.full(users, -1)
    if len(user):
        labels = int(label.max()) + 1
        keys, many = np.unique(user * labels + label, return_counts=True)
        order = np.lexsort((keys, -many, keys // labels))
        who, first = np.unique(keys[order] // labels, return_index=True)
        out[who] = keys[order][first] % labels
    return out
