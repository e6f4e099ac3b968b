"""Assignment of items to interests."""

import numpy as np
import polars as pl
import pytest
from session_logs import log_from_events, make_items

from interestlab.drift.interests import OTHER, build_interests, cluster_items, taxonomy_interests
from interestlab.drift.settings import Settings
from interestlab.errors import DataError

PATHS = ["Audio > Headphones", "Audio>Speakers", "Audio / Speakers", "Home | Lamps", None, "Home | Lamps", "Garden", "Toys"]


def log_of_items(items, item, train=None):
    """A log of one user with an event of each of these items."""
    return log_from_events(np.zeros(len(item)), np.arange(len(item)) * 10_000, item, items=items, train=train)


def zero_vectors(log):
    return np.zeros((log.items.height, 2), np.float32)


@pytest.fixture
def shelf_log():
    return log_of_items(make_items(8, category=PATHS), [0, 0, 1, 3, 3, 6, 4])


def test_the_first_level_is_the_interest_and_the_path_the_leaf(shelf_log):
    interests = taxonomy_interests(shelf_log, zero_vectors(shelf_log))
    assert interests.names == ["Audio", "Home", "Garden", "Toys"]  # by number of training events
    assert interests.item_interest.tolist() == [0, 0, 0, 1, -1, 1, 2, 3]
    assert interests.leaf[3] == interests.leaf[5] != interests.leaf[0]
    assert interests.leaf[4] == -1
    assert interests.leaves[interests.leaf[0]] == "Audio > Headphones"


def test_more_levels_make_more_interests(shelf_log):
    interests = taxonomy_interests(shelf_log, zero_vectors(shelf_log), levels=2)
    assert set(interests.names) == {"Audio > Headphones", "Audio > Speakers", "Home > Lamps", "Garden", "Toys"}
    assert interests.item_interest[1] == interests.item_interest[2]


def test_the_smallest_interests_are_merged(shelf_log):
    interests = taxonomy_interests(shelf_log, zero_vectors(shelf_log), max_interests=3)
    assert interests.names == ["Audio", "Home", OTHER]
    assert interests.item_interest.tolist() == [0, 0, 0, 1, -1, 1, 2, 2]
    assert "3 interests" in interests.rule


def test_a_category_called_other_is_merged_into_other():
    log = log_of_items(make_items(4, category=["other", "a", "b", "c"]), [0, 0, 1, 1, 2, 3])
    names = taxonomy_interests(log, zero_vectors(log), max_interests=3).names
    assert names == ["a", OTHER]  # the category of that name is merged too


def test_the_largest_interests_are_those_with_most_training_events():
    items, item = make_items(3, category=["a", "b", "c"]), [0, 0, 1, 2, 2, 2]
    train = np.array([True, True, True, False, False, False])
    assert taxonomy_interests(log_of_items(items, item, train), np.zeros((3, 2)), max_interests=2).names == ["a", OTHER]


@pytest.mark.parametrize("path", ["", " > b", "/", "a > "])
def test_an_empty_level_is_not_an_interest(path):
    log = log_of_items(make_items(2, category=[path, "c"]), [0, 1])
    interests = taxonomy_interests(log, zero_vectors(log))
    words = path.strip(" >/")
    assert interests.names == ([words] if words else []) + ["c"]
    assert (interests.item_interest[0] == -1) == (not words)


def test_a_missing_or_empty_column_is_reported_in_one_line(shelf_log):
    with pytest.raises(DataError, match="no column genre; they have item_id, category"):
        taxonomy_interests(shelf_log, zero_vectors(shelf_log), column="genre")
    log = log_of_items(make_items(2, category=[None, None]), [0, 1])
    with pytest.raises(DataError, match="column category of the items is empty"):
        taxonomy_interests(log, zero_vectors(log))


@pytest.mark.parametrize(
    ("category", "rule"),
    [
        (["a", "b"] * 6, "taxonomy"),
        (["a"] * 12, "2 clusters"),  # a single interest is not informative
        (["a", None, None, None, None, "b"] * 2, "2 clusters"),
        (None, "2 clusters"),
        ([f"c{i}" for i in range(12)], "2 clusters"),  # the largest cover few events
    ],
)
def test_auto_chooses_the_taxonomy_if_it_covers_enough_events(category, rule):
    items = make_items(12) if category is None else make_items(12, category=category)
    log = log_of_items(items, range(12))
    vectors = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    assert build_interests(log, vectors, Settings(clusters=2, leaves_per_cluster=1, max_interests=4)).rule.startswith(rule)
    assert build_interests(log, vectors, Settings(interests="clusters", clusters=2, leaves_per_cluster=1)).rule.startswith(
        "2 clusters"
    )


def clustered_vectors(count=3, each=8, seed=0):
    """Vectors in well-separated clusters."""
    rng = np.random.default_rng(seed)
    return (np.repeat(np.eye(count) * 5, each, 0) + rng.normal(0, 0.1, (count * each, count))).astype(np.float32)


def test_clusters_do_not_depend_on_the_lengths_of_vectors():
    vectors = clustered_vectors() * np.random.default_rng(1).uniform(0.1, 9, (24, 1)).astype(np.float32)
    interests = cluster_items(log_of_items(make_items(24), range(24)), vectors, 3, 2)
    assert sorted(np.unique(interests.item_interest, return_counts=True)[1].tolist()) == [8, 8, 8]
    assert all(len(set(interests.item_interest[8 * k : 8 * k + 8].tolist())) == 1 for k in range(3))
    assert (interests.leaf // 2 == interests.item_interest).all()


def test_an_item_absent_from_training_joins_the_nearest_cluster_without_moving_it():
    vectors, train = clustered_vectors(), np.r_[np.ones(24, bool), np.zeros(1, bool)]
    extended = np.vstack([vectors, [[0.1, -40, 3]]]).astype(np.float32)
    interests = cluster_items(log_of_items(make_items(25), range(25), train), extended, 3, 2)
    expected = cluster_items(log_of_items(make_items(24), range(24)), vectors, 3, 2)
    np.testing.assert_array_equal(interests.item_interest[:24], expected.item_interest)
    np.testing.assert_array_equal(interests.leaf[:24], expected.leaf)
    assert interests.item_interest[24] == interests.item_interest[16]


def test_an_item_without_a_vector_has_no_interest():
    vectors = clustered_vectors()
    vectors[3] = 0
    interests = cluster_items(log_of_items(make_items(24), range(24)), vectors, 3, 2)
    assert interests.item_interest[3] == interests.leaf[3] == -1
    assert (np.delete(interests.item_interest, 3) >= 0).all()


def test_fewer_vectors_than_clusters_are_reported_in_one_line():
    with pytest.raises(DataError, match="2 distinct vectors occur in training, fewer than the 3"):
        cluster_items(log_of_items(make_items(4), range(4)), np.eye(2, dtype=np.float32)[[0, 0, 1, 1]], 3)


@pytest.mark.parametrize("titles", ["distinct", "null", "numbers", "stop words", "the same", "none"])
def test_names_are_distinct_for_any_titles(titles):
    words = {
        "distinct": [f"{word} lamp" for word in ("red", "green", "blue") for _ in range(8)],
        "null": [None] * 24,
        "numbers": [str(n) for n in range(24)],
        "stop words": ["the of and"] * 24,
        "the same": ["lamp"] * 24,
    }
    items = make_items(24, title=words[titles]) if titles in words else make_items(24)
    interests = cluster_items(log_of_items(items, [*range(24), 5, 5]), clustered_vectors(), 3, 2)
    assert len(set(interests.names)) == 3
    assert len(set(interests.leaves)) == 6
    assert all(interests.names)
    if titles == "distinct":
        assert sorted(name.split(", ")[0] for name in interests.names) == ["blue", "green", "red"]
    if titles in ("null", "none"):
        assert any(name.startswith("item i5") for name in interests.names)  # the most frequent item


def test_clusters_are_reproducible():
    vectors = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    log = log_of_items(make_items(40), range(40))
    first, second = (cluster_items(log, vectors, 5, 2, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.leaf, second.leaf)
    assert first.names == second.names


def test_centroids_are_the_means_of_the_items():
    vectors = clustered_vectors()
    interests = cluster_items(log_of_items(make_items(24), range(24)), vectors, 3, 1)
    np.testing.assert_allclose(interests.centroids[interests.item_interest[0]], vectors[:8].mean(0), atol=1e-5)


def test_numeric_categories_are_named_by_their_digits():
    items = make_items(3).with_columns(category=pl.Series([1, 2, None]))
    log = log_of_items(items, [0, 1, 2])
    assert taxonomy_interests(log, zero_vectors(log)).names == ["1", "2"]
