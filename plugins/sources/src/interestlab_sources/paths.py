"""Paths as users type them, checked before anything is read."""

from pathlib import Path

from interestlab.errors import DataError


def expanded(path: str) -> Path:
    """``path`` with ``~`` resolved.

    Raises:
        DataError: ``~name`` names no user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"{path}: {error}; write the path out") from error


def readable(path: str | Path) -> Path:
    """``path`` as a file that opens and is not empty.

    Raises:
        DataError: it is missing, a folder, empty, or may not be read.
    """
    found = expanded(str(path))
    try:
        if found.is_dir():
            raise DataError(f"{found}: is a folder; name the file in it")
        with found.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        raise DataError(f"{found}: no such file; check the path") from error
    except DataError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise DataError(f"{found}: cannot be opened ({error}); check the path and its permissions") from error
    if empty:
        raise DataError(f"{found}: is empty; fetch it again")
    return found
