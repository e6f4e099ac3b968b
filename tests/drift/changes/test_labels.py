"""Labels of sessions, and the interests that a change is between."""

from collections import Counter

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.drift.changes import find_ends, label_sessions
from interestlab.drift.interests import Interests
from interestlab.drift.session_log import SessionLog

ITEM_INTEREST = np.array([0, 1, 2, 2, -1])


def make_log(users: list[list[list[int]]]) -> SessionLog:
    """A log of users, each a list of sessions, each a list of items."""
    item = np.array([i for user in users for session in user for i in session], int)
    zeros = np.zeros(len(item))
    return SessionLog(
        users=pl.Series([str(u) for u in range(len(users))]),
        items=pl.DataFrame({"item_id": list("abcde")}),
        offsets=np.cumsum([0, *(sum(map(len, user)) for user in users)]),
        event_index=np.arange(len(item)),
        time=zeros,
        item=item,
        session=np.repeat(np.arange(sum(map(len, users))), [len(s) for user in users for s in user]),
        depth=zeros,
        in_training=zeros > 0,
    )


INTERESTS = Interests(["x", "y", "z"], ITEM_INTEREST, [], ITEM_INTEREST, np.zeros((5, 1)), "")
logs = st.lists(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=5), max_size=5), min_size=1, max_size=5)


@settings(deadline=None)
@given(logs)
def test_a_session_has_its_most_frequent_interest_or_the_first_of_a_tie(users) -> None:
    offsets, labels, first = label_sessions(make_log(users), INTERESTS)
    expected, sizes, events, position = [], [], [], 0
    for user in users:
        before = len(expected)
        for session in user:
            labelled = [(position + i, int(ITEM_INTEREST[item])) for i, item in enumerate(session) if ITEM_INTEREST[item] >= 0]
            position += len(session)
            if labelled:
                expected.append(Counter(k for _, k in labelled).most_common(1)[0][0])  # the first of a tie
                events.append(labelled[0][0])
        sizes.append(len(expected) - before)
    assert labels.tolist() == expected
    assert first.tolist() == events
    assert offsets.tolist() == np.cumsum([0, *sizes]).tolist()


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=12), min_size=1, max_size=4), st.data())
def test_the_ends_of_a_change_are_the_largest_fall_and_rise(users, data) -> None:
    cuts = np.array([data.draw(st.integers(1, len(user) - 1)) for user in users])
    start = np.cumsum([0, *map(len, users)])
    source, destination = find_ends(np.concatenate(users), start[:-1], start[:-1] + cuts, start[1:])
    for user, cut, fell, rose in zip(users, cuts, source, destination, strict=True):
        rise = (np.bincount(user[cut:], minlength=4) / (len(user) - cut) - np.bincount(user[:cut], minlength=4) / cut).round(12)
        assert fell == (rise.argmin() if rise.min() < 0 else -1)
        assert rose == (rise.argmax() if rise.max() > 0 else -1)


def test_no_changes_have_no_ends() -> None:
    empty = np.array([], int)
    assert [len(end) for end in find_ends(np.array([1, 2]), empty, empty, empty)] == [0, 0]
