"""Check paths that users give, before anything is read."""

from pathlib import Path

from interestlab.errors import DataError


def expand_user(path: str) -> Path:
    """Replace ``~`` by a home folder.

    Args:
        path: as the user gave it.

    Raises:
        DataError: ``~name`` names no user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"{path}: {error}; write the path out") from error


def check_readable(path: str | Path) -> Path:
    """Check that a path is a file that can be opened and is not empty.

    Args:
        path: as the user gave it.

    Returns:
        The path with ``~`` replaced.

    Raises:
        DataError: the file is missing, a folder, empty, or cannot be opened.
    """
    file_path = expand_user(str(path))
    try:
        if file_path.is_dir():
            raise DataError(f"{file_path}: is a folder; name a file in it")
        with file_path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        raise DataError(f"{file_path}: no such file; check the path") from error
    except DataError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise DataError(f"{file_path}: cannot be opened ({error}); check the path and its permissions") from error
    if empty:
        raise DataError(f"{file_path}: is empty; download it again")
    return file_path
