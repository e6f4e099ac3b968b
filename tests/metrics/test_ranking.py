import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.metrics import ranking, target_ranks, target_ranks_of_scores, top_k_items


@pytest.fixture
def tile(monkeypatch):
    return lambda scores: monkeypatch.setattr(ranking, "TILE", scores)


@st.composite
def cases(draw):
    """Small integer vectors, so that many scores tie exactly; targets; histories."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    users, items, dim, seen = (draw(st.integers(1, n)) for n in (5, 12, 2, 6))
    z, table = rng.integers(-2, 3, (users, dim)), rng.integers(-2, 3, (items, dim))
    arrays = z * 1.0, table * 1.0, rng.integers(0, items, users), rng.integers(-1, items, (users, seen))
    return tuple(torch.from_numpy(a) for a in arrays)


def competing(target, seen, items):
    """Items that are ranked: those outside the history, and the target."""
    return [i for i in range(items) if i == target or i not in seen]


def check_target_ranks(z, table, targets, seen):
    better, equal = target_ranks(z, table, targets, seen)
    scores = (z @ table.T).tolist()
    for user, target in enumerate(targets.tolist()):
        rivals = [scores[user][i] for i in competing(target, seen[user].tolist(), len(table)) if i != target]
        # A full sort: the rank of the target if it loses every tie, and if it wins every tie.
        target_score = scores[user][target]
        last = sorted([(-s, 0) for s in rivals] + [(-target_score, 1)]).index((-target_score, 1))
        first = sorted([(-s, 1) for s in rivals] + [(-target_score, 0)]).index((-target_score, 0))
        assert (int(better[user]), int(equal[user])) == (first, last - first)


def check_top_k(z, table, seen, k):
    items, scores = top_k_items(z, table, seen, k)
    full = z @ table.T
    assert items.shape == scores.shape == (len(z), min(k, len(table)))
    for user, (top, values) in enumerate(zip(items.tolist(), scores.tolist(), strict=True)):
        user_seen = set(seen[user].tolist())
        value = {i: -float("inf") if i in user_seen else float(full[user, i]) for i in range(len(table))}
        assert top == sorted(value, key=lambda i: (-value[i], i))[:k]
        assert values == [value[i] for i in top]


@settings(deadline=None)
@given(case=cases(), size=st.sampled_from([1, 7, 4_000_000]), k=st.integers(1, 15))
def test_against_a_full_sort(case, size, k):
    z, table, targets, seen = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "TILE", size)
        check_target_ranks(z, table, targets, seen)
        check_top_k(z, table, seen, k)


@given(case=cases())
def test_given_scores_are_ranked_like_the_scores_of_vectors(case):
    z, table, targets, seen = case
    for one, other in zip(
        target_ranks(z, table, targets, seen), target_ranks_of_scores(z @ table.T, targets, seen), strict=True
    ):
        assert torch.equal(one, other)


def random_problem(users=40, items=300, dim=16, seed=0):
    gen = torch.Generator().manual_seed(seed)
    z, table = (torch.randn(n, dim, generator=gen, dtype=torch.float64) for n in (users, items))
    table[100:130] = table[50:80]  # duplicate items
    targets = torch.randint(0, items, (users,), generator=gen)
    targets[:15] = torch.arange(100, 115)
    return z, table, targets, torch.randint(-1, items, (users, 20), generator=gen)


@pytest.mark.parametrize(
    ("size", "batch"),
    [
        *itertools.product([100, 1003, 10**9], [1, 7, 40]),
        (1, 40),
        *(pytest.param(1, batch, marks=pytest.mark.slow) for batch in (1, 7)),
    ],
)
def test_ranks_depend_on_neither_tile_size_nor_batch(tile, size, batch):
    z, table, targets, seen = random_problem()
    expected = [*target_ranks(z, table, targets, seen), *top_k_items(z, table, seen, 10)]
    tile(size)
    pieces = zip(*(t.split(batch) for t in (z, targets, seen)), strict=True)
    parts = [[*target_ranks(a, table, b, c), *top_k_items(a, table, c, 10)] for a, b, c in pieces]
    for one, batches in zip(expected, zip(*parts, strict=True), strict=True):
        assert torch.equal(one, torch.cat(batches))
    assert (expected[1] > 0).any()


@pytest.mark.parametrize("size", [1, 97, 10**9])
def test_equal_vectors_tie_exactly(tile, size):
    z, table, targets, _ = random_problem()
    tile(size)
    _, equal = target_ranks(z, table, targets, torch.empty(len(z), 0, dtype=torch.int64))
    num_equal = [int((table == table[t]).all(1).sum()) - 1 for t in targets]
    assert equal.tolist() == num_equal


@pytest.mark.parametrize("size", [1, 97, 10**9])
@pytest.mark.parametrize("k", [1, 3])
def test_the_best_of_several_interests_counts(tile, size, k):
    z, table, targets, seen = random_problem(users=40 * k)
    several, targets, seen = z.view(40, k, -1), targets[:40], seen[:40]
    tile(size)
    scores = torch.stack([(several[:, i] @ table.T).float() for i in range(k)]).max(0).values
    better, equal = target_ranks(several, table, targets, seen)
    items, top_scores = top_k_items(several, table, seen, 10)
    for user, target in enumerate(targets.tolist()):
        user_seen = seen[user].tolist()
        rivals = scores[user, [i for i in competing(target, user_seen, len(table)) if i != target]]
        target_score = scores[user, target]
        assert (better[user], equal[user]) == ((rivals > target_score).sum(), (rivals == target_score).sum())
        value = {i: float(scores[user, i]) for i in range(len(table)) if i not in user_seen}
        assert items[user].tolist() == sorted(value, key=lambda i: (-value[i], i))[:10]
        assert top_scores[user].tolist() == [value[i] for i in items[user].tolist()]


@pytest.mark.parametrize("size", [1, 97, 10**9])
def test_one_interest_per_user_gives_identical_bits(tile, size):
    z, table, targets, seen = random_problem()
    tile(size)
    plain = [*target_ranks(z, table, targets, seen), *top_k_items(z, table, seen, 10)]
    single = [*target_ranks(z[:, None], table, targets, seen), *top_k_items(z[:, None], table, seen, 10)]
    assert all(map(torch.equal, plain, single))


@pytest.mark.parametrize("precision", ["highest", "medium"])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e15])
@pytest.mark.parametrize("gap", [0.0, 1e-9, 3e-8, 1e-6, 1e-3])
def test_near_ties_are_decided_in_float64(scale, gap, precision):
    """Every item has a neighbour that is longer by ``gap``; float32 products cannot tell the closer ones apart."""
    z, table, targets, seen = random_problem(users=200, dim=64)
    table[200:] = table[:100] * (1 + gap)
    z, table = z.view(100, 2, 64) * scale, table * scale
    targets, seen = targets[:100], seen[:100]
    scores = (z @ table.T).float().amax(1)
    own = scores.gather(1, targets[:, None])
    competes = torch.ones_like(scores, dtype=torch.bool)
    for user, items in enumerate(seen.tolist()):
        competes[user, [i for i in items if i >= 0]] = False
    competes[torch.arange(100), targets] = False
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        higher, equal = target_ranks(z, table, targets, seen)
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(higher, ((scores > own) & competes).sum(1))
    assert torch.equal(equal, ((scores == own) & competes).sum(1))


def test_mixed_precision_does_not_change_a_rank():
    problem = random_problem(dim=64)
    expected = target_ranks(*problem)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        counts = target_ranks(*problem)
    assert all(map(torch.equal, counts, expected))


@pytest.mark.parametrize("value", [0.0, 1e200])
def test_values_that_float32_cannot_rank(value):
    z, table = torch.full((3, 2), value, dtype=torch.float64), torch.full((5, 2), value, dtype=torch.float64)
    higher, equal = target_ranks(z, table, torch.tensor([0, 1, 4]), torch.tensor([[1], [1], [-1]]))
    assert higher.tolist() == [0, 0, 0]
    assert equal.tolist() == [3, 4, 4]


def test_seen_items_do_not_compete_and_a_seen_target_does():
    z, table = torch.tensor([[1.0]]), torch.tensor([[5.0], [4.0], [3.0], [3.0], [1.0]])
    target = torch.tensor([2])
    for seen, expected in {(-1, -1): (2, 1), (0, -1): (1, 1), (0, 3): (1, 0), (2, 0): (1, 1), (1, 1): (1, 1)}.items():
        better, equal = target_ranks(z, table, target, torch.tensor([seen]))
        assert (better.item(), equal.item()) == expected


def test_top_k_orders_ties_by_index():
    z, table = torch.tensor([[1.0], [-1.0]]), torch.tensor([[0.0], [2.0], [-1.0], [2.0], [-0.0]])
    items, scores = top_k_items(z, table, torch.full((2, 1), -1), 4)
    assert items.tolist() == [[1, 3, 0, 4], [2, 0, 4, 1]]
    assert scores.tolist() == [[2, 2, 0, 0], [1, 0, 0, -2]]


def test_k_above_the_catalogue_size():
    items, scores = top_k_items(torch.ones(1, 1), torch.arange(3.0)[:, None], torch.tensor([[2]]), 10)
    assert items.tolist() == [[1, 0, 2]]
    assert scores.tolist() == [[1, 0, -float("inf")]]


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20))
def test_keys_sort_as_scores_do(values):
    scores = torch.tensor([values])
    keys = ranking.sort_keys(scores, torch.arange(len(values)))
    order = torch.argsort(keys[0], descending=True).tolist()
    assert order == sorted(range(len(values)), key=lambda i: (-values[i], i))
    assert torch.equal(ranking.scores_from_keys(keys), scores + 0.0)
