"""Serve a finished run: recommendations that move with each event, over HTTP."""

from pathlib import Path

from interestlab.config.parser import CommandParser
from interestlab.serving.index_choice import EXACT_UP_TO


def run(args: list[str]) -> None:
    """Answer until the process is stopped.

    Args:
        args: the options.
    """
    parser = CommandParser("interestlab serve", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--host", default="127.0.0.1", help="IP address; one that others can reach needs --tokens")
    parser.add_argument("--port", type=int, default=8000, help="port")
    parser.add_argument("--store", type=Path | None, help="SQLite file of events and states (default RUN/serve.sqlite)")
    parser.add_argument("--durable", action="store_true", help="let each commit wait for the disk, against a loss of power")
    parser.add_argument(
        "--import_log", type=bool, default=True, help="whether a new store starts with the events of the run's log"
    )
    parser.add_argument("--tokens", type=Path | None, help="file with lines ROLE TOKEN; the roles are read, write and admin")
    parser.add_argument("--exact_up_to", type=int, default=EXACT_UP_TO, help="search catalogues up to this size exactly")
    parser.add_argument("--log_exposure", action="store_true", help="log every list with its scores, version and propensities")
    parser.add_argument("--explore", type=float, default=0.0, help="probability of a random item in each place of a list")
    options = parser.parse_args(args)
    from interestlab.serving.start import start  # here, since the help does not need the packages of the extra

    start(options)
