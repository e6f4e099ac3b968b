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
        start: of window 0, unix seconds.
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
        DataError: the log is not split by global time, or a part after the training cut holds no whole window.
    """
    if data.preparation.split != "global_time":
        raise DataError(
            f"a forecast needs data.split=global_time, not {data.preparation.split}; else training saw its windows."
        )
    times = np.asarray(data.log.time)
    valid, test = np.quantile(times, data.preparation.split_quantiles, method="higher").astype(float)
    end = float(times.max()) + 1
    length = (end - valid) / count
    before, after = int((test - valid) / length + 1e-9), int((end - test) / length + 1e-9)
    if not before or not after:
        part, days = ("validation", test - valid) if not before else ("test", end - test)
        raise DataError(
            f"no whole window of {length / 86_400:.3g} days lies in the {part} part of {days / 86_400:.3g} days; "
            "take more windows, or other data.cuts."
        )
    return Windows(test, length, -before, after)


@dataclass(frozen=True)
class Attended:
    """The events of a log that have an interest, by user and time.

    Attributes:
        interests: which.
        user, item, interest, window: ``[E]`` int64 of each event.
        offsets: ``[U + 1]`` where each user's begin.
    """

    interests: Interests
    user: np.ndarray
    item: np.ndarray
    interest: np.ndarray
    window: np.ndarray
    offsets: np.ndarray

    @cached_property
    def population(self) -> dict[int, np.ndarray]:
        """Window -> ``[K]`` events of each interest, of all users."""
        count = len(self.interests)
        numbers, place = np.unique(self.window, return_inverse=True)
        sums = np.bincount(place * count + self.interest, minlength=len(numbers) * count).reshape(-1, count)
        return dict(zip(numbers.tolist(), sums, strict=True))

    @cached_property
    def centroids(self) -> np.ndarray:
        """``[K, D]`` float32 mean vector of the items of each interest."""
        return self.interests.centroids.astype(np.float32)

    def shares(self, window: int) -> np.ndarray:
        """``[K]`` shares of the population in a window, half an event added to each so that none is 0."""
        counts = self.population.get(window, np.zeros(len(self.interests))) + 0.5
        return counts / counts.sum()


def attended(data: InterestData, interests: Interests, spans: Windows) -> Attended:
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
    kept = interests.of[item] >= 0
    offsets = np.r_[0, np.cumsum(np.bincount(users[kept], minlength=len(log.offsets) - 1))]
    window = spans.of(np.asarray(log.time))[kept]
    return Attended(interests, users[kept], item[kept], interests.of[item[kept]], window, offsets)


@dataclass(frozen=True)
class Cases:
    """Users with events before a moment and in a window after it.

    Attributes:
        attended: the events.
        window: in which the target lies.
        horizon: the moment is the beginning of window ``window - horizon + 1``: 1 says that the window begins there.
        users: ``[N]`` int64 ascending.
        case, interest, item, age, since: ``[M]`` int32 the past events: whose case, their interest and item, how many events of
            the user came after, and in which window they lie.
        counts: ``[N, K]`` the target: events of each interest in the window.
        told: ``[N]`` which case's target each has; its own but for a control.
    """

    attended: Attended
    window: int
    horizon: int
    users: np.ndarray
    case: np.ndarray
    interest: np.ndarray
    item: np.ndarray
    age: np.ndarray
    since: np.ndarray
    counts: np.ndarray
    told: np.ndarray

    def __len__(self) -> int:
        return len(self.users)

    @property
    def latest(self) -> int:
        """Last window whose events are known."""
        return self.window - self.horizon

    @cached_property
    def everyone(self) -> np.ndarray:
        """``[K]`` shares of the population in the last known window."""
        return self.attended.shares(self.latest)

    @cached_property
    def target(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``[P]`` case, interest and number of events of the targets."""
        counts = self.counts[self.told]
        case, interest = counts.nonzero()
        return case, interest, counts[case, interest].astype(float)

    @cached_property
    def events(self) -> np.ndarray:
        """``[N]`` events of the target."""
        return self.counts[self.told].sum(1).astype(float)

    @property
    def target_vector(self) -> np.ndarray:
        """``[N, D]`` mean vector of the target's events."""
        held = self.attended
        here = np.flatnonzero(held.window == self.window)
        place = np.searchsorted(self.users, held.user[here])
        here, place = here[place < len(self)], place[place < len(self)]
        mine = self.users[place] == held.user[here]
        return self.mean_vector(place[mine], held.item[here[mine]])[self.told]

    @cached_property
    def last_active(self) -> np.ndarray:
        """``[M]`` bool whether a past event is in the last window with events of its user."""
        last = np.full(len(self), np.iinfo(np.int32).min)
        np.maximum.at(last, self.case, self.since)
        return self.since == last[self.case]

    def weighed(self, weights: np.ndarray) -> np.ndarray:
        """Compute the shares of the interests among weighted past events.

        Args:
            weights: ``[M]`` weight of each past event.

        Returns:
            ``[N, K]`` shares.
        """
        count = len(self.attended.interests)
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
        many = np.bincount(case, minlength=len(self))
        return self.summed(case, item, 1 / many[case])

    def summed(self, case: np.ndarray, item: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Sum the vectors of weighted events.

        Args:
            case: ``[n]`` case of each event.
            item: ``[n]`` item of each event.
            weights: ``[n]`` weight of each event.

        Returns:
            ``[N, D]`` float32 sums.
        """
        vectors = self.attended.interests.vectors
        matrix = sp.csr_matrix((weights.astype(np.float32), (case, item)), shape=(len(self), len(vectors)))
        return matrix @ vectors.astype(np.float32, copy=False)

    def own_vector(self, shares: np.ndarray) -> np.ndarray:
        r"""Compute the expected vector of shares, :math:`\sum_k q_k c_{uk}`.

        The centroid :math:`c_{uk}` is that of the user's own past events of the interest; without such events, that of the
        interest's items.

        Args:
            shares: ``[N, K]`` of each case.

        Returns:
            ``[N, D]`` vectors.
        """
        count = len(self.attended.interests)
        cells = self.case * count + self.interest
        met = np.bincount(cells, minlength=len(self) * count)
        own = self.summed(self.case, self.item, shares.ravel()[cells] / met[cells])
        others = np.where(met.reshape(shares.shape) > 0, 0, shares)
        return own + others.astype(np.float32) @ self.attended.centroids

    def exchanged(self, seed: int) -> "Cases":
        """Permute the targets randomly among the users.

        Args:
            seed: of the permutation.

        Returns:
            The same cases with other targets.
        """
        order = np.random.default_rng([seed, self.window - self.latest, self.window & 0xFFFF]).permutation(len(self))
        return replace(self, told=self.told[order])


def cases(held: Attended, window: int, horizon: int) -> Cases:
    """Collect the users with events in a window and before the moment of the forecast.

    Args:
        held: events that have an interest.
        window: number of the target's window.
        horizon: windows ahead.

    Returns:
        One case per user.
    """
    count = len(held.interests)
    past = held.window <= window - horizon
    many = np.bincount(held.user[past], minlength=len(held.offsets) - 1)
    here = held.window == window
    active = np.bincount(held.user[here], minlength=len(many))
    users = np.flatnonzero((many > 0) & (active > 0))
    number = np.full(len(many), -1)
    number[users] = np.arange(len(users))
    here &= number[held.user] >= 0
    cells = number[held.user[here]] * count + held.interest[here]
    events = np.flatnonzero(past & (number[held.user] >= 0))
    user = held.user[events]
    return Cases(
        attended=held,
        window=window,
        horizon=horizon,
        users=users,
        case=number[user].astype(np.int32),
        interest=held.interest[events].astype(np.int32),
        item=held.item[events].astype(np.int32),
        age=(many[user] - 1 - (events - held.offsets[user])).astype(np.int32),
        since=held.window[events].astype(np.int32),
        counts=np.bincount(cells, minlength=len(users) * count).astype(np.int32).reshape(len(users), count),
        told=np.arange(len(users)),
    )


def nonempty(found: Iterable[Cases]) -> list[Cases]:
    """Drop windows without a case.

    Args:
        found: cases by window.

    Returns:
        Those with at least one case.
    """
    return [one for one in found if len(one)]
