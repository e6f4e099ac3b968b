"""The users of one model: their states in memory, in the store, or rebuilt from the log."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from interestlab.serving.following import replay, start_state
from interestlab.serving.messages import EVENT_DECODER, LoggedEvent
from interestlab.serving.served_model import ServedModel
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


class Users:
    """Finds the states of users, and keeps those of active ones in memory.

    Args:
        model: the model.
        store: the log and the states.
    """

    def __init__(self, model: ServedModel, store: Store) -> None:
        self.model, self.store = model, store
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
            users |= self._find(absent[first : first + PARAMETERS])
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
        return replay(self.model, {user_id: self._logged(user_id, stepper.first_event(count + 1))})[user_id]

    def rebuild(self, counts: Mapping[str, int]) -> dict[str, StoredState]:
        """Rebuild states from the log.

        Args:
            counts: number of events of each user.
        """
        first_event = self.model.stepper.first_event
        return replay(self.model, {user: self._logged(user, first_event(count)) for user, count in counts.items()})

    def build_all(self) -> None:
        """Build and store the states of all users of the log, so that none is built within a request."""
        if not self.model.stepper.stores_states:
            return
        counts = sorted(self.store.events.all_counts().items(), key=lambda entry: entry[1])  # equal lengths share batches
        for first in range(0, len(counts), USERS_PER_BUILD):
            states = self.rebuild(dict(counts[first : first + USERS_PER_BUILD]))
            with self.store.transaction():
                self.store.states.put(self.model.version, states)

    def _logged(self, user_id: str, first: int) -> tuple[StoredState, list[LoggedEvent]]:
        """Return the state before some event of a user, as if the log began there, and the events from it on."""
        start = start_state(self.model, first, self.store.events.latest_before(user_id, first))
        return start, [EVENT_DECODER.decode(event.body) for event in self.store.events.of_user(user_id, first)]

    def _find(self, user_ids: list[str]) -> dict[str, User]:
        """Return users who are not in memory."""
        counts = self.store.events.counts(user_ids)
        stored = self.store.states.find(self.model.version, user_ids) if self.model.stepper.stores_states else {}
        stale = {user: count for user, count in counts.items() if user not in stored or stored[user].num_events != count}
        states = stored | self.rebuild(stale)
        users = {}
        for user_id in user_ids:
            if user_id not in counts:  # not kept: requests for unknown ids must not push known users out of memory
                users[user_id] = User(start_state(self.model), set())
                continue
            positions = map(self.model.items.find, self.store.events.items_of(user_id))
            users[user_id] = User(states[user_id], {position for position in positions if position is not None})
            self.keep(user_id, users[user_id])
        return users
