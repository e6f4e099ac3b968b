"""The users of one model: their states in memory, in the store, or rebuilt from the log."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from interestlab.data.dataset import DAY
from interestlab.errors import DataError
from interestlab.serving.messages import EVENT_DECODER, AnyEvent, LoggedEvent
from interestlab.serving.reader import StreamVectors
from interestlab.serving.served_model import ServedModel
from interestlab.serving.stepper import MAX_BATCH, Move
from interestlab.serving.store.database import PARAMETERS
from interestlab.serving.store.states import StoredState
from interestlab.serving.store.store import Store

USERS_PER_BUILD = 512
"""Number of users whose states are built and stored at once."""


@dataclass(slots=True)
class User:
    """A user in memory.

    Attributes:
        state: the state after all events.
        history: positions of the items of all events.
        shown: the items of the last list that was shown, until the next event.
    """

    state: StoredState
    history: set[int]
    shown: tuple[int, ...] = field(default=())

    @property
    def is_known(self) -> bool:
        """Whether the state follows any event."""
        return bool(self.state.is_known)


class Step(NamedTuple):
    """One event that a state is to follow.

    Attributes:
        state: the state before the event.
        position: position of the event's item; None if the model has no such item.
        time: unix seconds of the event.
        streams: embedding of its value in each event stream.
    """

    state: StoredState
    position: int | None
    time: int
    streams: StreamVectors


class Users:
    """Loads and moves states.

    Args:
        model: the model.
        store: the log and the states.
    """

    def __init__(self, model: ServedModel, store: Store) -> None:
        self.model, self.store = model, store
        self.start = StoredState(0, False, None, model.stepper.initial)
        self._cache: OrderedDict[str, User] = OrderedDict()

    def load(self, user_ids: Iterable[str]) -> dict[str, User]:
        """Return users, with the states after all of their events.

        Args:
            user_ids: the users; one without events has the initial state.
        """
        wanted = list(dict.fromkeys(user_ids))
        users = {}
        for user_id in wanted:
            if (user := self._cache.get(user_id)) is not None:
                self._cache.move_to_end(user_id)
                users[user_id] = user
        absent = [user_id for user_id in wanted if user_id not in users]
        for first in range(0, len(absent), PARAMETERS):
            users |= self._read(absent[first : first + PARAMETERS])
        return users

    def keep(self, user_id: str, user: User) -> None:
        """Keep a user in memory.

        Args:
            user_id: the id.
            user: the user.
        """
        self._cache[user_id] = user
        self._cache.move_to_end(user_id)
        while len(self._cache) > self.model.stepper.cached_users:
            self._cache.popitem(last=False)

    def forget(self, user_id: str) -> None:
        """Drop a user from memory.

        Args:
            user_id: the id.
        """
        self._cache.pop(user_id, None)

    def cached_ids(self) -> list[str]:
        """Return the users in memory, the most recent last."""
        return list(self._cache)

    def follow(self, steps: Sequence[Step]) -> list[StoredState]:
        """Follow one event of each user.

        Args:
            steps: the events, of different users.

        Returns:
            The state of each after the event.
        """
        after: list[StoredState] = []
        for first in range(0, len(steps), MAX_BATCH):
            after += self._follow_batch(steps[first : first + MAX_BATCH])
        return after

    def _follow_batch(self, steps: Sequence[Step]) -> list[StoredState]:
        moves = [
            Move(state.tensors, state.num_events, position, streams, elapsed_days(state, time))
            for state, position, time, streams in steps
            if position is not None
        ]
        blobs = self.model.stepper.step(moves) if moves else []
        moved = iter(blobs)
        after = []
        for state, position, time, _ in steps:
            latest = time if state.last_time is None else max(time, state.last_time)
            tensors = state.tensors if position is None else next(moved)
            after.append(StoredState(state.num_events + 1, state.is_known or position is not None, latest, tensors))
        return after

    def before_next(self, user_id: str, user: User) -> StoredState:
        """Return the state that the next event of a user moves.

        It is the state so far, or one that is rebuilt because the next state follows fewer of the earlier events.

        Args:
            user_id: the id.
            user: the user.
        """
        count, stepper = user.state.num_events, self.model.stepper
        if not stepper.restarts_after(count):
            return user.state
        return self.replay({user_id: self._logged(user_id, stepper.first_event(count + 1))})[user_id]

    def rebuild(self, counts: Mapping[str, int]) -> dict[str, StoredState]:
        """Rebuild states from the log.

        Args:
            counts: number of events of each user.
        """
        first_event = self.model.stepper.first_event
        return self.replay({user: self._logged(user, first_event(count)) for user, count in counts.items()})

    def build_all(self) -> None:
        """Build and store the states of all users of the log, so that none is built within a request."""
        if not self.model.stepper.stores_states:
            return
        counts = sorted(self.store.events.all_counts().items(), key=lambda entry: entry[1])  # equal lengths share batches
        for first in range(0, len(counts), USERS_PER_BUILD):
            states = self.rebuild(dict(counts[first : first + USERS_PER_BUILD]))
            with self.store.transaction():
                self.store.states.put(self.model.version, states)

    def replay(self, histories: Mapping[str, tuple[StoredState, Sequence[AnyEvent]]]) -> dict[str, StoredState]:
        """Follow several events of each user.

        Args:
            histories: state before the first event, and the events.
        """
        states = {user: state for user, (state, _) in histories.items()}
        for t in range(max((len(events) for _, events in histories.values()), default=0)):
            users = [user for user, (_, events) in histories.items() if t < len(events)]
            steps = [self.read(histories[user][1][t], states[user]) for user in users]
            states |= zip(users, self.follow(steps), strict=True)
        return states

    def read(self, event: AnyEvent, state: StoredState) -> Step:
        """Read an event of the log. What the model cannot read of it is left out, since the event did happen.

        Args:
            event: the event.
            state: the state before it.
        """
        position = self.model.items.find(event.item_id)
        try:
            streams = self.model.reader.embed(event, state.last_time)
        except DataError:  # a log of another run may have had other columns
            streams = ()
        return Step(state, position, int(event.timestamp), streams)

    def _logged(self, user_id: str, first: int) -> tuple[StoredState, list[LoggedEvent]]:
        """Return the state before some event of a user, as if the log began there, and the events from it on."""
        start = self.start._replace(num_events=first, last_time=self.store.events.latest_before(user_id, first))
        return start, [EVENT_DECODER.decode(event.body) for event in self.store.events.of_user(user_id, first)]

    def _read(self, user_ids: list[str]) -> dict[str, User]:
        counts = self.store.events.counts(user_ids)
        stored = self.store.states.find(self.model.version, user_ids) if self.model.stepper.stores_states else {}
        stale = {user: count for user, count in counts.items() if user not in stored or stored[user].num_events != count}
        states = stored | self.rebuild(stale)
        users = {}
        for user_id in user_ids:
            state = states[user_id] if user_id in counts else self.start
            positions = map(self.model.items.find, self.store.events.items_of(user_id)) if user_id in counts else ()
            users[user_id] = User(state, {position for position in positions if position is not None})
            if user_id in counts:  # requests for unknown ids must not push known users out of memory
                self.keep(user_id, users[user_id])
        return users


def elapsed_days(state: StoredState, time: int) -> float:
    """Return the days between a user's last event and a time; 0 before the first event that the state follows.

    Args:
        state: the state after the last event.
        time: unix seconds.
    """
    if not state.is_known or state.last_time is None:
        return 0.0
    return max(time - state.last_time, 0) / DAY
