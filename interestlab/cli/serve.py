"""Serve a finished run: recommendations that move with each event, over HTTP."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jsonargparse import Namespace

from interestlab.config.parser import CommandParser
from interestlab.errors import DataError

if TYPE_CHECKING:
    from interestlab.serving.http.tokens import Tokens


def run(args: list[str]) -> None:
    """Load the run, open the store, and answer until the process is stopped.

    Args:
        args: the options.
    """
    options = serve_parser().parse_args(args)
    # Here, since the help does not need the packages of the extra.
    from interestlab.serving.http.server import check_address
    from interestlab.serving.http.tokens import Tokens, read_tokens
    from interestlab.serving.store import sole_user

    if not 0 <= options.explore < 1:
        raise DataError(f"--explore must be from 0 to below 1, not {options.explore}.")
    tokens = read_tokens(options.tokens) if options.tokens else Tokens({})
    check_address(options.host, tokens)
    torch.set_num_threads(1)  # one batch at a time; more threads would only wait for each other
    if not options["run"].is_dir():
        raise DataError(f"{options['run']} is not a folder; give the folder of a finished fit.")
    options.store = options.store or options["run"] / "serve.sqlite"
    with sole_user(options.store):
        serve_run(options, tokens)


def serve_run(options: Namespace, tokens: "Tokens") -> None:
    """Load the run, and answer until the process is stopped.

    Args:
        options: the options of the command.
        tokens: the tokens that the server accepts.
    """
    import asyncio

    from interestlab.serving.core import Core, Settings
    from interestlab.serving.http.server import serve
    from interestlab.serving.log_import import import_log
    from interestlab.serving.served_model import ServedModel
    from interestlab.serving.service import Service
    from interestlab.serving.store import Store, measure_commit

    model, store = ServedModel(options["run"]), Store(options.store, durable=options.durable)
    imported = import_log(store, model.data, options.import_log)
    core = Core(model, store, Settings(options.exact_up_to, options.log_exposure, options.explore))
    if imported:
        core.build_states()
        print(f"{imported:,} events of the run's log are now in {options.store}")
    plain, synced = (1e3 * measure_commit(options.store.parent, durable) for durable in (False, True))
    print(f"model {model.version}: {core.served.index_note}")
    chosen = "--durable" if options.durable else "without --durable"
    print(f"a commit takes {plain:.2f} ms, with --durable {synced:.2f} ms; this server runs {chosen}")
    print(f"serving on http://{options.host}:{options.port}, stop with Ctrl-C", flush=True)
    asyncio.run(serve(Service(core), tokens, options.host, options.port, options["run"]))


def serve_parser() -> CommandParser:
    """Return the parser of the options."""
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
    parser.add_argument("--exact_up_to", type=int, default=20_000, help="search catalogues up to this size exactly")
    parser.add_argument("--log_exposure", action="store_true", help="log every list with its scores, version and propensities")
    parser.add_argument("--explore", type=float, default=0.0, help="probability of a random item in each place of a list")
    return parser
