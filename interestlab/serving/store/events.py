"""The log: events by user, in the order of their arrival."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from interestlab.serving.store.database import Database, placeholders


class StoredEvent(NamedTuple):
    """An event as it is stored.

    Attributes:
        event_id: identifies it.
        user_id: the user.
        number: number of the user's events before it.
        time: unix seconds.
        item_id: the item.
        body: all of its columns.
    """

    event_id: str
    user_id: str
    number: int
    time: int
    item_id: str
    body: bytes


class EventLog:
    """The events of a store.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def bodies(self, event_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the bodies of the events that are stored.

        Args:
            event_ids: ids of at most :data:`~interestlab.serving.store.database.PARAMETERS` events.
        """
        query = f"SELECT event_id, body FROM event WHERE event_id IN ({placeholders(event_ids)})"
        return dict(self._database.query(query, event_ids))

    def add(self, events: Iterable[StoredEvent]) -> None:
        """Add events.

        Args:
            events: their ids are new.
        """
        self._database.write("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", events)

    def of_user(self, user_id: str, first: int = 0) -> list[StoredEvent]:
        """Return the events of a user, in the order of their arrival.

        Args:
            user_id: the user.
            first: number of the events before the first that is returned.
        """
        columns = ", ".join(StoredEvent._fields)
        query = f"SELECT {columns} FROM event WHERE user_id = ? AND number >= ? ORDER BY number"
        return [StoredEvent(*row) for row in self._database.query(query, (user_id, first))]

    def latest_before(self, user_id: str, number: int) -> int | None:
        """Return the latest time among the first events of a user, in unix seconds; None without events.

        Args:
            user_id: the user.
            number: number of events.
        """
        query = "SELECT MAX(time) FROM event WHERE user_id = ? AND number < ?"
        (latest,) = self._database.query(query, (user_id, number)).fetchone()
        return latest

    def counts(self, user_ids: Sequence[str]) -> dict[str, int]:
        """Return the number of events of each user who has some.

        Args:
            user_ids: at most :data:`~interestlab.serving.store.database.PARAMETERS` users.
        """
        query = f"SELECT user_id, MAX(number) + 1 FROM event WHERE user_id IN ({placeholders(user_ids)}) GROUP BY user_id"
        return dict(self._database.query(query, user_ids))

    def all_counts(self) -> dict[str, int]:
        """Return the number of events of every user."""
        return dict(self._database.query("SELECT user_id, MAX(number) + 1 FROM event GROUP BY user_id"))

    def items_of(self, user_id: str) -> list[str]:
        """Return the distinct items of a user.

        Args:
            user_id: the user.
        """
        return [item for (item,) in self._database.query("SELECT DISTINCT item_id FROM event WHERE user_id = ?", (user_id,))]

    def latest_users(self, limit: int) -> list[str]:
        """Return users, those with the most recent events first.

        Args:
            limit: largest number of users.
        """
        query = "SELECT user_id FROM event GROUP BY user_id ORDER BY MAX(time) DESC, user_id LIMIT ?"
        return [user for (user,) in self._database.query(query, (limit,))]
