"""What a user can mend ends in one line, not in a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from interestlab.contract import DataError, TrainingError
from interestlab.registry import PluginError


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn the project's own errors into a line on standard error and exit status 2."""
    try:
        yield
    except (DataError, PluginError, TrainingError) as err:
        print(f"interestlab: {err}", file=sys.stderr)
        raise SystemExit(2) from err
