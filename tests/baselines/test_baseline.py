import numpy as np
import pytest
import torch

from interestlab.baselines import Cooccurrence, CooccurrenceSettings, Ease, EaseSettings, Popularity
from interestlab.baselines.measurement import measure
from interestlab.metrics import ranking, target_ranks

RNG = np.random.default_rng(0)
HISTORIES = ["".join(RNG.choice(list("abcdefgh"), size=RNG.integers(3, 9))) for _ in range(25)]
BUILD = {
    "popularity": lambda log: Popularity(log.counts),
    "cooccurrence": Cooccurrence,
    "ease": lambda log: Ease(log, EaseSettings(l2=2)),
}


@pytest.mark.parametrize("name", BUILD)
@pytest.mark.parametrize("excluded", [True, False])
def test_ranks_do_not_depend_on_the_tile_and_equal_those_of_the_score_matrix(data, monkeypatch, name, excluded):
    shop = data(HISTORIES, exclude_history=excluded)
    baseline = BUILD[name](shop.log)
    (batch,) = shop.loader("test")
    monkeypatch.setattr(ranking, "TILE", 20)  # two users at a time
    ranks = baseline.rank_targets(batch)
    targets = batch.targets.max(1).values
    # The scores of a user as the vector of that user, against unit vectors.
    expected = target_ranks(baseline.score(batch).double(), torch.eye(8, dtype=torch.float64), targets, batch.history_items)
    assert torch.equal(ranks.users, batch.users)
    assert torch.equal(ranks.targets, targets)
    assert torch.equal(ranks.num_higher, expected[0])
    assert torch.equal(ranks.num_tied, expected[1])


def test_popularity_ranks_by_training_events(data):
    shop = data(["aaabb", "aabcd"])  # training: a 5, b 1
    for batch in shop.loader("test"):
        scores = Popularity(shop.log.counts).score(batch)
        assert scores.tolist() == [[5, 1, 0, 0]] * len(batch.users)


def test_every_baseline_is_measured_or_skipped_with_a_reason(data):
    shop = data(HISTORIES)
    results = dict(measure(shop, "validation", [5], CooccurrenceSettings(), EaseSettings(max_items=3)))
    assert "8 items are more than max_items=3" in results.pop("ease")
    assert list(results) == ["popularity", "cooccurrence"]
    for result in results.values():
        assert {"recall@5", "ndcg@5", "mrr@5"} <= result.summary.means.keys()
        assert sum(result.summary.group_users.values()) == int((shop.log.split_positions.validation > 0).sum())
        assert result.num_bytes > 0
    everything = dict(measure(shop, "test", [5], CooccurrenceSettings(), EaseSettings()))
    assert everything["ease"].num_bytes == 8 * 8 * 8
