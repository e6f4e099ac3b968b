import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from interestlab.data.split import cut_times, global_time, leave_one_out

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=12)
TIMES = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=9).map(sorted), min_size=1, max_size=12)
SHARES = st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95)).map(sorted).filter(lambda s: s[0] < s[1])


def offsets(lengths):
    return np.cumsum([0, *lengths])


@given(LENGTHS)
def test_leave_one_out(lengths):
    cuts = leave_one_out(offsets(lengths), np.ones(sum(lengths), bool))
    for length, train, validation, test in zip(lengths, *cuts, strict=True):
        if length < 3:
            assert (train, validation, test) == (length, -1, -1)
        else:
            assert (train, validation, test) == (length - 2, length - 2, length - 1)


@given(TIMES, SHARES)
def test_global_time(users, shares):
    times = np.concatenate(users)
    cuts = global_time(offsets([len(u) for u in users]), times, np.ones(len(times), bool), cut_times(times, shares))
    first, second = np.quantile(times, shares, method="higher")
    for history, train, validation, test in zip(users, *cuts, strict=True):
        # Training events are all events before the first time.
        assert train == sum(t < first for t in history)
        inside = [position for position, t in enumerate(history) if first <= t < second]
        after = [position for position, t in enumerate(history) if t >= second]
        # A target is the first event of its window, with an event before the window.
        assert validation == (inside[0] if inside and inside[0] > 0 else -1)
        assert test == (after[0] if after and after[0] > 0 else -1)


@given(TIMES, SHARES)
def test_no_future_event_is_trained_on(users, shares):
    starts = offsets([len(u) for u in users])
    times = np.concatenate(users)
    cuts = global_time(starts, times, np.ones(len(times), bool), cut_times(times, shares))
    trained = [t for u, n in zip(users, cuts.train, strict=True) for t in u[:n]]
    targets = {
        part: [u[c] for u, c in zip(users, getattr(cuts, part), strict=True) if c > 0] for part in ("validation", "test")
    }
    latest = max(trained, default=0)
    assert all(t > latest for part in targets.values() for t in part)
    assert max(targets["validation"], default=0) < min(targets["test"], default=99)


def test_small_example():
    times = np.array([1, 2, 8, 9, 3, 5, 6, 7, 4, 10])
    cuts = global_time(np.array([0, 4, 8, 10]), times, np.ones(10, bool), cut_times(times, (0.5, 0.7)))
    # The sixth of ten times is 6, the eighth 8: the times that split the log.
    assert [c.tolist() for c in cuts] == [[2, 2, 1], [-1, 2, -1], [2, -1, 1]]
