"""Run trials as runs of a W&B sweep: its server hands out their ids, and any agent that sees the sweep's folder runs them."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from interestlab.errors import DataError
from interestlab.sweep.display import Display
from interestlab.sweep.tracking import PROJECT
from interestlab.sweep.trials import Trial
from interestlab.utils.atomic_files import write_text_atomic

FILE = "wandb-sweep.yaml"


def config(trials: Sequence[Trial], folder: Path) -> dict[str, Any]:
    """Return the config of a W&B sweep over the ids of trials.

    Args:
        trials: trials of the sweep.
        folder: folder of the sweep.
    """
    run_one = ["sweep", str(folder / "sweep.yaml"), f"--out={folder}", "${args}"]
    return {
        "project": PROJECT,
        "name": trials[0].sweep,
        "program": "interestlab",
        "method": "grid",
        "parameters": {"trial": {"values": [trial.id for trial in trials]}},
        "command": ["${env}", sys.executable, "-m", "interestlab", *run_one],
    }


def write(trials: Sequence[Trial], folder: Path) -> None:
    """Write the config of the W&B sweep into the sweep's folder, for ``wandb sweep FILE``.

    Args:
        trials: trials of the sweep.
        folder: folder of the sweep.
    """
    write_text_atomic(folder / FILE, yaml.safe_dump(config(trials, folder), sort_keys=False))


def run(trials: Sequence[Trial], folder: Path, workers: int, display: Display) -> None:  # noqa: ARG001 (each agent is one)
    """Create a W&B sweep over trials, and run trials as its first agent until none is left.

    Args:
        trials: the trials to run.
        folder: folder of the sweep.
        workers: ignored; start more agents instead.
        display: the progress display; it is stopped, because the agent writes to the terminal itself.

    Raises:
        DataError: W&B is not installed or offline.
    """
    file = folder / FILE
    try:
        import wandb
    except ModuleNotFoundError as err:
        raise DataError("the engine wandb is not installed: pip install 'interestlab[tracking]'.") from err
    if os.environ.get("WANDB_MODE", "online") != "online":  # set by `training.fit` if there is no API key
        raise DataError(f"a W&B sweep needs its server, and W&B is offline here; start it elsewhere: wandb sweep {file}")
    if trials:
        display.progress.stop()
        wandb.agent(wandb.sweep(config(trials, folder), project=PROJECT), project=PROJECT)
