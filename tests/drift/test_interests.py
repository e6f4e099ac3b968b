"""Which interest each item is of."""

import numpy as np
import polars as pl
import pytest
from session_logs import flat, items_of

from interestlab.drift.interests import OTHER, build_interests, cluster_items, taxonomy_interests
from interestlab.drift.settings import Settings
from interestlab.errors import DataError

PATHS = ["Audio > Headphones", "Audio>Speakers", "Audio / Speakers", "Home | Lamps", None, "Home | Lamps", "Garden", "Toys"]


def met(items, item, train=None):
    """A log of one user who meets some items."""
    return flat(np.zeros(len(item)), np.arange(len(item)) * 10_000, item, items=items, train=train)


def nowhere(log):
    return np.zeros((log.items.height, 2), np.float32)


@pytest.fixture
def shelves():
    return met(items_of(8, category=PATHS), [0, 0, 1, 3, 3, 6, 4])


def test_the_first_level_is_the_interest_and_the_path_the_leaf(shelves):
    found = taxonomy_interests(shelves, nowhere(shelves))
    assert found.names == ["Audio", "Home", "Garden", "Toys"]  # as often as training met them
    assert found.item_interest.tolist() == [0, 0, 0, 1, -1, 1, 2, 3]
    assert found.leaf[3] == found.leaf[5] != found.leaf[0]
    assert found.leaf[4] == -1
    assert found.leaves[found.leaf[0]] == "Audio > Headphones"


def test_more_levels_make_more_interests(shelves):
    found = taxonomy_interests(shelves, nowhere(shelves), levels=2)
    assert set(found.names) == {"Audio > Headphones", "Audio > Speakers", "Home > Lamps", "Garden", "Toys"}
    assert found.item_interest[1] == found.item_interest[2]


def test_the_smallest_are_one(shelves):
    found = taxonomy_interests(shelves, nowhere(shelves), max_interests=3)
    assert found.names == ["Audio", "Home", OTHER]
    assert found.item_interest.tolist() == [0, 0, 0, 1, -1, 1, 2, 2]
    assert "3 interests" in found.rule


def test_an_interest_called_other_does_not_share_its_name():
    log = met(items_of(4, category=["other", "a", "b", "c"]), [0, 0, 1, 1, 2, 3])
    names = taxonomy_interests(log, nowhere(log), max_interests=3).names
    assert names == ["a", OTHER]  # what is called so is among the others


def test_only_training_says_which_are_large():
    items, item = items_of(3, category=["a", "b", "c"]), [0, 0, 1, 2, 2, 2]
    train = np.array([True, True, True, False, False, False])
    assert taxonomy_interests(met(items, item, train), np.zeros((3, 2)), max_interests=2).names == ["a", OTHER]


@pytest.mark.parametrize("path", ["", " > b", "/", "a > "])
def test_a_level_without_a_word_is_none(path):
    log = met(items_of(2, category=[path, "c"]), [0, 1])
    found = taxonomy_interests(log, nowhere(log))
    words = path.strip(" >/")
    assert found.names == ([words] if words else []) + ["c"]
    assert (found.item_interest[0] == -1) == (not words)


def test_a_column_that_is_not_there_or_empty_is_told_in_a_line(shelves):
    with pytest.raises(DataError, match="no column genre; they have item_id, category"):
        taxonomy_interests(shelves, nowhere(shelves), column="genre")
    log = met(items_of(2, category=[None, None]), [0, 1])
    with pytest.raises(DataError, match="column category of the items is empty"):
        taxonomy_interests(log, nowhere(log))


@pytest.mark.parametrize(
    ("category", "taken"),
    [
        (["a", "b"] * 6, "taxonomy"),
        (["a"] * 12, "2 clusters"),  # one interest tells nothing
        (["a", None, None, None, None, "b"] * 2, "2 clusters"),
        (None, "2 clusters"),
        ([f"c{i}" for i in range(12)], "2 clusters"),  # the largest cover little
    ],
)
def test_auto_takes_the_taxonomy_where_it_tells(category, taken):
    items = items_of(12) if category is None else items_of(12, category=category)
    log = met(items, range(12))
    vectors = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    assert build_interests(log, vectors, Settings(clusters=2, leaves_per_cluster=1, max_interests=4)).rule.startswith(taken)
    assert build_interests(log, vectors, Settings(interests="clusters", clusters=2, leaves_per_cluster=1)).rule.startswith(
        "2 clusters"
    )


def bunches(count=3, each=8, seed=0):
    """Vectors in bunches that no one could take for others."""
    rng = np.random.default_rng(seed)
    return (np.repeat(np.eye(count) * 5, each, 0) + rng.normal(0, 0.1, (count * each, count))).astype(np.float32)


def test_clusters_are_the_bunches_whatever_their_length():
    vectors = bunches() * np.random.default_rng(1).uniform(0.1, 9, (24, 1)).astype(np.float32)
    found = cluster_items(met(items_of(24), range(24)), vectors, 3, 2)
    assert sorted(np.unique(found.item_interest, return_counts=True)[1].tolist()) == [8, 8, 8]
    assert all(len(set(found.item_interest[8 * k : 8 * k + 8].tolist())) == 1 for k in range(3))
    assert (found.leaf // 2 == found.item_interest).all()


def test_an_item_that_training_never_met_moves_no_centre_and_goes_to_the_nearest():
    near, train = bunches(), np.r_[np.ones(24, bool), np.zeros(1, bool)]
    far = np.vstack([near, [[0.1, -40, 3]]]).astype(np.float32)
    found = cluster_items(met(items_of(25), range(25), train), far, 3, 2)
    alone = cluster_items(met(items_of(24), range(24)), near, 3, 2)
    np.testing.assert_array_equal(found.item_interest[:24], alone.item_interest)
    np.testing.assert_array_equal(found.leaf[:24], alone.leaf)
    assert found.item_interest[24] == found.item_interest[16]


def test_an_item_of_which_nothing_is_known_has_no_interest():
    vectors = bunches()
    vectors[3] = 0
    found = cluster_items(met(items_of(24), range(24)), vectors, 3, 2)
    assert found.item_interest[3] == found.leaf[3] == -1
    assert (np.delete(found.item_interest, 3) >= 0).all()


def test_fewer_vectors_than_clusters_are_told_in_a_line():
    with pytest.raises(DataError, match="2 distinct vectors occur in training, fewer than the 3"):
        cluster_items(met(items_of(4), range(4)), np.eye(2, dtype=np.float32)[[0, 0, 1, 1]], 3)


@pytest.mark.parametrize("titles", ["told", "null", "numbers", "stop words", "the same", "none"])
def test_names_differ_whatever_the_titles_are(titles):
    words = {
        "told": [f"{word} lamp" for word in ("red", "green", "blue") for _ in range(8)],
        "null": [None] * 24,
        "numbers": [str(n) for n in range(24)],
        "stop words": ["the of and"] * 24,
        "the same": ["lamp"] * 24,
    }
    items = items_of(24, title=words[titles]) if titles in words else items_of(24)
    found = cluster_items(met(items, [*range(24), 5, 5]), bunches(), 3, 2)
    assert len(set(found.names)) == 3
    assert len(set(found.leaves)) == 6
    assert all(found.names)
    if titles == "told":
        assert sorted(name.split(", ")[0] for name in found.names) == ["blue", "green", "red"]
    if titles in ("null", "none"):
        assert any(name.startswith("item i5") for name in found.names)  # the most met


def test_same_seed_same_clusters():
    vectors = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    log = met(items_of(40), range(40))
    first, second = (cluster_items(log, vectors, 5, 2, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.leaf, second.leaf)
    assert first.names == second.names


def test_centroids_are_the_means_of_the_items():
    vectors = bunches()
    found = cluster_items(met(items_of(24), range(24)), vectors, 3, 1)
    np.testing.assert_allclose(found.centroids[found.item_interest[0]], vectors[:8].mean(0), atol=1e-5)


def test_a_taxonomy_of_numbers_is_one_of_their_words():
    items = items_of(3).with_columns(category=pl.Series([1, 2, None]))
    log = met(items, [0, 1, 2])
    assert taxonomy_interests(log, nowhere(log)).names == ["1", "2"]
