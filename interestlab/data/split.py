"""Where a user's history is cut into training, validation and test."""

from typing import Literal, NamedTuple

import numpy as np

Split = Literal["leave_one_out", "global_time"]


class Cuts(NamedTuple):
    """Cuts of each user, as positions in the user's own history; -1 where a user has none.

    Attributes:
        train: ``[users]`` int64 how many first events are for training.
        validation: ``[users]`` int64 the event to be predicted in validation, from all events before it.
        test: ``[users]`` int64 the event to be predicted in test, from all events before it.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def leave_one_out(offsets: np.ndarray, wanted: np.ndarray) -> Cuts:
    """The last event that can be a target is for test, the one before it for validation; without two, a user only trains.

    Args:
        offsets: ``[users + 1]`` where each history begins.
        wanted: ``[events]`` bool, which events can be a target.
    """
    lengths = np.diff(offsets)
    events = np.flatnonzero(wanted)
    ends = np.searchsorted(events, offsets[1:])
    found = ends - np.searchsorted(events, offsets[:-1]) >= 2
    test, validation = np.full(len(lengths), -1), np.full(len(lengths), -1)
    test[found] = events[ends[found] - 1] - offsets[:-1][found]
    validation[found] = events[ends[found] - 2] - offsets[:-1][found]
    held = validation > 0
    return Cuts(np.where(held, validation, lengths), np.where(held, validation, -1), np.where(held, test, -1))


def global_time(offsets: np.ndarray, times: np.ndarray, wanted: np.ndarray, shares: tuple[float, float]) -> Cuts:
    """Two moments part the log for everyone: no event at or after the first is trained on, of any user.

    A user's target is the first event of each window that can be one, predicted from all that came before it; only users who
    were there before the window have one.

    Args:
        offsets: ``[users + 1]`` where each history begins.
        times: ``[events]`` unix seconds.
        wanted: ``[events]`` bool, which events can be a target.
        shares: share of all events before the validation and before the test window.
    """
    validation_from, test_from = np.quantile(times, shares, method="higher")
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))

    def before(moment: float) -> np.ndarray:
        return np.bincount(users[times < moment], minlength=len(offsets) - 1)

    def first(window: np.ndarray, seen: np.ndarray) -> np.ndarray:
        events = np.flatnonzero(window & wanted)
        found, at = np.unique(users[events], return_index=True)
        place = np.full(len(offsets) - 1, -1)
        place[found] = events[at] - offsets[found]
        return np.where(seen > 0, place, -1)

    train, seen = before(validation_from), before(test_from)
    in_validation, in_test = (times >= validation_from) & (times < test_from), times >= test_from
    return Cuts(train, first(in_validation, train), first(in_test, seen))
