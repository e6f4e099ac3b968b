"""Files that are there whole or not at all, however the process ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from interestlab.errors import DataError

MEND = "make room, or give another folder"
MEND_RUN = "make room, and the run goes on with --ckpt_path=last"


@contextmanager
def atomic_write(path: Path, mode: str = "w", mend: str = MEND) -> Iterator[IO[Any]]:
    """A file to write, which takes the place of ``path`` when it is complete and on the disk.

    Args:
        path: where it is to be.
        mode: ``w`` of text, ``wb`` of bytes.
        mend: what an error says is to be done.

    Raises:
        DataError: the disk is full, or the file cannot be written for another reason; what was there before still is.
    """
    # In the same folder, since a file moves in one stroke only within a disk; by one name, so that a kill leaves one at most.
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
        raise DataError(cannot_write_message(path, err, f"what was there before is whole; {mend}")) from err
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text_atomic(path: Path, text: str) -> None:
    """Write a text file that is never seen half written.

    Raises:
        DataError: it cannot be written; what was there before still is.
    """
    with atomic_write(path) as file:
        file.write(text)


def cannot_write_message(path: Path, err: OSError, mend: str) -> str:
    """What is said of a file that could not be written."""
    return f"{path} cannot be written ({err.strerror or err}); {mend}."
