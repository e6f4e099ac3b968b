"""What a user can mend ends in one line, not in a traceback."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from polars.exceptions import PolarsError

from interestlab.errors import DataError, PluginError, TrainingError
from interestlab.utils.artifact_store import is_write_error


def reason(err: Exception) -> str:
    """What an error says, in a line; of jsonargparse's alternatives that did not fit the first, which is what was meant."""
    found = re.search(r"^Errors:\n\s*- (.+)$", str(err), re.MULTILINE)
    return " ".join((found[1] if found else str(err)).split())


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn the project's own errors into a line on standard error and exit status 2."""
    try:
        yield
    except (DataError, PluginError, TrainingError) as err:
        print(f"interestlab: {err}", file=sys.stderr)
        raise SystemExit(2) from err
    except (OSError, PolarsError) as err:
        if not is_write_error(err):
            raise
        place, told = getattr(err, "filename", None) or "the run folder", getattr(err, "strerror", None) or err
        print(f"interestlab: {place} cannot be read or written ({told}); make room, or give another folder.", file=sys.stderr)
        raise SystemExit(2) from err
