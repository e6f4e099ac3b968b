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


def leave_one_out(offsets: np.ndarray) -> Cuts:
    """The last event is for test, the one before for validation; users of under three events only train."""
    lengths = np.diff(offsets)
    held = lengths >= 3
    return Cuts(np.where(held, lengths - 2, lengths), np.where(held, lengths - 2, -1), np.where(held, lengths - 1, -1))


def global_time(offsets: np.ndarray, times: np.ndarray, shares: tuple[float, float]) -> Cuts:
    """Two moments part the log for everyone: no event at or after the first is trained on, of any user.

    A user's target is the first event of each window, predicted from all that came before the window.

    Args:
        offsets: ``[users + 1]`` where each history begins.
        times: ``[events]`` unix seconds.
        shares: share of all events before the validation and before the test window.
    """
    validation_from, test_from = np.quantile(times, shares, method="higher")
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))

    def before(moment: float) -> np.ndarray:
        return np.bincount(users[times < moment], minlength=len(offsets) - 1)

    lengths, train, seen = np.diff(offsets), before(validation_from), before(test_from)
    return Cuts(
        train,
        np.where((train > 0) & (train < seen), train, -1),
        np.where((seen > 0) & (seen < lengths), seen, -1),
    )
