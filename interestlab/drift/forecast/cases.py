"""Windows of time and the cases to forecast in them: the interests of each user with earlier events."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from interestlab.data.datamodule import InterestData
from interestlab.drift.interests import Interests
from interestlab.errors import DataError


@dataclass(frozen=True)
class Windows:
    """Windows of equal length for everyone. Window 0 begins at the test cut; those before it have negative numbers.

    Attributes:
        start: start of window 0, unix seconds.
        length: seconds.
        first: number of the first complete window after the training cut; negative.
        stop: number of complete windows after the test cut.
    """

    start: float
    length: float
    first: int
    stop: int

    def begin(self, window: int) -> float:
        """Return the start of a window.

        Args:
            window: its number.

        Returns:
            Unix seconds.
        """
        return self.start + window * self.length

    def of(self, times: np.ndarray) -> np.ndarray:
        """Find the window of each time.

        Args:
            times: ``[E]`` unix seconds.

        Returns:
            ``[E]`` int64 number of the window.
        """
        return np.floor((times - self.start) / self.length).astype(np.int64)


def windows(data: InterestData, count: int) -> Windows:
    """Place windows before and after the test cut, of a length that divides the time after the training cut by ``count``.

    No window spans the test cut, and the remainders at the two ends are in no window.

    Args:
        data: split by global time.
        count: number of window lengths in the time after the training cut.

    Returns:
        The windows.

    Raises:
        DataError: the log is not split by global time, or a part after the training cut contains no complete window.
    """
    if data.preparation.split != "global_time":
        raise DataError(
            f"a forecast needs data.split=global_time, not {data.preparation.split}: otherwise training has seen the windows."
        )
    times = np.asarray(data.log.time)
    valid, test = np.quantile(times, data.preparation.split_quantiles, method="higher").astype(float)
    end = float(times.max()) + 1
    length = (end - valid) / count
    before, after = int((test - valid) / length + 1e-9), int((end - test) / length + 1e-9)
    if not before or not after:
        part, days = ("validation", test - valid) if not before else ("test", end - test)
        raise DataError(
            f"no complete window of {length / 86_400:.3g} days fits into the {part} part of {days / 86_400:.3g} days; "
            "use more windows, or other data.split_quantiles."
        )
    return Windows(test, length, -before, after)


@dataclass(frozen=True)
class InterestEvents:
    """The events of a log that have an interest, by user and time.

    Attributes:
        interests: interest of each item.
        user, item, interest, window: ``[E]`` int64 of each event.
        offsets: ``[U + 1]`` index of each user's first event.
    """

    interests: Interests
    user: np.ndarray
    item: np.ndarray
    interest: np.ndarray
    window: np.ndarray
    offsets: np.ndarray

    @cached_property
    def population(self) -> dict[int, np.ndarray]:
        """By window, ``[K]`` number of events of each interest over all users."""
        count = len(self.interests)
        numbers, place = np.unique(self.window, return_inverse=True)
        sums = np.bincount(place * count + self.interest, minlength=len(numbers) * count).reshape(-1, count)
        return dict(zip(numbers.tolist(), sums, strict=True))

    @cached_property
    def centroids(self) -> np.ndarray:
        """``[K, D]`` float32 mean vector of the items of each interest."""
        return self.interests.centroids.astype(np.float32)

    def shares(self, window: int) -> np.ndarray:
        """Return ``[K]`` shares of the population in a window, with half an event added to each so that none is 0."""
        counts = self.population.get(window, np.zeros(len(self.interests))) + 0.5
        return counts / counts.sum()


def collect_events(data: InterestData, interests: Interests, spans: Windows) -> InterestEvents:
    """Collect the events of a log that have an interest.

    Args:
        data: histories.
        interests: interest of each item.
        spans: windows.

    Returns:
        Events by user and time.
    """
    log = data.log
    users = np.repeat(np.arange(len(log.offsets) - 1), np.diff(log.offsets))
    item = np.asarray(log.item).astype(np.int64)
    has_interest = interests.of[item] >= 0
    offsets = np.r_[0, np.cumsum(np.bincount(users[has_interest], minlength=len(log.offsets) - 1))]
    window = spans.of(np.asarray(log.time))[has_interest]
    return InterestEvents(interests, users[has_interest], item[has_interest], interests.of[item[has_interest]], window, offsets)


@dataclass(frozen=True)
class Cases:
    """Users with events both before the moment of a forecast and in the window to forecast.

    Attributes:
        all_events: the events of the log.
        window: number of the window to forecast.
        horizon: number of windows ahead: the forecast is made at the beginning of window ``window - horizon + 1``.
        users: ``[N]`` int64 ascending.
        case, interest, item, age, since: ``[M]`` int32 of each past event: its case, interest and item, the number of later
            past events of the user, and its window.
        counts: ``[N, K]`` number of events of each interest in the window.
        target_case: ``[N]`` the case whose window is the target of each case: the case itself, except in a control.
    """

    all_events: InterestEvents
    window: int
    horizon: int
    users: np.ndarray
    case: np.ndarray
    interest: np.ndarray
    item: np.ndarray
    age: np.ndarray
    since: np.ndarray
    counts: np.ndarray
    target_case: np.ndarray

    def __len__(self) -> int:
        return len(self.users)

    @property
    def latest(self) -> int:
        """Last window whose events are known."""
        return self.window - self.horizon

    @cached_property
    def population_shares(self) -> np.ndarray:
        """``[K]`` shares of the population in the last known window."""
        return self.all_events.shares(self.latest)

    @cached_property
    def target(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``[P]`` case, interest and number of events of every non-zero target count."""
        counts = self.counts[self.target_case]
        case, interest = counts.nonzero()
        return case, interest, counts[case, interest].astype(float)

    @cached_property
    def events(self) -> np.ndarray:
        """``[N]`` number of events of the target."""
        return self.counts[self.target_case].sum(1).astype(float)

    @property
    def target_vector(self) -> np.ndarray:
        """``[N, D]`` mean vector of the target's events."""
        events = self.all_events
        rows = np.flatnonzero(events.window == self.window)
        case = np.searchsorted(self.users, events.user[rows])
        rows, case = rows[case < len(self)], case[case < len(self)]
        has_case = self.users[case] == events.user[rows]
        return self.mean_vector(case[has_case], events.item[rows[has_case]])[self.target_case]

    @cached_property
    def last_active(self) -> np.ndarray:
        """``[M]`` bool whether a past event is in the last window with events of its user."""
        last = np.full(len(self), np.iinfo(np.int32).min)
        np.maximum.at(last, self.case, self.since)
        return self.since == last[self.case]

    def weighted_shares(self, weights: np.ndarray) -> np.ndarray:
        """Compute the shares of the interests among weighted past events.

        Args:
            weights: ``[M]`` weight of each past event.

        Returns:
            ``[N, K]`` shares.
        """
        count = len(self.all_events.interests)
        cells = self.case * count + self.interest
        shares = np.bincount(cells, weights, len(self) * count).reshape(len(self), count)
        return shares / shares.sum(1, keepdims=True)

    def mean_vector(self, case: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Average the vectors of events.

        Args:
            case: ``[n]`` case of each event.
            item: ``[n]`` item of each event.

        Returns:
            ``[N, D]`` float32 mean vectors.
        """
        num_events = np.bincount(case, minlength=len(self))
        return self.sum_vectors(case, item, 1 / num_events[case])

    def sum_vectors(self, case: np.ndarray, item: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Sum the vectors of weighted events.

        Args:
            case: ``[n]`` case of each event.
            item: ``[n]`` item of each event.
            weights: ``[n]`` weight of each event.

        Returns:
            ``[N, D]`` float32 sums.
        """
        vectors = self.all_events.interests.vectors
        matrix = sp.csr_matrix((weights.astype(np.float32), (case, item)), shape=(len(self), len(vectors)))
        return matrix @ vectors.astype(np.float32, copy=False)

    def own_vector(self, shares: np.ndarray) -> np.ndarray:
        r"""Compute the mean vector that forecast shares imply, :math:`\sum_k q_k c_{uk}`.

        The centroid :math:`c_{uk}` is the mean over the user's own past events of the interest or, without such events, over
        the items of the interest.

        Args:
            shares: ``[N, K]`` forecast shares of each case.

        Returns:
            ``[N, D]`` vectors.
        """
        count = len(self.all_events.interests)
        cells = self.case * count + self.interest
        num_events = np.bincount(cells, minlength=len(self) * count)
        own = self.sum_vectors(self.case, self.item, shares.ravel()[cells] / num_events[cells])
        others = np.where(num_events.reshape(shares.shape) > 0, 0, shares)
        return own + others.astype(np.float32) @ self.all_events.centroids

    def shuffle_targets(self, seed: int) -> "Cases":
        """Permute the targets randomly among the users.

        Args:
            seed: seed of the permutation.

        Returns:
            The same cases with other targets.
        """
        order = np.random.default_rng([seed, self.window - self.latest, self.window & 0xFFFF]).permutation(len(self))
        return replace(self, target_case=self.target_case[order])


def collect_cases(events: InterestEvents, window: int, horizon: int) -> Cases:
    """Collect the users with events in a window and before the moment of the forecast.

    Args:
        events: the events of the log that have an interest.
        window: number of the window to forecast.
        horizon: number of windows ahead.

    Returns:
        One case per user.
    """
    count = len(events.interests)
    is_past = events.window <= window - horizon
    num_past = np.bincount(events.user[is_past], minlength=len(events.offsets) - 1)
    in_window = events.window == window
    num_in_window = np.bincount(events.user[in_window], minlength=len(num_past))
    users = np.flatnonzero((num_past > 0) & (num_in_window > 0))
    case_of = np.full(len(num_past), -1)
    case_of[users] = np.arange(len(users))
    in_window &= case_of[events.user] >= 0
    cells = case_of[events.user[in_window]] * count + events.interest[in_window]
    past = np.flatnonzero(is_past & (case_of[events.user] >= 0))
    user = events.user[past]
    return Cases(
        all_events=events,
        window=window,
        horizon=horizon,
        users=users,
        case=case_of[user].astype(np.int32),
        interest=events.interest[past].astype(np.int32),
        item=events.item[past].astype(np.int32),
        age=(num_past[user] - 1 - (past - events.offsets[user])).astype(np.int32),
        since=events.window[past].astype(np.int32),
        counts=np.bincount(cells, minlength=len(users) * count).astype(np.int32).reshape(len(users), count),
        target_case=np.arange(len(users)),
    )


def nonempty(windows: Iterable[Cases]) -> list[Cases]:
    """Drop windows without a case.

    Args:
        windows: cases by window.

    Returns:
        The windows with at least one case.
    """
    return [cases for cases in windows if len(cases)]
