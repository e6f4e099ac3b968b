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
def recommenders() -> dict[Path, Recommender]:
    """Return the loaded runs."""
    return {}


@pytest.fixture
def loaded(fitted, recommenders) -> Callable[..., Recommender]:
    """Return a function that returns the recommender of a run with the given options."""

    def get_recommender(*options: str) -> Recommender:
        folder = fitted(*options)
        if folder not in recommenders:
            recommenders[folder] = load(folder)
        return recommenders[folder]

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
