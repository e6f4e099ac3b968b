"""The states of users, of the model that is served and of the one before it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from interestlab.serving.store.database import Database, placeholders

KEPT_VERSIONS = 2
"""Number of models whose states are kept: the one that is served, and the one before it."""


class StoredState(NamedTuple):
    """The state of a user after some events.

    Attributes:
        num_events: number of events in the log.
        is_known: whether the state follows any of them.
        last_time: unix seconds of the latest event.
        tensors: the state, as :class:`~interestlab.serving.stepper.Stepper` writes it.
    """

    num_events: int
    is_known: bool
    last_time: int | None
    tensors: bytes


class StateTable:
    """The states of a store.

    Args:
        database: the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, version: str, user_ids: Sequence[str]) -> dict[str, StoredState]:
        """Return the states of those users who have one.

        Args:
            version: version of the model.
            user_ids: at most :data:`~interestlab.serving.store.database.PARAMETERS` users.
        """
        return self._select(f"version = ? AND user_id IN ({placeholders(user_ids)})", (version, *user_ids))

    def all(self, version: str) -> dict[str, StoredState]:
        """Return the states of all users.

        Args:
            version: version of the model.
        """
        return self._select("version = ?", (version,))

    def put(self, version: str, states: Mapping[str, StoredState]) -> None:
        """Write states, in place of those before.

        Args:
            version: version of the model.
            states: state of each user.
        """
        rows = ((version, user, *state) for user, state in states.items())
        self._database.write("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?)", rows)

    def begin_model(self, version: str, header: str, run: str) -> None:
        """Note that a model is served from now on, and drop what belongs to all but the last :data:`KEPT_VERSIONS`.

        Args:
            version: its version.
            header: the header of its states; states with another header are dropped.
            run: folder of its run.
        """
        query = self._database.query
        known = query("SELECT header FROM model WHERE version = ?", (version,)).fetchone()
        if known is not None and known[0] != header:
            query("DELETE FROM state WHERE version = ?", (version,))
        (order,) = query("SELECT COALESCE(MAX(served), 0) + 1 FROM model").fetchone()
        query("INSERT OR REPLACE INTO model VALUES (?, ?, ?, ?)", (version, header, run, order))
        kept = "SELECT version FROM model ORDER BY served DESC LIMIT ?"
        query(f"DELETE FROM model WHERE version NOT IN ({kept})", (KEPT_VERSIONS,))
        for table in ("state", "vector"):
            query(f"DELETE FROM {table} WHERE version NOT IN (SELECT version FROM model)")

    def _select(self, condition: str, values: Sequence[str]) -> dict[str, StoredState]:
        query = f"SELECT user_id, num_events, is_known, last_time, tensors FROM state WHERE {condition}"
        return {user: StoredState(*rest) for user, *rest in self._database.query(query, values)}
