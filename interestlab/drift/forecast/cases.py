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
        length: length of a window in seconds.
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
            window: number of the window.

        Returns:
            Unix seconds.
        """
        return self.start + window * self.length

    def find(self, times: np.ndarray) -> np.ndarray:
        """Find the window of each time.

        Args:
            times: ``[E]`` unix seconds.

        Returns:
            ``[E]`` int64 number of the window.
        """
        return np.floor((times - self.start) / self.length).astype(np.int64)


def place_windows(data: InterestData, count: int) -> Windows:
    """Place windows before and after the test cut, of a length that divides the time after the training cut by ``count``.

    No window spans the test cut, and the remainders at the two ends are in no window.

    Args:
        data: split by global time.
        count: number of window lengths in the time after the training cut.

    Returns:
        The windows.

    Raises:
        DataError: the log is not split by global time, or the validation or test part is shorter than one window.
    """
    if data.preparation.split != "global_time":
        raise DataError(
            f"a forecast needs data.split=global_time, not {data.preparation.split}; "
            "otherwise the model was trained on events of the windows to forecast."
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
            "use more --windows, or change data.split_quantiles."
        )
    return Windows(test, length, -before, after)


@dataclass(frozen=True)
class InterestEvents:
    """The events of a log that have an interest, by user and time.

    Attributes:
        interests: the interests of the catalogue.
        user: ``[E]`` int64 user of each event, ascending.
        item: ``[E]`` int64 item of each event.
        interest: ``[E]`` int64 interest of the item.
        window: ``[E]`` int64 number of the window.
        offsets: ``[U + 1]`` index of each user's first event.
    """

    interests: Interests
    user: np.ndarray
    item: np.ndarray
    interest: np.ndarray
    window: np.ndarray
    offsets: np.ndarray

    @cached_property
    def population_counts(self) -> dict[int, np.ndarray]:
        """Number of events of all users per interest, ``[K]``, by window."""
        count = len(self.interests)
        numbers, place = np.unique(self.window, return_inverse=True)
        sums = np.bincount(place * count + self.interest, minlength=len(numbers) * count).reshape(-1, count)
        return dict(zip(numbers.tolist(), sums, strict=True))

    @cached_property
    def centroids(self) -> np.ndarray:
        """``[K, D]`` float32 mean vector of the items of each interest."""
        return self.interests.centroids.astype(np.float32)

    def population_shares(self, window: int) -> np.ndarray:
        """Compute the shares of the interests among all users' events in a window, with half an event added to each.

        Args:
            window: number of the window.

        Returns:
            ``[K]`` shares, none of them 0.
        """
        counts = self.population_counts.get(window, np.zeros(len(self.interests))) + 0.5
        return counts / counts.sum()


def collect_events(data: InterestData, interests: Interests, spans: Windows) -> InterestEvents:
    """Collect the events of a log that have an interest.

    Args:
        data: the histories.
        interests: interest of each item.
        spans: the windows.

    Returns:
        Events by user and time.
    """
    log = data.log
    users = np.repeat(np.arange(len(log.offsets) - 1), np.diff(log.offsets))
    item = np.asarray(log.item).astype(np.int64)
    has_interest = interests.item_interest[item] >= 0
    offsets = np.r_[0, np.cumsum(np.bincount(users[has_interest], minlength=len(log.offsets) - 1))]
    window = spans.find(np.asarray(log.time))[has_interest]
    return InterestEvents(
        interests, users[has_interest], item[has_interest], interests.item_interest[item[has_interest]], window, offsets
    )


@dataclass(frozen=True)
class Cases:
    """Users with events before the time of a forecast and in the window that is forecast.

    Attributes:
        events_by_user: all events that have an interest.
        window: number of the window that is forecast.
        horizon: number of windows ahead: the forecast is made at the start of window ``window - horizon + 1``.
        users: ``[N]`` int64 users, ascending.
        case: ``[M]`` int32 case of each past event.
        interest: ``[M]`` int32 its interest.
        item: ``[M]`` int32 its item.
        age: ``[M]`` int32 number of the user's past events after it.
        since: ``[M]`` int32 number of its window.
        counts: ``[N, K]`` the target: number of events of each interest in the window.
        target_index: ``[N]`` case whose target is used: the case itself, except with shuffled labels.
    """

    events_by_user: InterestEvents
    window: int
    horizon: int
    users: np.ndarray
    case: np.ndarray
    interest: np.ndarray
    item: np.ndarray
    age: np.ndarray
    since: np.ndarray
    counts: np.ndarray
    target_index: np.ndarray

    def __len__(self) -> int:
        return len(self.users)

    @property
    def latest(self) -> int:
        """Return the last window whose events are known."""
        return self.window - self.horizon

    @cached_property
    def population_shares(self) -> np.ndarray:
        """``[K]`` shares of the population in the last known window."""
        return self.events_by_user.population_shares(self.latest)

    @cached_property
    def target(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``[P]`` case, interest and number of events of the targets."""
        counts = self.counts[self.target_index]
        case, interest = counts.nonzero()
        return case, interest, counts[case, interest].astype(float)

    @cached_property
    def events(self) -> np.ndarray:
        """``[N]`` events of the target."""
        return self.counts[self.target_index].sum(1).astype(float)

    @property
    def target_vector(self) -> np.ndarray:
        """``[N, D]`` mean vector of the target's events."""
        events = self.events_by_user
        in_window = np.flatnonzero(events.window == self.window)
        case = np.searchsorted(self.users, events.user[in_window])
        in_window, case = in_window[case < len(self)], case[case < len(self)]
        matches = self.users[case] == events.user[in_window]
        return self.mean_vector(case[matches], events.item[in_window[matches]])[self.target_index]

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
        count = len(self.events_by_user.interests)
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
        counts = np.bincount(case, minlength=len(self))
        return self.sum_vectors(case, item, 1 / counts[case])

    def sum_vectors(self, case: np.ndarray, item: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Sum the vectors of weighted events.

        Args:
            case: ``[n]`` case of each event.
            item: ``[n]`` item of each event.
            weights: ``[n]`` weight of each event.

        Returns:
            ``[N, D]`` float32 sums.
        """
        vectors = self.events_by_user.interests.vectors
        matrix = sp.csr_matrix((weights.astype(np.float32), (case, item)), shape=(len(self), len(vectors)))
        return matrix @ vectors.astype(np.float32, copy=False)

    def own_vector(self, shares: np.ndarray) -> np.ndarray:
        r"""Compute the expected vector of shares, :math:`\sum_k q_k c_{uk}`.

        The centroid :math:`c_{uk}` is that of the user's own past events of the interest; without such events, that of the
        interest's items.

        Args:
            shares: ``[N, K]`` shares of each case.

        Returns:
            ``[N, D]`` vectors.
        """
        count = len(self.events_by_user.interests)
        cells = self.case * count + self.interest
        occurrences = np.bincount(cells, minlength=len(self) * count)
        own = self.sum_vectors(self.case, self.item, shares.ravel()[cells] / occurrences[cells])
        others = np.where(occurrences.reshape(shares.shape) > 0, 0, shares)
        return own + others.astype(np.float32) @ self.events_by_user.centroids

    def exchange_targets(self, seed: int) -> "Cases":
        """Permute the targets randomly among the users.

        Args:
            seed: random seed of the permutation.

        Returns:
            The same cases with other targets.
        """
        order = np.random.default_rng([seed, self.window - self.latest, self.window & 0xFFFF]).permutation(len(self))
        return replace(self, target_index=self.target_index[order])


def build_cases(events: InterestEvents, window: int, horizon: int) -> Cases:
    """Collect the users with events in a window and before the time of the forecast.

    Args:
        events: events that have an interest.
        window: number of the window that is forecast.
        horizon: number of windows ahead.

    Returns:
        One case per user.
    """
    count = len(events.interests)
    past = events.window <= window - horizon
    past_counts = np.bincount(events.user[past], minlength=len(events.offsets) - 1)
    in_window = events.window == window
    window_counts = np.bincount(events.user[in_window], minlength=len(past_counts))
    users = np.flatnonzero((past_counts > 0) & (window_counts > 0))
    case_of_user = np.full(len(past_counts), -1)
    case_of_user[users] = np.arange(len(users))
    in_window &= case_of_user[events.user] >= 0
    cells = case_of_user[events.user[in_window]] * count + events.interest[in_window]
    index = np.flatnonzero(past & (case_of_user[events.user] >= 0))
    user = events.user[index]
    return Cases(
        events_by_user=events,
        window=window,
        horizon=horizon,
        users=users,
        case=case_of_user[user].astype(np.int32),
        interest=events.interest[index].astype(np.int32),
        item=events.item[index].astype(np.int32),
        age=(past_counts[user] - 1 - (index - events.offsets[user])).astype(np.int32),
        since=events.window[index].astype(np.int32),
        counts=np.bincount(cells, minlength=len(users) * count).astype(np.int32).reshape(len(users), count),
        target_index=np.arange(len(users)),
    )


def drop_empty(cases: Iterable[Cases]) -> list[Cases]:
    """Drop windows without a case.

    Args:
        cases: the cases of each window.

    Returns:
        Those of the windows with at least one case.
    """
    return [window for window in cases if len(window)]
