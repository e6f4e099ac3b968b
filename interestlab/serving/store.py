"""Events and states on disk: SQLite, where an event and the state after it are one transaction."""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from interestlab.errors import DataError

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
KEPT_VERSIONS = 2
"""Number of models whose states are kept: the one that is served, and the one before it."""

PARAMETERS = 500
"""Largest number of values in one ``IN`` of a query."""


class StoreError(DataError):
    """The store cannot be written now; what was to be written is not."""


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


class StoredState(NamedTuple):
    """The state of a user after some events.

    Attributes:
        num_events: number of events in the log.
        is_known: whether the state follows any of them.
        last_time: unix seconds of the latest event.
        tensors: the state.
    """

    num_events: int
    is_known: bool
    last_time: int | None
    tensors: bytes


class Store:
    """The log and the states of a server. One thread at a time may use it.

    A committed transaction survives the end of the process at any moment. With ``durable`` it survives the loss of power too,
    since each commit waits for the disk; without, the last commits before a loss of power may be missing.

    Args:
        file: the database; it is created if it does not exist.
        durable: whether each commit waits for the disk.

    Raises:
        DataError: the file is no such database.
    """

    def __init__(self, file: Path, *, durable: bool = False) -> None:
        self.file = file
        try:
            self._db = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("PRAGMA secure_delete = ON")  # an erased user leaves no bytes behind
            self._db.executescript(SCHEMA)
        except sqlite3.Error as err:
            raise DataError(f"{file} cannot be opened as the store of a server: {err}; give another --store.") from err

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside at once, or nothing of it.

        Raises:
            StoreError: the file cannot be written, for instance because the disk is full.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite rolls some errors back by itself
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as err:
            raise StoreError(f"{self.file} cannot be written: {err}") from err

    # ---- events

    def find_bodies(self, event_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the bodies of the events that are stored.

        Args:
            event_ids: ids of at most :data:`PARAMETERS` events.
        """
        rows = self._db.execute(f"SELECT event_id, body FROM event WHERE event_id IN ({_marks(event_ids)})", event_ids)
        return dict(rows)

    def add_events(self, events: Iterable[StoredEvent]) -> None:
        """Add events.

        Args:
            events: their ids are new.
        """
        self._db.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", events)

    def events_of(self, user_id: str, first: int = 0) -> list[StoredEvent]:
        """Return the events of a user, in the order of their arrival.

        Args:
            user_id: the user.
            first: number of the events before the first that is returned.
        """
        columns = "event_id, user_id, number, time, item_id, body"
        rows = self._db.execute(
            f"SELECT {columns} FROM event WHERE user_id = ? AND number >= ? ORDER BY number", (user_id, first)
        )
        return [StoredEvent(*row) for row in rows]

    def latest_before(self, user_id: str, number: int) -> int | None:
        """Return the latest time among the first events of a user; None without events.

        Args:
            user_id: the user.
            number: number of events.
        """
        row = self._db.execute("SELECT MAX(time) FROM event WHERE user_id = ? AND number < ?", (user_id, number)).fetchone()
        return None if row is None else row[0]

    def count_events(self, user_ids: Sequence[str]) -> dict[str, int]:
        """Return the number of events of each user who has some.

        Args:
            user_ids: at most :data:`PARAMETERS` users.
        """
        query = f"SELECT user_id, MAX(number) + 1 FROM event WHERE user_id IN ({_marks(user_ids)}) GROUP BY user_id"
        return dict(self._db.execute(query, user_ids))

    def all_counts(self) -> dict[str, int]:
        """Return the number of events of every user."""
        return dict(self._db.execute("SELECT user_id, MAX(number) + 1 FROM event GROUP BY user_id"))

    def items_of(self, user_id: str) -> list[str]:
        """Return the distinct items of a user.

        Args:
            user_id: the user.
        """
        return [item for (item,) in self._db.execute("SELECT DISTINCT item_id FROM event WHERE user_id = ?", (user_id,))]

    def has_events(self) -> bool:
        """Return whether there is any event."""
        return self._db.execute("SELECT 1 FROM event LIMIT 1").fetchone() is not None

    def latest_users(self, limit: int) -> list[str]:
        """Return users, those with the most recent events first.

        Args:
            limit: largest number of users.
        """
        query = "SELECT user_id FROM event GROUP BY user_id ORDER BY MAX(time) DESC, user_id LIMIT ?"
        return [user for (user,) in self._db.execute(query, (limit,))]

    # ---- states

    def states(self, version: str, user_ids: Sequence[str]) -> dict[str, StoredState]:
        """Return the states of users.

        Args:
            version: version of the model.
            user_ids: at most :data:`PARAMETERS` users.
        """
        columns = "user_id, num_events, is_known, last_time, tensors"
        query = f"SELECT {columns} FROM state WHERE version = ? AND user_id IN ({_marks(user_ids)})"
        return {user: StoredState(*rest) for user, *rest in self._db.execute(query, (version, *user_ids))}

    def put_states(self, version: str, states: Mapping[str, StoredState]) -> None:
        """Write states, in place of those before.

        Args:
            version: version of the model.
            states: state of each user.
        """
        rows = ((version, user, *state) for user, state in states.items())
        self._db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?)", rows)

    def all_states(self, version: str) -> dict[str, StoredState]:
        """Return the states of all users.

        Args:
            version: version of the model.
        """
        query = "SELECT user_id, num_events, is_known, last_time, tensors FROM state WHERE version = ? ORDER BY user_id"
        return {user: StoredState(*rest) for user, *rest in self._db.execute(query, (version,))}

    def serve_model(self, version: str, header: str, run: str) -> None:
        """Note that a model is served from now on, and drop the states of all but the last :data:`KEPT_VERSIONS`.

        Args:
            version: its version.
            header: the header of its states; states with another header are dropped.
            run: folder of its run.
        """
        known = self._db.execute("SELECT header FROM model WHERE version = ?", (version,)).fetchone()
        if known is not None and known[0] != header:
            self._db.execute("DELETE FROM state WHERE version = ?", (version,))
        order = self._db.execute("SELECT COALESCE(MAX(served), 0) + 1 FROM model").fetchone()[0]
        self._db.execute("INSERT OR REPLACE INTO model VALUES (?, ?, ?, ?)", (version, header, run, order))
        self._db.execute(
            "DELETE FROM model WHERE version NOT IN (SELECT version FROM model ORDER BY served DESC LIMIT ?)", (KEPT_VERSIONS,)
        )
        for table in ("state", "vector"):
            self._db.execute(f"DELETE FROM {table} WHERE version NOT IN (SELECT version FROM model)")

    # ---- users

    def erase(self, user_id: str) -> bool:
        """Erase a user from the log, the states and the exposures, and return whether there was anything.

        Args:
            user_id: the user.
        """
        tables = ("event", "state", "exposure")
        return sum(self._db.execute(f"DELETE FROM {table} WHERE user_id = ?", (user_id,)).rowcount for table in tables) > 0

    def truncate_journal(self) -> None:
        """Move the journal into the database, so that what was erased is in neither of them."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # ---- items

    def items(self) -> dict[str, bytes]:
        """Return the words of each item that was added, in the order of their arrival."""
        return dict(self._db.execute("SELECT item_id, body FROM item ORDER BY rowid"))

    def item(self, item_id: str) -> bytes | None:
        """Return the words of an item that was added; None if it was not.

        Args:
            item_id: its id.
        """
        row = self._db.execute("SELECT body FROM item WHERE item_id = ?", (item_id,)).fetchone()
        return None if row is None else row[0]

    def add_item(self, item_id: str, body: bytes) -> None:
        """Add an item.

        Args:
            item_id: its id.
            body: its words.
        """
        self._db.execute("INSERT INTO item VALUES (?, ?)", (item_id, body))

    def vectors(self, version: str) -> dict[str, bytes]:
        """Return the vectors of the items that were added.

        Args:
            version: version of the model that computed them.
        """
        return dict(self._db.execute("SELECT item_id, vector FROM vector WHERE version = ?", (version,)))

    def put_vector(self, version: str, item_id: str, vector: bytes) -> None:
        """Write the vector of an item that was added.

        Args:
            version: version of the model that computed it.
            item_id: its id.
            vector: float32 values.
        """
        self._db.execute("INSERT OR REPLACE INTO vector VALUES (?, ?, ?)", (version, item_id, vector))

    def retired(self) -> set[str]:
        """Return the items that must not be recommended."""
        return {item for (item,) in self._db.execute("SELECT item_id FROM retired")}

    def set_retired(self, item_id: str, retired: bool) -> None:
        """Retire an item, or restore it.

        Args:
            item_id: its id.
            retired: whether it is retired from now on.
        """
        query = "INSERT OR IGNORE INTO retired VALUES (?)" if retired else "DELETE FROM retired WHERE item_id = ?"
        self._db.execute(query, (item_id,))

    # ---- exposures and settings

    def add_exposures(self, rows: Iterable[tuple[str, float, str, str, str]]) -> None:
        """Log lists that were shown.

        Args:
            rows: user, unix seconds, version of the model, basis, and the items as JSON.
        """
        self._db.executemany("INSERT INTO exposure (user_id, time, version, basis, items) VALUES (?, ?, ?, ?, ?)", rows)

    def setting(self, name: str) -> str | None:
        """Return a setting of the store; None if it is not set.

        Args:
            name: its name.
        """
        row = self._db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def set_setting(self, name: str, value: str) -> None:
        """Set a setting of the store.

        Args:
            name: its name.
            value: its value.
        """
        self._db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))


@contextmanager
def sole_user(file: Path) -> Iterator[None]:
    """Keep other servers from a store; the system ends this when the process ends, however it does.

    Args:
        file: the database.

    Raises:
        DataError: another server uses the store.
    """
    lock = FileLock(f"{file}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as err:
        raise DataError(f"another server uses {file}; stop it, or give another --store.") from err
    except OSError as err:
        raise DataError(f"{file}.lock cannot be written ({err.strerror or err}); give another --store.") from err
    try:
        yield
    finally:
        lock.release()


def measure_commit(folder: Path, durable: bool, commits: int = 20) -> float:
    """Return the mean seconds of a transaction with one small row, in a scratch database beside the store.

    Args:
        folder: folder of the store.
        durable: whether a commit waits for the disk.
        commits: number of transactions.
    """
    file = folder / f".commit-{time.monotonic_ns()}.sqlite"
    store = Store(file, durable=durable)
    try:
        start = time.perf_counter()
        for i in range(commits):
            with store.transaction():
                store.set_setting("n", str(i))
        return (time.perf_counter() - start) / commits
    finally:
        store.close()
        for suffix in ("", "-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)


def _marks(values: Sequence[str]) -> str:
    assert len(values) <= PARAMETERS, "too many values for one query"
    return ", ".join("?" * len(values))
