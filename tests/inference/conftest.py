"""Runs on the small shop, each fitted once, and loaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interestlab import load
from interestlab.inference.recommender import Recommender

Told = list[dict[str, Any]]


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """The runs so far by their options, and where the next one lies."""
    return {}, tmp_path_factory.mktemp("runs")


@pytest.fixture
def fitted(fit, kept) -> Callable[..., Path]:
    """The folder of a run with these options, fitted on first use; its predictions lie in it."""
    runs, home = kept

    def go(*options: str) -> Path:
        if options not in runs:
            folder = home / str(len(runs))
            cli = fit(*options, "--test_after_fit=false", steps=2, folder=str(folder))
            # What the command does, without a parser of its own, which takes longer.
            cli.trainer.predict(cli.model, datamodule=cli.datamodule, ckpt_path="best", weights_only=True)
            runs[options] = folder, load(folder)
        return runs[options][0]

    return go


@pytest.fixture
def loaded(fitted, kept) -> Callable[..., Recommender]:
    """The same, loaded."""

    def go(*options: str) -> Recommender:
        fitted(*options)
        return kept[0][options][1]

    return go


@pytest.fixture
def histories() -> Callable[[Recommender], dict[str, Told]]:
    """What a source says of each user, as it says it: words not cleaned, nothing left out."""

    def go(recommender: Recommender) -> dict[str, Told]:
        events = recommender.data.source.read().events.collect()
        assert events.height == recommender.data.log.meta["events"]
        return {user: frame.to_dicts() for (user,), frame in events.group_by("user_id", maintain_order=True)}

    return go


@pytest.fixture
def compositions(bert) -> dict[str, list[str]]:
    """Options of models by what they read."""

    def part(name: str, **arguments: Any) -> dict[str, Any]:
        return {"class_path": name, "init_args": arguments}

    signals = {name: part("behaviour", field=f"event.{name}") for name in ("hour", "elapsed", "event", "rating")}
    texts = {
        "frozen": part("frozen", model=bert),
        "lora": part("lora", model=bert),
        "id_and_words": {"id": part("id"), "words": part("frozen", model=bert, fields=["item.title+item.brand"])},
        "events": {"id": part("id"), "words": part("frozen", model=bert, fields=["item.title", "event.text"])} | signals,
    }
    rest = {
        "frozen": ["--model.dynamics=momentum", "--model.objective=interest", "--model.objective.temperature=1"],
        "lora": ["--model.dynamics=ewma"],
        "id_and_words": ["--model.dynamics=lru", "--model.fusion=gated", "--data.exclude_history=false"],
        "events": ["--model.dynamics=gru", "--model.fusion=attention"],
    }
    return {name: [f"--model.encoder={json.dumps(encoder)}", *rest[name]] for name, encoder in texts.items()}


@pytest.fixture
def shop(loaded, compositions) -> Callable[[str], Recommender]:
    """A loaded model by what it reads, or by its dynamics over ids."""
    return lambda name: loaded(*compositions.get(name, ["--model.encoder=id", f"--model.dynamics={name}"]))
