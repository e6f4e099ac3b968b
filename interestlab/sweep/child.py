"""The process of one trial, ``python -m interestlab.sweep.child RUN_DIR``: it trains, and ends when its sweep ends.

The first line of standard input is a JSON object with the trial's ``configs``, ``settings`` and ``log_level``. The sweep
writes nothing more: the end of the stream means that the sweep has ended, for whatever reason. The trial then ends too, so that
the same sweep, started again, does not run it a second time.
"""

import json
import os
import signal
import sys
import threading

from interestlab.config import logs
from interestlab.config.one_line_errors import one_line_errors


def end_with_the_sweep() -> None:
    """Wait for the end of standard input, then kill this process."""
    while os.read(0, 1):  # not sys.stdin, whose lock would be taken when the interpreter ends
        pass
    os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)


def read_line() -> str:
    """Read only the first line of standard input."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode("utf-8")


def main() -> None:
    """Fit the trial."""
    trial = json.loads(read_line())
    threading.Thread(target=end_with_the_sweep, daemon=True).start()
    logs.configure(trial["log_level"])
    with one_line_errors():
        from interestlab.training.fit import fit

        fit(trial["settings"], configs=trial["configs"], run_dir=sys.argv[1])


if __name__ == "__main__":
    main()
