"""A small shop, and the command line run in this process."""

from pathlib import Path

import pytest

from interestlab.cli.train import InterestCLI, run

SHOP = [
    "--data.source=simulated",
    "--data.source.users=30",
    "--data.source.items=40",
    "--data.source.events=6",
    "--data.max_history=8",
]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERESTLAB_CACHE", str(cache))
    monkeypatch.setenv("WANDB_MODE", "offline")


@pytest.fixture
def fit(tmp_path):
    """Fit on the small shop: ``fit("--model.encoder=id", ...)``."""

    def go(*args: str, steps: int = 1, folder: str = "run") -> InterestCLI:
        objective = [] if any(a.startswith("--model.objective=") for a in args) else ["--model.objective=next_item"]
        return run(["fit", *SHOP, *QUIET, *objective, f"--trainer.max_steps={steps}", f"--run_dir={tmp_path / folder}", *args])

    return go
