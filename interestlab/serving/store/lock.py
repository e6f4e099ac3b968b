"""One server per store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from interestlab.errors import DataError


@contextmanager
def sole_user(file: Path) -> Iterator[None]:
    """Keep other servers from a store; the system releases the lock when the process ends, however it ends.

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
