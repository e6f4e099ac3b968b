import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from interestlab.metrics import TargetRanks, per_user_metrics
from interestlab.sweep import running
from interestlab.sweep.spec import parse
from interestlab.sweep.trials import Trial, expand

FINGERPRINT = {"source": "files", "data": "1c8d", "users": 4, "k_core": 0}


@pytest.fixture(scope="session")
def fabricate(tmp_path_factory):
    """Write a sweep folder; ranks[label][seed]: the ranks of a trial's users, the reason why it failed, or None if missing."""

    def write(ranks, costs=None, changed=None, **sweep):
        folder = tmp_path_factory.mktemp("sweep")
        rows = []
        for i, (label, seeds) in enumerate(ranks.items()):
            for seed, result in enumerate(seeds):
                row = {"trial": f"t{i}-{seed}", "axis/tuning": label, "seed": seed, "run": f"trials/t{i}-{seed}"}
                row |= {"status": "missing", "reason": "not started", "fingerprint": json.dumps(FINGERPRINT)}
                if isinstance(result, str):
                    row |= {"status": "failed", "reason": result}
                elif result is not None:
                    row |= {"status": "done", "reason": None} | write_run(folder / row["run"], result)
                    row |= {name: values[label] for name, values in (costs or {}).items()}
                rows.append(row | (changed or {}).get(row["trial"], {}))
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(folder / "results.parquet")
        (folder / "sweep.yaml").write_text(yaml.safe_dump({"name": "tuning", "seeds": [0, 1], "budget": {"epochs": 2}} | sweep))
        return folder

    return write


def write_run(folder, ranks, tied=0):
    folder.mkdir(parents=True)
    n = len(ranks)
    frame = {"user_id": [f"u{i}" for i in range(n)], "item_id": ["i"] * n, "rank": ranks, "tied": [tied] * n}
    pl.DataFrame(frame).write_parquet(folder / "ranks.parquet")
    (folder / "versions.json").write_text('{"torch": "2.13.0"}')
    index = torch.arange(n)
    metrics = per_user_metrics(TargetRanks(index, index, torch.tensor(ranks) - 1, torch.full((n,), tied)), [10])
    return {f"test/{name}": float(np.float32(values.mean())) for name, values in metrics.items()}


STUB = """
import json, os, pathlib, sys, time
run, settings, seed = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
run.mkdir(parents=True)
(run / "config.yaml").write_text("started")
with open(run.parent.parent / "ran", "a") as file:
    file.write(run.name + "\\n")
time.sleep(settings.get("sleep", 0))
if settings.get("signal"):
    os.kill(os.getpid(), settings["signal"])
if settings.get("fail") and not pathlib.Path(settings["fail"]).exists():
    print("Traceback (most recent call last):\\n  File x\\nValueError: lr is too high\\nwandb: synced")
    sys.exit(3)
metrics = {"fingerprint": {"source": "stub", "seed": seed, "data_seed": seed}}
metrics |= {"test/recall@10": settings["quality"], "test/recall@10/ci95": [0, 1]}
(run / "cost.json").write_text(json.dumps({"parameters": 7, "seconds": 1.5, "other": 1}))
if not settings.get("silent"):
    (run / "metrics.json").write_text(json.dumps(metrics))
"""
"""The program of a stub trial: its settings say what it does."""


@pytest.fixture
def stubbed(monkeypatch):
    """Make the trials of a sweep whose axis is METHOD=settings; none of them trains a model."""

    def command(trial, folder):
        run = running.run_folder(folder, trial.id)
        return [sys.executable, "-c", STUB, str(run), json.dumps(trial.settings), str(trial.seed)]

    monkeypatch.setattr(running, "command", command)

    def make(seeds=(0,), **methods) -> list[Trial]:
        axes = {"method": {name: {"quality": 0.5} | settings for name, settings in methods.items()}}
        return expand(parse({"name": "stub", "axes": axes, "seeds": list(seeds)}, Path()))

    return make
