"""Runs on the small shop, each fitted and loaded once per session."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interestlab import load
from interestlab.inference.recommender import Recommender

Events = list[dict[str, Any]]


@pytest.fixture(scope="session")
def run_cache(tmp_path_factory):
    """Return the runs by their options, and the folder for new runs."""
    return {}, tmp_path_factory.mktemp("runs")


@pytest.fixture
def fitted(fit, run_cache) -> Callable[..., Path]:
    """Return a function that returns the folder of a run with the given options; it fits and predicts on first use."""
    runs, root = run_cache

    def get_folder(*options: str) -> Path:
        if options not in runs:
            folder = root / str(len(runs))
            cli = fit(*options, "--test_after_fit=false", steps=2, folder=str(folder))
            # As `interestlab predict`, without the cost of another parser.
            cli.trainer.predict(cli.model, datamodule=cli.datamodule, ckpt_path="best", weights_only=True)
            runs[options] = folder, load(folder)
        return runs[options][0]

    return get_folder


@pytest.fixture
def loaded(fitted, run_cache) -> Callable[..., Recommender]:
    """Return a function that returns the recommender of a run with the given options."""

    def get_recommender(*options: str) -> Recommender:
        fitted(*options)
        return run_cache[0][options][1]

    return get_recommender


@pytest.fixture
def histories() -> Callable[[Recommender], dict[str, Events]]:
    """Return a function that returns the raw events of each user from the source, with uncleaned text and all columns."""

    def read_histories(recommender: Recommender) -> dict[str, Events]:
        events = recommender.data.source.read().events.collect()
        assert events.height == recommender.data.log.meta["events"]
        return {user: frame.to_dicts() for (user,), frame in events.group_by("user_id", maintain_order=True)}

    return read_histories


@pytest.fixture
def model_options(bert) -> dict[str, list[str]]:
    """Return the options of several models, by the inputs that they read."""

    def plugin_spec(name: str, **arguments: Any) -> dict[str, Any]:
        return {"class_path": name, "init_args": arguments}

    signals = {name: plugin_spec("behaviour", field=f"event.{name}") for name in ("hour", "elapsed", "event", "rating")}
    texts = {
        "frozen": plugin_spec("frozen", model=bert),
        "lora": plugin_spec("lora", model=bert),
        "id_and_words": {"id": plugin_spec("id"), "words": plugin_spec("frozen", model=bert, fields=["item.title+item.brand"])},
        "events": {"id": plugin_spec("id"), "words": plugin_spec("frozen", model=bert, fields=["item.title", "event.text"])}
        | signals,
    }
    rest = {
        "frozen": ["--model.dynamics=momentum", "--model.objective=interest", "--model.objective.temperature=1"],
        "lora": ["--model.dynamics=ewma"],
        "id_and_words": ["--model.dynamics=lru", "--model.fusion=gated", "--data.exclude_history=false"],
        "events": ["--model.dynamics=gru", "--model.fusion=attention"],
    }
    return {name: [f"--model.encoder={json.dumps(encoder)}", *rest[name]] for name, encoder in texts.items()}


@pytest.fixture
def recommender_for(loaded, model_options) -> Callable[[str], Recommender]:
    """Return a function that loads a model, by its inputs or by its dynamics over ids."""
    return lambda name: loaded(*model_options.get(name, ["--model.encoder=id", f"--model.dynamics={name}"]))
