"""Split each user's history into training, validation and test events."""

from typing import Literal, NamedTuple

import numpy as np

SplitStrategy = Literal["leave_one_out", "global_time", "new_items"]

SplitName = Literal["train", "validation", "test", "predict"]


class SplitPositions(NamedTuple):
    """Where each history is split, as positions within that history; -1 where a user has no target.

    Attributes:
        train: ``[users]`` int64 number of training events, which come first.
        validation: ``[users]`` int64 position of the validation target, predicted from all events before it.
        test: ``[users]`` int64 position of the test target, predicted from all events before it.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def leave_one_out(offsets: np.ndarray, is_target: np.ndarray) -> SplitPositions:
    """Use each user's last eligible event for test and the one before it for validation.

    A user with fewer than two eligible events, or whose validation target would be the first event, is only trained on.

    Args:
        offsets: ``[users + 1]`` int64 index of the first event of each history.
        is_target: ``[events]`` bool, which events are eligible as targets.

    Returns:
        The positions of all users.
    """
    lengths = np.diff(offsets)
    eligible = np.flatnonzero(is_target)
    ends = np.searchsorted(eligible, offsets[1:])
    enough = ends - np.searchsorted(eligible, offsets[:-1]) >= 2
    test, validation = np.full(len(lengths), -1), np.full(len(lengths), -1)
    test[enough] = eligible[ends[enough] - 1] - offsets[:-1][enough]
    validation[enough] = eligible[ends[enough] - 2] - offsets[:-1][enough]
    evaluated = validation > 0
    return SplitPositions(
        train=np.where(evaluated, validation, lengths),
        validation=np.where(evaluated, validation, -1),
        test=np.where(evaluated, test, -1),
    )


def cut_times(times: np.ndarray, quantiles: tuple[float, float]) -> tuple[int, int]:
    """Return the times at which the validation window and the test window start.

    Args:
        times: ``[events]`` unix seconds.
        quantiles: share of all events before each window.
    """
    validation, test = np.quantile(times, quantiles, method="higher")
    return int(validation), int(test)


def global_time(offsets: np.ndarray, times: np.ndarray, is_target: np.ndarray, cuts: tuple[int, int]) -> SplitPositions:
    """Split all histories at the same two times; no event at or after the first time is trained on.

    A user's target is the first eligible event of each window, predicted from all events before it. Users without an event
    before a window have no target in it.

    Args:
        offsets: ``[users + 1]`` int64 index of the first event of each history.
        times: ``[events]`` unix seconds.
        is_target: ``[events]`` bool, which events are eligible as targets.
        cuts: unix seconds at which the validation window and the test window start.

    Returns:
        The positions of all users.
    """
    validation_start, test_start = cuts
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))

    def count_before(time: float) -> np.ndarray:
        return np.bincount(users[times < time], minlength=len(offsets) - 1)

    def first_target(window: np.ndarray, events_before: np.ndarray) -> np.ndarray:
        eligible = np.flatnonzero(window & is_target)
        with_target, first = np.unique(users[eligible], return_index=True)
        position = np.full(len(offsets) - 1, -1)
        position[with_target] = eligible[first] - offsets[with_target]
        return np.where(events_before > 0, position, -1)

    train = count_before(validation_start)
    in_validation, in_test = (times >= validation_start) & (times < test_start), times >= test_start
    return SplitPositions(
        train=train,
        validation=first_target(in_validation, train),
        test=first_target(in_test, count_before(test_start)),
    )


def first_times(items: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return ``[items]`` int64 the time of the first event of each item.

    Args:
        items: ``[events]`` index of the item of each event; every item has an event.
        times: ``[events]`` unix seconds.
    """
    first = np.full(int(items.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, items, times)
    return first


def new_items(
    offsets: np.ndarray, items: np.ndarray, times: np.ndarray, is_target: np.ndarray, cuts: tuple[int, int]
) -> SplitPositions:
    """Split as :func:`global_time` does; only items whose first event is at or after the first time are targets.

    No event of these items is trained on, neither as a target nor as part of a history.

    Args:
        offsets: ``[users + 1]`` int64 index of the first event of each history.
        items: ``[events]`` index of the item of each event; every item has an event.
        times: ``[events]`` unix seconds.
        is_target: ``[events]`` bool, which events are eligible as targets.
        cuts: unix seconds at which the validation window and the test window start.

    Returns:
        The positions of all users.
    """
    is_new = first_times(items, times) >= cuts[0]
    return global_time(offsets, times, is_target & is_new[items], cuts)
