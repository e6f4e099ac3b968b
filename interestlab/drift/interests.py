"""Assign items to interests: by the catalogue's taxonomy, or by clusters of frozen vectors. Only training events are used."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from interestlab.drift.session_log import SessionLog
from interestlab.drift.settings import Settings
from interestlab.errors import DataError

SEPARATORS = r"\s*(?:>|/|\|)\s*"
"""Separators between the levels of a category path."""

OTHER = "other"
"""Name of the interest that merges the smallest ones."""

MIN_COVERAGE = 0.8
"""``auto`` takes the taxonomy if its largest interests cover at least this share of the training events."""


@dataclass(frozen=True)
class Interests:
    """K interests, and the leaves that they are divided into.

    Attributes:
        names: ``[K]`` name of each interest.
        item_interest: ``[I]`` int64 interest of each item; -1 for none.
        leaves: names of the leaves.
        leaf: ``[I]`` int64 leaf of each item; -1 for none.
        vectors: ``[I, D]`` float32 vector of each item; zeros if unknown.
        rule: how the interests are defined, in words.
    """

    names: list[str]
    item_interest: np.ndarray
    leaves: list[str]
    leaf: np.ndarray
    vectors: np.ndarray
    rule: str

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def has_leaves(self) -> bool:
        """Whether most items are of an interest with several leaves."""
        known = (self.item_interest >= 0) & (self.leaf >= 0)
        pairs = np.unique(np.stack([self.item_interest[known], self.leaf[known]]), axis=1)
        several = np.bincount(pairs[0], minlength=len(self)) > 1
        return bool(several[self.item_interest[known]].mean() >= 0.5) if known.any() else False

    @cached_property
    def centroids(self) -> np.ndarray:
        """``[K, D]`` float64 mean vector of the items of each interest."""
        known = (self.item_interest >= 0) & self.vectors.any(1)
        sums = np.zeros((len(self), self.vectors.shape[1]))
        np.add.at(sums, self.item_interest[known], self.vectors[known])
        return sums / np.maximum(1, np.bincount(self.item_interest[known], minlength=len(self)))[:, None]


def build_interests(log: SessionLog, vectors: np.ndarray, settings: Settings) -> Interests:
    """Define the interests as the settings ask; ``auto`` takes the taxonomy if it covers most training events.

    Args:
        log: all events.
        vectors: ``[I, D]`` vector of each item.
        settings: the rule and its parameters.

    Returns:
        Interest and leaf of each item.

    Raises:
        DataError: the rule cannot be applied to this log.
    """
    if settings.interests == "clusters" or (settings.interests == "auto" and not _covers_most(log, settings)):
        return cluster_items(log, vectors, settings.clusters, settings.leaves_per_cluster, settings.seed)
    return taxonomy_interests(log, vectors, settings.column, settings.taxonomy_levels, settings.max_interests)


def _covers_most(log: SessionLog, settings: Settings) -> bool:
    if settings.column not in log.items.columns:
        return False
    top = _split_path(log.items, settings.column).list.head(settings.taxonomy_levels).list.join(" > ")
    occurring = top.gather(log.item[log.in_training].tolist()).drop_nulls()
    counts = occurring.value_counts(sort=True)["count"].head(settings.max_interests - 1)
    return len(counts) > 1 and counts.sum() >= MIN_COVERAGE * log.in_training.sum()


def _split_path(items: pl.DataFrame, column: str) -> pl.Series:
    path = items[column].cast(pl.String).str.replace_all(SEPARATORS, "\x00").str.strip_chars("\x00 ")
    return path.replace("", None).str.split("\x00")


def taxonomy_interests(
    log: SessionLog, vectors: np.ndarray, column: str = "category", levels: int = 1, max_interests: int = 50
) -> Interests:
    """Define interests by a column of the items: the first levels are the interest, the full path is the leaf.

    Args:
        log: its training events determine which interests are large.
        vectors: ``[I, D]`` vector of each item.
        column: column of the items, such as ``category`` or ``brand``; levels are separated by ``>``, ``/`` or ``|``.
        levels: number of levels that define an interest.
        max_interests: the ``max_interests - 1`` largest are kept, and the others merged into ``other``.

    Returns:
        Interest and leaf of each item.

    Raises:
        DataError: the items have no such column, or it is empty.
    """
    if column not in log.items.columns:
        raise DataError(f"the items have no column {column}; they have {', '.join(log.items.columns)}.")
    path = log.items[column].cast(pl.String)
    if not path.drop_nulls().len():
        raise DataError(f"column {column} of the items is empty; use --drift.interests=clusters.")
    top = _split_path(log.items, column).list.head(levels).list.join(" > ").rename("name")
    counts = np.bincount(log.item[log.in_training], minlength=log.items.height)
    sizes = pl.DataFrame({"name": top, "events": counts}).drop_nulls().group_by("name").agg(pl.col("events").sum())
    known = sizes.sort("events", "name", descending=[True, False])["name"].to_list()
    names = known if len(known) <= max_interests else [*(n for n in known[: max_interests - 1] if n != OTHER), OTHER]
    number = {name: k for k, name in enumerate(names)}
    index = {name: number.get(name, len(names) - 1) for name in known}
    of = top.replace_strict(index, default=-1, return_dtype=pl.Int64).fill_null(-1).to_numpy()
    leaves = path.drop_nulls().unique().sort().to_list()
    leaf = path.replace_strict({name: i for i, name in enumerate(leaves)}, default=-1, return_dtype=pl.Int64)
    rule = f"taxonomy {column}, level {levels}, {len(names)} interests"
    return Interests(names, of, leaves, leaf.fill_null(-1).to_numpy(), vectors, rule)


def cluster_items(log: SessionLog, vectors: np.ndarray, count: int = 20, leaves: int = 5, seed: int = 0) -> Interests:
    """Define interests as clusters of vectors (spherical k-means), each divided again into leaves.

    The centres are fitted to the items of the training events, each item weighted by its events. Items that do not occur in
    training are assigned to the nearest centre.

    Args:
        log: its training events weight the items.
        vectors: ``[I, D]``; items with a vector of zeros get no interest.
        count: number of interests.
        leaves: number of leaves in each.
        seed: seed of the initial centres.

    Returns:
        Interest and leaf of each item.

    Raises:
        DataError: fewer distinct vectors occur in training than clusters are requested.
    """
    weight = np.bincount(log.item[log.in_training], minlength=log.items.height).astype(float)
    length = np.linalg.norm(vectors, axis=1)
    known = length > 0
    unit = vectors / np.where(known, length, 1)[:, None]
    distinct = len(np.unique(unit[known & (weight > 0)].round(6), axis=0))
    if distinct < count:
        raise DataError(f"{distinct} distinct vectors occur in training, fewer than the {count} interests requested.")
    of = np.full(len(vectors), -1)
    of[known] = assign_clusters(unit[known], weight[known], count, seed)
    leaf = np.full(len(vectors), -1)
    for interest in range(count):
        members = np.flatnonzero(of == interest)
        parts = min(leaves, len(np.unique(unit[members][weight[members] > 0].round(6), axis=0)))
        leaf[members] = interest * leaves + (assign_clusters(unit[members], weight[members], parts, seed) if parts > 1 else 0)
    names = name_groups(log, of, count, weight)
    words = name_groups(log, leaf, count * leaves, weight)
    leaf_names = [f"{name} > {leaf_words}" for name, leaf_words in zip(np.repeat(names, leaves), words, strict=True)]
    return Interests(names, of, leaf_names, leaf, vectors, f"{count} clusters of {leaves} leaves, seed {seed}")


def assign_clusters(unit: np.ndarray, weight: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Cluster unit vectors; the centres are fitted to those with a positive weight.

    Args:
        unit: ``[n, D]`` vectors.
        weight: ``[n]`` of each vector.
        count: number of clusters.
        seed: seed of the initial centres.

    Returns:
        ``[n]`` cluster of each vector.
    """
    from sklearn.cluster import KMeans

    fit = weight > 0
    fitted = KMeans(count, n_init=4, random_state=seed).fit(unit[fit], sample_weight=weight[fit])
    return fitted.predict(unit)


def name_groups(log: SessionLog, group: np.ndarray, count: int, weight: np.ndarray) -> list[str]:
    """Name groups of items: by the words that distinguish their titles, else their most frequent categories or item.

    Args:
        log: the sessions, with the items.
        group: ``[I]`` group of each item; -1 for none.
        count: number of groups.
        weight: ``[I]`` events of each item.

    Returns:
        ``[count]`` distinct names.
    """
    words = _distinctive_words(log.items, group, count)
    out: list[str] = []
    for g in range(count):
        members = np.flatnonzero(group == g)
        name = ", ".join(words[g]) or _most_frequent(log.items[members], weight[members]) or f"empty {g + 1}"
        out.append(name if name not in out else f"{name} ({g + 1})")
    return out


def _distinctive_words(items: pl.DataFrame, group: np.ndarray, count: int) -> list[list[str]]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    if "title" not in items.columns or items["title"].null_count() == items.height:
        return [[] for _ in range(count)]
    titles = items.select("title").with_columns(group=pl.Series(group)).drop_nulls()
    texts = dict(titles.group_by("group").agg(pl.col("title").str.join(" ")).iter_rows())
    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english", token_pattern=r"(?u)\b[^\W\d_]\w+\b")
    try:
        scores = vectorizer.fit_transform([texts.get(g, "") for g in range(count)]).toarray()
    except ValueError:  # no title contains a word
        return [[] for _ in range(count)]
    vocabulary = vectorizer.get_feature_names_out()
    return [[str(vocabulary[w]) for w in np.argsort(-row, kind="stable")[:3] if row[w] > 0] for row in scores]


def _most_frequent(items: pl.DataFrame, weight: np.ndarray) -> str:
    for column in ("category", "item_id"):
        if column in items.columns and items[column].null_count() < items.height:
            values = items.select(pl.col(column).cast(pl.String).alias("value")).with_columns(weight=pl.Series(weight))
            sizes = values.drop_nulls().group_by("value").agg(pl.col("weight").sum())
            sizes = sizes.sort("weight", "value", descending=[True, False])
            return f"{column.removesuffix('_id')} {' and '.join(sizes['value'].head(2))}"
    return ""
