"""Report errors that a user can act on in one line, without a traceback."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from interestlab.errors import DataError, PluginError, TrainingError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print the project's own errors as one line on standard error, and exit with status 2."""
    try:
        yield
    except (DataError, PluginError, TrainingError) as err:
        exit_with(str(err), err)
    except Exception as err:
        # Polars has its own error for a full disk. It is imported here, as listing plugins starts without it.
        from polars.exceptions import PolarsError

        from interestlab.utils.artifact_store import is_write_error

        if not isinstance(err, OSError | PolarsError) or not is_write_error(err):
            raise
        path, problem = getattr(err, "filename", None) or "the run folder", getattr(err, "strerror", None) or err
        exit_with(f"{path} cannot be read or written ({problem}); make room, or give another folder.", err)


def exit_with(message: str, err: Exception) -> None:
    """Print a message and exit.

    Args:
        message: what is wrong and what to do.
        err: the cause.

    Raises:
        SystemExit: always, with 2.
    """
    print(f"interestlab: {message}", file=sys.stderr)
    raise SystemExit(2) from err


def first_reason(err: Exception) -> str:
    """Return the message of an error in one line; of jsonargparse's list of rejected alternatives the first.

    Args:
        err: the error.
    """
    match = re.search(r"^Errors:\n\s*- (.+)$", str(err), re.MULTILINE)
    return " ".join((match[1] if match else str(err)).split())
