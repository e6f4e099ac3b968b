import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interestlab.baselines import Cooccurrence, CooccurrenceSettings, cooccurrence
from interestlab.baselines.cooccurrence import count_pairs

HISTORIES = ["abcxy", "aabca", "baab"]  # the last two events of each are held out


def test_counts_by_hand(data):
    log = data(HISTORIES).log
    counts = count_pairs(log, window=2, step_decay=0.5).toarray()
    items = log.items["item_id"].to_list()
    pairs = {(items[i], items[j]): counts[i, j] for i, j in zip(*counts.nonzero(), strict=True)}
    # u0: ab, bc, and ac in two steps; u1: aa, ab, and ab in two steps; u2: ba
    assert pairs == {("a", "b"): 2.5, ("b", "c"): 1, ("a", "c"): 0.5, ("a", "a"): 1, ("b", "a"): 1}


def test_scores_by_hand(data):
    shop = data(HISTORIES)
    baseline = Cooccurrence(shop.log, CooccurrenceSettings(window=2, step_decay=0.5, last_items=2, recency_decay=0.25))
    (batch, *_) = [batch for batch in shop.loader("test") if 2 in batch.users.tolist()]
    scores = dict(zip(batch.users.tolist(), baseline.score(batch).tolist(), strict=True))
    # The history of u2 is b a a: the row of a, once and a quarter.
    assert scores[2] == pytest.approx([1.25 * 1, 1.25 * 2.5, 1.25 * 0.5, 0, 0])


def test_repeats_can_be_left_out(data):
    log = data(HISTORIES).log
    counted, without = (Cooccurrence(log, CooccurrenceSettings(repeats=repeats)).matrix for repeats in (True, False))
    assert counted.diagonal().tolist() == [1, 0, 0, 0, 0]
    assert without.toarray().tolist() == (counted.toarray() - np.diag(counted.diagonal())).tolist()


def test_items_that_never_followed_tie(data):
    shop = data(HISTORIES)
    baseline = Cooccurrence(shop.log)
    for batch in shop.loader("test"):
        ranks = baseline.rank_targets(batch)
        for user, higher, tied in zip(*(c.tolist() for c in (ranks.users, ranks.num_higher, ranks.num_tied)), strict=True):
            if user == 0:  # y after a b c x: a, b, c and x are excluded, and y was never counted
                assert (higher, tied) == (0, 0)


def brute_force(log, window, decay):
    counts = np.zeros((5, 5))
    for items, n in zip(log.histories, log.train, strict=True):
        for t in range(n):
            for d in range(1, window + 1):
                if t + d < n:
                    counts[items[t], items[t + d]] += decay ** (d - 1)
    return counts


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.integers(1, 4), st.sampled_from([0.5, 1.0]), st.sampled_from([1, 3, 1 << 20]))
def test_counts_do_not_depend_on_the_chunks(logs, drawn, window, decay, chunk):
    log = drawn.draw(logs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cooccurrence, "EVENTS_PER_CHUNK", chunk)
        counts = count_pairs(log, window, decay).toarray()
    assert counts == pytest.approx(brute_force(log, window, decay))


@pytest.mark.parametrize("wrong", [{"window": 0}, {"last_items": 0}, {"step_decay": 0.0}, {"recency_decay": 1.5}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CooccurrenceSettings(**wrong)
