"""Run the sweep and the untrained baselines of one log."""

import argparse
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from benchmarks.leaderboard.logs import LOGS
from interestlab.cli.main import main

SWEEP = Path(__file__).parents[2] / "configs" / "sweeps" / "leaderboard.yaml"
AXIS = "model.dynamics"


def sweep_file(options: argparse.Namespace, name: str) -> Path:
    """Write the sweep of a log, and return its file.

    Args:
        options: of the command.
        name: name of the log.
    """
    sweep = yaml.safe_load(SWEEP.read_text("utf-8"))
    sweep |= {"name": f"leaderboard-{name}", "set": LOGS[name].options(options.data.resolve())}
    file = Path(options.out / f"{name}.yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(sweep, sort_keys=False), "utf-8")
    return file


def run_sweep(options: argparse.Namespace, name: str) -> None:
    """Train what is missing of a log.

    Args:
        options: of the command.
        name: name of the log.
    """
    file = sweep_file(options, name)
    sweep = yaml.safe_load(file.read_text("utf-8"))
    dynamics = sweep["axes"][AXIS] if options.dynamics is None else options.dynamics
    arguments = [f"--out={options.out / name}", f"--workers={options.workers}", "--no_report"]
    arguments += [f"--seeds={options.seeds}"] if options.seeds else []
    part = file.with_name(f"{name}-part.yaml")
    part.write_text(yaml.safe_dump(sweep | {"axes": {AXIS: dynamics}, "baseline": {AXIS: dynamics[0]}}), "utf-8")
    with suppress(SystemExit):  # a failed run is a row of the table
        main(["sweep", str(part), *arguments])
    part.unlink()


def measure_baselines(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Return the contents of ``baselines.json``, and measure it the first time.

    Args:
        options: of the command.
        name: name of the log.
    """
    file = options.out / name / "baselines.json"
    if not file.exists():
        data = [
            f"--{key}={str(value).lower()}" if isinstance(value, bool) else f"--{key}={value}"
            for key, value in LOGS[name].options(options.data.resolve()).items()
        ]
        main(["baselines", f"--out={file.parent}", *data])
    content: dict[str, Any] = json.loads(file.read_text("utf-8"))["baselines"]
    return content
