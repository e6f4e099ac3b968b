"""The index: exact, and inverted where it was measured to be as good."""

import numpy as np
import pytest
import torch

from interestlab.serving.index import ExactIndex
from interestlab.serving.index_choice import choose_index, measure_recall
from interestlab.serving.inverted_file import InvertedFile
from interestlab.serving.items import ItemTable


def make_table(count=1500, dim=8, seed=0, clusters=40):
    """Return items in clusters, as trained ones are."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(clusters, dim, generator=generator) * 3
    vectors = centres[torch.randint(clusters, (count,), generator=generator)] + torch.randn(count, dim, generator=generator)
    return ItemTable([f"i{n}" for n in range(count)], vectors, vectors, np.zeros(count, np.int64))


def make_users(table, count=120, interests=None, seed=1):
    generator = torch.Generator().manual_seed(seed)
    shape = (count,) if interests is None else (count, interests)
    return table.catalogue[torch.randint(len(table), shape, generator=generator)] + 0.3


def brute_force(table, users, k, excluded):
    scores = (users.double() @ table.catalogue.double().T).numpy()
    scores = scores.max(1) if users.ndim == 3 else scores
    for row, positions in zip(scores, excluded, strict=True):
        row[list(positions)] = -np.inf
    scores[:, table.is_retired] = -np.inf
    return [np.argsort(-row, kind="stable")[:k].tolist() for row in scores]


@pytest.mark.parametrize("interests", [None, 3])
def test_exact_search_is_exact(interests):
    table = make_table(300)
    table.set_retired(7, True)
    users = make_users(table, 20, interests)
    excluded = [{n, 2 * n} for n in range(20)]
    found = ExactIndex(table).search(users, 12, excluded)
    assert [[p for p, _ in ranked] for ranked in found] == brute_force(table, users, 12, excluded)
    assert len(ExactIndex(table).search(users[:1], 1000, [set(range(290))])[0]) == 10


def test_equal_scores_are_in_the_order_of_the_table():
    vectors = torch.ones(6, 2)
    table = ItemTable(list("abcdef"), vectors, vectors, np.zeros(6, np.int64))
    (ranked,) = ExactIndex(table).search(torch.ones(1, 2), 6, [set()])
    assert [position for position, _ in ranked] == [0, 1, 2, 3, 4, 5]


def test_a_small_catalogue_is_searched_exactly():
    table = make_table(300)
    index, note = choose_index(table, make_users(table))
    assert (index.name, index.recall, note) == ("exact", None, "exact search of 300 items")


@pytest.fixture
def faiss():
    return pytest.importorskip("faiss")


@pytest.mark.parametrize("interests", [None, 3])
def test_an_inverted_file_is_used_where_its_recall_is_high(faiss, interests):
    table = make_table()
    users = make_users(table, interests=interests)
    index, note = choose_index(table, users, exact_up_to=1000)
    assert index.name == "ivf"
    assert index.recall >= 0.99
    assert f"recall@10 {index.recall:.4f} on 120 user states" in note
    excluded = [{n, n + 1} for n in range(len(users))]
    found = [{p for p, _ in ranked} for ranked in index.search(users, 10, excluded)]
    best = [set(row) for row in brute_force(table, users, 10, excluded)]
    assert np.mean([len(a & b) / 10 for a, b in zip(found, best, strict=True)]) >= 0.98
    assert not any(row & left_out for row, left_out in zip(found, excluded, strict=True))


def test_an_inverted_file_is_not_used_where_its_recall_is_low(faiss):
    """Users whose best items lie in every direction defeat an index that searches a quarter of the lists."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(1500, 64, generator=generator)
    table = ItemTable([f"i{n}" for n in range(1500)], vectors, vectors, np.zeros(1500, np.int64))
    index, note = choose_index(table, torch.randn(120, 64, generator=generator), exact_up_to=1000)
    assert (index.name, index.recall) == ("exact", None)
    assert "below 0.99" in note


def test_without_enough_states_nothing_is_measured():
    table = make_table()
    for users in (None, make_users(table, 99)):
        index, note = choose_index(table, users, exact_up_to=1000)
        assert index.name == "exact"
        assert "too few to measure" in note


def test_items_that_come_or_go_are_followed(faiss):
    table = make_table()
    index = InvertedFile(table, probes=40)
    user = make_users(table, 1)
    (before,) = index.search(user, 5, [set()])
    vector = user[0] * 10
    index.add(table.add("new", vector, vector))
    assert index.search(user, 5, [set()])[0][0][0] == 1500
    table.set_retired(1500, True)
    assert index.search(user, 5, [set()]) == [before]
    for position in range(1400):  # so many are retired that the index finds too few
        table.set_retired(position, True)
    assert [p for p, _ in index.search(user, 30, [set()])[0]] == brute_force(table, user, 30, [set()])[0]


def test_recall_is_one_for_exact_search():
    table = make_table(200)
    exact = ExactIndex(table)
    assert measure_recall(exact, exact, make_users(table, 10)) == 1
    half = ExactIndex(make_table(200))
    half.items.set_retired(exact.search(make_users(table, 1), 1, [set()])[0][0][0], True)
    assert measure_recall(half, exact, make_users(table, 1)) == pytest.approx(0.9)
