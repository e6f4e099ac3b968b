"""Detect changes while sessions arrive one at a time, without looking ahead (online).

``benchmarks/drift`` measures how often and how late changes are detected.
"""

from typing import Any

import numpy as np
import polars as pl

from interestlab.drift.changes.scan import likelihood, occurrences
from interestlab.errors import DataError

GRACE = 10
"""Smallest number of sessions between two detections."""

WINDOW = 5
"""Smallest number of sessions on each side of a change."""

MOST = 4.0
"""Largest ``delta``; the bound is a real number only for ``delta < 2 ln(GRACE)``."""

DELTAS = np.geomspace(1e-6, MOST, 64)
"""Sensitivities that :func:`calibrate_delta` tries."""


class OnlineDetector:
    r"""ADWIN (Bifet and Gavaldà 2007), as ``river`` computes it, on the indicators of one user's interests.

    Each interest that has occurred has a window of zeros and ones, one for every session since the last change. A window
    is cut, and a change is detected, if the means of its two parts, of ``n_0`` and ``n_1`` sessions, differ by at least

    .. math:: \epsilon = \sqrt{\frac{2}{m} \sigma^2 \ln\frac{2}{\delta'}} + \frac{2}{3 m} \ln\frac{2}{\delta'},
              \qquad \frac{1}{m} = \frac{1}{n_0} + \frac{1}{n_1}, \qquad \delta' = \frac{\delta}{\ln n}.

    The bound is loose for one window, and a user has several windows. So ``delta`` is not a significance level here and may
    exceed 1; :func:`calibrate_delta` chooses it.
    ADWIN drops its oldest sessions without locating the change, so the change is placed where it is likeliest among the
    sessions since the last one, as in :mod:`interestlab.drift.changes.scan`. Every window then restarts there, so that the
    interest that falls and the one that rises count as one change.

    A session costs one update of each window, about a microsecond.

    Attributes:
        sessions: number of sessions so far.
        position: first session after the last detected change, 0 before any.

    Args:
        delta: sensitivity, above 0 and up to :data:`MOST`.

    Raises:
        DataError: ``delta`` is out of range, or ``river`` is not installed.
    """

    def __init__(self, delta: float) -> None:
        if not 0 < delta <= MOST:
            raise DataError(f"delta is {delta}; use a number above 0 and up to {MOST}, such as calibrate_delta() returns.")
        self.delta = delta
        self.sessions = 0
        self.position = 0
        self._adwin = adwin()
        self._since: list[int] = []
        self._windows: dict[int, Any] = {}

    def update(self, label: int) -> bool:
        """Process the next session.

        Args:
            label: main interest of the session.

        Returns:
            Whether a change is detected now.
        """
        self.sessions += 1
        self._since.append(label)
        if label not in self._windows:
            self._windows[label] = self._window([0] * (len(self._since) - 1))
        seen = False
        for interest, window in self._windows.items():
            window.update(float(interest == label))
            seen |= window.drift_detected
        if not seen:
            return False
        cut = WINDOW + int(likelihood(*occurrences(np.array([self._since])), WINDOW).argmax())
        self.position += cut
        self._since = self._since[cut:]
        self._windows = {
            interest: self._window([int(interest == other) for other in self._since]) for interest in dict.fromkeys(self._since)
        }
        return True

    def _window(self, past: list[int]) -> Any:
        window = self._adwin(self.delta, clock=1, min_window_length=WINDOW, grace_period=GRACE)
        for value in past:
            window.update(float(value))
        return window


def adwin() -> Any:
    """Import the detector of ``river``.

    Returns:
        The class.

    Raises:
        DataError: ``river`` is not installed.
    """
    try:
        from river.drift import ADWIN
    except ModuleNotFoundError as err:
        raise DataError("changes online need river: pip install 'interestlab[drift]'") from err
    return ADWIN


def calibrate_delta(offsets: np.ndarray, labels: np.ndarray, level: float = 0.05, seed: int = 0, most: int = 1000) -> float:
    """Find the most sensitive ``delta`` with which at most a share ``level`` of users alarm if their sessions are shuffled.

    A user who alarms also alarms at every larger ``delta``, so bisection finds it. The share is over all users: those with long
    histories, or with two large interests, alarm more often than others.

    Args:
        offsets: ``[U + 1]`` where each user's sessions begin.
        labels: ``[N]`` interest of each session.
        level: share of users that alarm, over their full histories.
        seed: random seed of the shuffles, and of the sample if there are more than ``most`` users.
        most: largest number of users in the sample. The share has a standard error of ``sqrt(level (1 - level) / most)``.

    Raises:
        DataError: there is no user, or no ``delta`` is quiet enough.
    """
    rng = np.random.default_rng(seed)
    users = len(offsets) - 1
    if users < 1:
        raise DataError("there are no users to calibrate on; give their sessions.")
    tried = np.sort(rng.choice(users, min(users, most), replace=False))
    shuffled = [rng.permutation(labels[offsets[user] : offsets[user + 1]]).tolist() for user in tried]
    low, high = -1, len(DELTAS) - 1
    while low < high:
        middle = (low + high + 1) // 2
        alarmed = sum(raises_alarm(sequence, DELTAS[middle]) for sequence in shuffled)
        low, high = (middle, high) if alarmed <= level * len(shuffled) else (low, middle - 1)
    if low < 0:
        raise DataError(f"every delta raises an alarm for more than {level} of the users; increase the level.")
    return float(DELTAS[low])


def raises_alarm(sequence: list[int], delta: float) -> bool:
    """Return whether any session of a sequence raises an alarm.

    Args:
        sequence: main interest of each session.
        delta: sensitivity.
    """
    detector = OnlineDetector(delta)
    return any(detector.update(label) for label in sequence)


def find_online(offsets: np.ndarray, labels: np.ndarray, delta: float) -> pl.DataFrame:
    """List the alarms of every user.

    Args:
        offsets: ``[U + 1]`` where each user's sessions begin.
        labels: ``[N]`` interest of each session.
        delta: sensitivity, from :func:`calibrate_delta`.

    Returns:
        ``user`` (index), ``session`` (the first after the change, placed where two multinomials are likeliest) and ``seen``
        (at which the change was detected), both counted within the user.
    """
    rows: list[tuple[int, int, int]] = []
    for user in range(len(offsets) - 1):
        detector = OnlineDetector(delta)
        for session, label in enumerate(labels[offsets[user] : offsets[user + 1]].tolist()):
            if detector.update(label):
                rows.append((user, detector.position, session))
    return pl.DataFrame(rows, schema={"user": pl.Int64, "session": pl.Int64, "seen": pl.Int64}, orient="row")
