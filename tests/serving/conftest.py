"""Served models on the small shop, each fitted once per session, and cores over new stores."""

import asyncio
import contextlib
import copy
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("msgspec")
pytest.importorskip("prometheus_client")

sys.path.insert(0, str(Path(__file__).parent))  # the helper modules of this folder

from server_process import ServerProcess

from interestlab import load
from interestlab.inference.recommender import Recommender
from interestlab.serving.core.core import Core, Settings
from interestlab.serving.items import ItemTable
from interestlab.serving.log_import import import_log
from interestlab.serving.served_model import ServedModel, make_stepper
from interestlab.serving.store.store import Store

DIM = "--model.dim=16"


def part(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": name, "init_args": arguments}


@pytest.fixture(scope="session")
def loaded_once() -> dict[Any, Any]:
    """Return what was loaded of each run."""
    return {}


@pytest.fixture
def signals_run(fitted, bert) -> Path:
    """Return a run that reads ids and titles of items, and the type, rating and time of events."""
    encoders = {
        "id": part("id", std=0.1, min_count=1),
        "title": part("static", model=bert, whiten=True),
        **{name: part("behaviour", field=f"event.{name}") for name in ("event", "rating", "elapsed", "hour", "weekday")},
    }
    return fitted(f"--model.encoder={json.dumps(encoders)}", "--model.fusion=gated", "--model.dynamics=momentum", DIM)


@pytest.fixture
def ids_run(fitted) -> Callable[[str], Path]:
    """Return a function that returns a run over ids with the given dynamics."""
    return lambda dynamics: fitted("--model.encoder=id", f"--model.dynamics={dynamics}", DIM)


@pytest.fixture
def model(loaded_once) -> Callable[[Path], ServedModel]:
    """Return a function that returns the model of a run, with items of its own; the run is loaded once per session."""

    def get_model(folder: Path) -> ServedModel:
        if folder not in loaded_once:
            loaded_once[folder] = ServedModel(folder)
        loaded = copy.copy(loaded_once[folder])
        frozen, data = loaded.frozen, loaded.data
        loaded.items = ItemTable(data.catalogue["item_id"].to_list(), frozen.items, frozen.catalogue, data.log.counts)
        loaded.stepper = make_stepper(frozen, loaded.items, loaded.version, data.max_history)
        return loaded

    return get_model


@pytest.fixture
def recommender(loaded_once) -> Callable[[Path], Recommender]:
    """Return a function that returns the recommender of a run; it is loaded once per session."""

    def get_recommender(folder: Path) -> Recommender:
        if (folder, "recommender") not in loaded_once:
            loaded_once[folder, "recommender"] = load(folder)
        return loaded_once[folder, "recommender"]

    return get_recommender


@pytest.fixture
def make_core(model, tmp_path) -> Callable[..., Core]:
    """Return a function that returns a core: ``make_core(run, imported=True, file="a.sqlite", explore=.1)``."""

    def make(run: Path, imported: bool = False, file: str = "store.sqlite", **settings: Any) -> Core:
        served, store = model(run), Store(tmp_path / file)
        import_log(store, served.data, imported)
        return Core(served, store, Settings(**settings))

    return make


@pytest.fixture
def core(make_core, signals_run) -> Core:
    """Return a core over an empty store."""
    return make_core(signals_run)


@pytest.fixture
def run_async() -> Callable[[Any], Any]:
    """Return a function that runs a coroutine, for at most 30 seconds."""
    return lambda coroutine: asyncio.run(asyncio.wait_for(coroutine, 30))


@pytest.fixture
def start(tmp_path, cache):
    """Return a function that starts a server; it is stopped after the test."""
    with contextlib.ExitStack() as stack:

        def start_server(run, *options):
            server = ServerProcess(run, tmp_path, cache, *options)
            stack.callback(lambda: server.process.poll() is None and server.stop(signal.SIGKILL))
            return server

        yield start_server
