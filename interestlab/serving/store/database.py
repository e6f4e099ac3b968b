"""The SQLite file: its tables, its connection and its transactions."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from interestlab.errors import DataError
from interestlab.serving.errors import StoreError

SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    event_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, number INTEGER NOT NULL, time INTEGER NOT NULL, item_id TEXT NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS event_of_user ON event (user_id, number);
CREATE TABLE IF NOT EXISTS state (
    version TEXT NOT NULL, user_id TEXT NOT NULL, num_events INTEGER NOT NULL, is_known INTEGER NOT NULL, last_time INTEGER,
    tensors BLOB NOT NULL, PRIMARY KEY (version, user_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS model (version TEXT PRIMARY KEY, header TEXT NOT NULL, run TEXT NOT NULL, served INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS item (item_id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS vector (
    version TEXT NOT NULL, item_id TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (version, item_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS retired (item_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS exposure (
    id INTEGER PRIMARY KEY, user_id TEXT NOT NULL, time REAL NOT NULL, version TEXT NOT NULL, basis TEXT NOT NULL,
    items TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS exposure_of_user ON exposure (user_id);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

BUSY_SECONDS = 10.0
PARAMETERS = 500
"""Largest number of values in one ``IN`` of a query."""


class Database:
    """A connection to the file. One thread at a time may use it.

    Args:
        file: the database; it is created if it does not exist.
        durable: whether each commit waits for the disk.

    Raises:
        DataError: the file is no such database.
    """

    def __init__(self, file: Path, *, durable: bool = False) -> None:
        self.file = file
        try:
            self._connection = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._connection.execute("PRAGMA secure_delete = ON")  # an erased user leaves no bytes behind
            self._connection.executescript(SCHEMA)
        except sqlite3.Error as err:
            raise DataError(f"{file} cannot be opened as the store of a server: {err}; give another --store.") from err

    def query(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a statement.

        Args:
            sql: the statement.
            values: values of its placeholders.
        """
        return self._connection.execute(sql, values)

    def write(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each of some rows.

        Args:
            sql: the statement.
            rows: values of its placeholders.
        """
        self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside at once, or nothing of it.

        Raises:
            StoreError: the file cannot be written, for instance because the disk is full.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite rolls some errors back by itself
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as err:
            raise StoreError(f"{self.file} cannot be written: {err}") from err

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def placeholders(values: Sequence[str]) -> str:
    """Return the placeholders of an ``IN`` with these values.

    Args:
        values: at most :data:`PARAMETERS` values.
    """
    assert len(values) <= PARAMETERS, "too many values for one query"
    return ", ".join("?" * len(values))
