"""All tables of a server in one file."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from interestlab.serving.store.database import Database
from interestlab.serving.store.events import EventLog
from interestlab.serving.store.items import AddedItems
from interestlab.serving.store.states import StateTable


class Exposure(NamedTuple):
    """A list that was shown.

    Attributes:
        user_id: to whom.
        time: unix seconds.
        version: version of the model.
        basis: what decided the list.
        items: id, score and propensity of each item, as JSON.
    """

    user_id: str
    time: float
    version: str
    basis: str
    items: str


class Store(Database):
    """The log, the states and the added items of a server. One thread at a time may use it.

    A committed transaction survives the end of the process at any moment. With ``durable`` it survives the loss of power too,
    since each commit waits for the disk; without, the last commits before a loss of power may be missing.

    Args:
        file: the database; it is created if it does not exist.
        durable: whether each commit waits for the disk.

    Attributes:
        events: the log.
        states: the states.
        items: the items that were added or retired.

    Raises:
        DataError: the file is no such database.
    """

    def __init__(self, file: Path, *, durable: bool = False) -> None:
        super().__init__(file, durable=durable)
        self.events, self.states, self.items = EventLog(self), StateTable(self), AddedItems(self)

    def add_exposures(self, exposures: Iterable[Exposure]) -> None:
        """Log lists that were shown.

        Args:
            exposures: the lists.
        """
        self.write("INSERT INTO exposure (user_id, time, version, basis, items) VALUES (?, ?, ?, ?, ?)", exposures)

    def erase(self, user_id: str) -> bool:
        """Erase a user from the log, the states and the exposures, and return whether there was anything.

        Args:
            user_id: the user.
        """
        tables = ("event", "state", "exposure")
        return sum(self.query(f"DELETE FROM {table} WHERE user_id = ?", (user_id,)).rowcount for table in tables) > 0

    def truncate_journal(self) -> None:
        """Move the journal into the database, so that what was erased is in neither of them."""
        self.query("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def setting(self, name: str) -> str | None:
        """Return a setting of the store; None if it is not set.

        Args:
            name: its name.
        """
        row = self.query("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def set_setting(self, name: str, value: str) -> None:
        """Set a setting of the store.

        Args:
            name: its name.
            value: its value.
        """
        self.query("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))
