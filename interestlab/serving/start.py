"""Start a server: open the store, load the run, and answer until the process is stopped."""

import asyncio

import torch
from jsonargparse import Namespace

from interestlab.errors import DataError
from interestlab.serving.core.core import Core, Settings
from interestlab.serving.garbage import settle
from interestlab.serving.http.server import check_address, serve
from interestlab.serving.http.tokens import Tokens, read_tokens
from interestlab.serving.log_import import import_log
from interestlab.serving.served_model import ServedModel
from interestlab.serving.service import Service
from interestlab.serving.store.commit_time import measure_commit
from interestlab.serving.store.lock import sole_user
from interestlab.serving.store.store import Store


def start(options: Namespace) -> None:
    """Check the options, and answer until the process is stopped.

    Args:
        options: those of :mod:`interestlab.cli.serve`.

    Raises:
        DataError: an option is wrong, the run cannot be served, or another server uses the store.
    """
    if not 0 <= options.explore < 1:
        raise DataError(f"--explore must be from 0 to below 1, not {options.explore}.")
    tokens = read_tokens(options.tokens) if options.tokens else Tokens({})
    check_address(options.host, options.port, tokens)
    if not options["run"].is_dir():
        raise DataError(f"{options['run']} is not a folder; give the folder of a finished fit.")
    torch.set_num_threads(1)  # one batch at a time; more threads would only wait for each other
    options.store = options.store or options["run"] / "serve.sqlite"
    with sole_user(options.store):
        core = open_core(options)
        settle()
        print(f"serving on http://{options.host}:{options.port}, stop with Ctrl-C", flush=True)
        asyncio.run(serve(Service(core), tokens, options.host, options.port, options["run"]))


def open_core(options: Namespace) -> Core:
    """Load the run, open the store, and print how they will be used.

    Args:
        options: those of :mod:`interestlab.cli.serve`.

    Raises:
        DataError: the run cannot be served, or the store cannot be opened.
    """
    model, store = ServedModel(options["run"]), Store(options.store, durable=options.durable)
    imported = import_log(store, model.data, options.import_log)
    core = Core(model, store, Settings(options.exact_up_to, options.log_exposure, options.explore))
    if imported:
        core.served.users.build_all()
        print(f"{imported:,} events of the run's log are now in {options.store}")
    plain, synced = (1e3 * measure_commit(options.store.parent, durable) for durable in (False, True))
    print(f"model {model.version}: {core.served.index_note}")
    chosen = "--durable" if options.durable else "without --durable"
    print(f"a commit takes {plain:.2f} ms, with --durable {synced:.2f} ms; this server runs {chosen}")
    return core
