"""Atomic file writes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from interestlab.errors import DataError

FREE_SPACE_HINT = "make room, or give another folder"
RESUME_HINT = "make room, and resume the run with --ckpt_path=last"


@contextmanager
def atomic_write(path: Path, mode: str = "w", hint: str = FREE_SPACE_HINT) -> Iterator[IO[Any]]:
    """Open a temporary file that replaces ``path`` once it is complete and on disk.

    Args:
        path: the file to write or replace.
        mode: ``w`` for text, ``wb`` for bytes.
        hint: advice for the user in an error.

    Yields:
        The open file.

    Raises:
        DataError: the file cannot be written, for instance because the disk is full; a previous file is unchanged.
    """
    # In the same folder, since a rename is atomic only within a file system; under a fixed name, so that killed processes
    # leave at most one such file.
    part = path.with_name(f".{path.name}.part")
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "")
    try:
        with part.open(mode, encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as err:
        part.unlink(missing_ok=True)
        raise DataError(cannot_write_message(path, err, f"the previous file is unchanged; {hint}")) from err
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text_atomic(path: Path, text: str) -> None:
    """Write a text file atomically.

    Args:
        path: the file to write or replace.
        text: its content.

    Raises:
        DataError: the file cannot be written; a previous file is unchanged.
    """
    with atomic_write(path) as file:
        file.write(text)


def cannot_write_message(path: Path, err: OSError, hint: str) -> str:
    """Return the message of an error for a file that could not be written.

    Args:
        path: the file.
        err: why.
        hint: what the user can do.
    """
    return f"{path} cannot be written ({err.strerror or err}); {hint}."
