"""Which interest each item is of: the catalogue's taxonomy, or clusters of frozen vectors. Learnt from training alone."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from interestlab.drift.session_log import SessionLog
from interestlab.drift.settings import Settings
from interestlab.errors import DataError

SEPARATORS = r"\s*(?:>|/|\|)\s*"
"""What stands between the levels of a category path."""

OTHER = "other"


@dataclass(frozen=True)
class Interests:
    """``K`` interests, and the leaves into which they divide.

    Attributes:
        names: ``[K]`` name of each interest.
        of: ``[I]`` int64 interest of each item; -1 where it has none.
        leaves: names of the leaves.
        leaf: ``[I]`` int64 leaf of each item within its interest; -1 where it has none.
        vectors: ``[I, D]`` float32 where each item lies; zeros where nothing is known of it.
        rule: how they were made, for the fingerprint of a number.
    """

    names: list[str]
    of: np.ndarray
    leaves: list[str]
    leaf: np.ndarray
    vectors: np.ndarray
    rule: str

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def has_leaves(self) -> bool:
        """Whether most items are of an interest that has several leaves."""
        held = (self.of >= 0) & (self.leaf >= 0)
        pairs = np.unique(np.stack([self.of[held], self.leaf[held]]), axis=1)
        several = np.bincount(pairs[0], minlength=len(self)) > 1
        return bool(several[self.of[held]].mean() >= 0.5) if held.any() else False

    @cached_property
    def centroids(self) -> np.ndarray:
        """``[K, D]`` float64 mean vector of the items of each interest."""
        held = (self.of >= 0) & self.vectors.any(1)
        sums = np.zeros((len(self), self.vectors.shape[1]))
        np.add.at(sums, self.of[held], self.vectors[held])
        return sums / np.maximum(1, np.bincount(self.of[held], minlength=len(self)))[:, None]


COVERED = 0.8
"""Share of the training events that the largest interests of a taxonomy must cover for it to be taken unasked."""


def build_interests(log: SessionLog, vectors: np.ndarray, settings: Settings) -> Interests:
    """The interests that settings ask for; ``auto`` takes the taxonomy where it has names for most of what is met.

    Args:
        log: of all events.
        vectors: ``[I, D]`` where each item lies.
        settings: which rule, and its numbers.

    Raises:
        DataError: the rule cannot be followed.
    """
    if settings.interests == "clusters" or (settings.interests == "auto" and not _tells(log, settings)):
        return cluster_items(log, vectors, settings.clusters, settings.leaves, settings.seed)
    return taxonomy_interests(log, vectors, settings.column, settings.level, settings.most)


def _tells(log: SessionLog, settings: Settings) -> bool:
    if settings.column not in log.items.columns:
        return False
    top = _levels(log.items, settings.column).list.head(settings.level).list.join(" > ")
    met = top.gather(log.item[log.train].tolist()).drop_nulls()
    counts = met.value_counts(sort=True)["count"].head(settings.most - 1)
    return len(counts) > 1 and counts.sum() >= COVERED * log.train.sum()


def _levels(items: pl.DataFrame, column: str) -> pl.Series:
    path = items[column].cast(pl.String).str.replace_all(SEPARATORS, "\x00").str.strip_chars("\x00 ")
    return path.replace("", None).str.split("\x00")


def taxonomy_interests(
    log: SessionLog, vectors: np.ndarray, column: str = "category", level: int = 1, most: int = 50
) -> Interests:
    """Interests by a column of the items: its first ``level`` levels are the interest, the whole path is the leaf.

    Args:
        log: whose training events say which interests are large.
        vectors: ``[I, D]`` where each item lies.
        column: of the items, such as ``category`` or ``brand``; levels are parted by ``>``, ``/`` or ``|``.
        level: how many levels make an interest.
        most: the ``most - 1`` largest in training stay, the others are one, named ``other``.

    Raises:
        DataError: the items have no such column, or it tells nothing.
    """
    if column not in log.items.columns:
        raise DataError(f"the items have no column {column}; they have {', '.join(log.items.columns)}.")
    path = log.items[column].cast(pl.String)
    if not path.drop_nulls().len():
        raise DataError(f"column {column} of the items is empty; take clusters of their vectors instead.")
    top = _levels(log.items, column).list.head(level).list.join(" > ").rename("name")
    counts = np.bincount(log.item[log.train], minlength=log.items.height)
    sizes = pl.DataFrame({"name": top, "events": counts}).drop_nulls().group_by("name").agg(pl.col("events").sum())
    known = sizes.sort("events", "name", descending=[True, False])["name"].to_list()
    named = known if len(known) <= most else [*(name for name in known[: most - 1] if name != OTHER), OTHER]
    place = {name: k for k, name in enumerate(named)}
    index = {name: place.get(name, len(named) - 1) for name in known}
    of = top.replace_strict(index, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()
    leaves = path.drop_nulls().unique().sort().to_list()
    leaf = path.replace_strict({name: place for place, name in enumerate(leaves)}, default=-1, return_dtype=pl.Int64)
    rule = f"taxonomy {column}, level {level}, {len(named)} interests"
    return Interests(named, of, leaves, leaf.fill_null(-1).to_numpy(), vectors, rule)


def cluster_items(log: SessionLog, vectors: np.ndarray, count: int = 20, leaves: int = 5, seed: int = 0) -> Interests:
    """Interests as clusters of vectors (spherical k-means), each divided again into leaves.

    The centres are fitted to the items of the training events, each counting once per event; items that training never met
    go to the nearest centre.

    Args:
        log: whose training events weigh the items.
        vectors: ``[I, D]``; items of zero length have no interest.
        count: how many interests.
        leaves: how many leaves in each.
        seed: of the first centres.

    Raises:
        DataError: fewer distinct items occur in training than clusters are asked for.
    """
    weight = np.bincount(log.item[log.train], minlength=log.items.height).astype(float)
    length = np.linalg.norm(vectors, axis=1)
    known = length > 0
    unit = vectors / np.where(known, length, 1)[:, None]
    distinct = len(np.unique(unit[known & (weight > 0)].round(6), axis=0))
    if distinct < count:
        raise DataError(f"{distinct} distinct vectors occur in training, fewer than the {count} interests asked for.")
    of = np.full(len(vectors), -1)
    of[known] = assign_clusters(unit[known], weight[known], count, seed)
    leaf = np.full(len(vectors), -1)
    for interest in range(count):
        here = np.flatnonzero(of == interest)
        parts = min(leaves, len(np.unique(unit[here][weight[here] > 0].round(6), axis=0)))
        leaf[here] = interest * leaves + (assign_clusters(unit[here], weight[here], parts, seed) if parts > 1 else 0)
    names = named(log, of, count, weight)
    within = named(log, leaf, count * leaves, weight)
    told = [f"{name} > {words}" for name, words in zip(np.repeat(names, leaves), within, strict=True)]
    return Interests(names, of, told, leaf, vectors, f"{count} clusters of {leaves} leaves, seed {seed}")


def assign_clusters(unit: np.ndarray, weight: np.ndarray, count: int, seed: int) -> np.ndarray:
    """``[n]`` cluster of each of the unit vectors ``[n, D]``; the centres are fitted to those of positive weight."""
    from sklearn.cluster import KMeans

    fit = weight > 0
    held = KMeans(count, n_init=4, random_state=seed).fit(unit[fit], sample_weight=weight[fit])
    return held.predict(unit)


def named(log: SessionLog, group: np.ndarray, count: int, weight: np.ndarray) -> list[str]:
    """A name for each group of items, all different: the words that set its titles apart, else the categories that are met most
    in it, else its most met item.
    """
    words = _words(log.items, group, count)
    out: list[str] = []
    for g in range(count):
        here = np.flatnonzero(group == g)
        name = ", ".join(words[g]) or _most_met(log.items[here], weight[here]) or f"empty {g + 1}"
        out.append(name if name not in out else f"{name} ({g + 1})")
    return out


def _words(items: pl.DataFrame, group: np.ndarray, count: int) -> list[list[str]]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    if "title" not in items.columns or items["title"].null_count() == items.height:
        return [[] for _ in range(count)]
    titles = items.select("title").with_columns(group=pl.Series(group)).drop_nulls()
    held = dict(titles.group_by("group").agg(pl.col("title").str.join(" ")).iter_rows())
    reader = TfidfVectorizer(sublinear_tf=True, stop_words="english", token_pattern=r"(?u)\b[^\W\d_]\w+\b")
    try:
        scores = reader.fit_transform([held.get(g, "") for g in range(count)]).toarray()
    except ValueError:  # the titles hold no words
        return [[] for _ in range(count)]
    vocabulary = reader.get_feature_names_out()
    return [[str(vocabulary[w]) for w in np.argsort(-row, kind="stable")[:3] if row[w] > 0] for row in scores]


def _most_met(items: pl.DataFrame, weight: np.ndarray) -> str:
    for column in ("category", "item_id"):
        if column in items.columns and items[column].null_count() < items.height:
            met = (
                items.select(pl.col(column).cast(pl.String).alias("value")).with_columns(weight=pl.Series(weight)).drop_nulls()
            )
            sizes = met.group_by("value").agg(pl.col("weight").sum()).sort("weight", "value", descending=[True, False])
            return f"{column.removesuffix('_id')} {' and '.join(sizes['value'].head(2))}"
    return ""
