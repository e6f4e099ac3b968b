"""``python -m interestlab.sweep.child fit ...``: the command line of a trial, which ends when its sweep does.

The sweep holds the other end of standard input and never writes: the end of that stream is the end of the sweep, however
it came. So no trial that nobody watches goes on, while the same sweep, started again, runs it a second time.
"""

import os
import signal
import sys
import threading


def end_with_the_sweep() -> None:
    """Wait for the end of standard input, then leave at once."""
    while os.read(0, 1):  # not sys.stdin, whose lock would be held when the interpreter ends
        pass
    os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=end_with_the_sweep, daemon=True).start()
    sys.argv[0] = "interestlab"  # what errors are told by
    from interestlab.cli.main import main

    main()
