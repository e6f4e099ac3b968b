"""Runs in processes of their own, which can be killed, and what two runs have to have alike."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from interestlab.training.loggers.jsonl import read_metrics

SHOP = [
    *("--data.source=simulated", "--data.source.users=30", "--data.source.items=40", "--data.source.events=6"),
    *("--data.max_history=8", "--data.batch_events=40", "--model.objective=next_item", "--model.dim=16"),
    *("--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"),
    *("--trainer.log_every_n_steps=1", "--model.optim.schedule=cosine", "--model.optim.warmup=2"),
]
TIMES = {"train/targets_per_second", "train/peak_memory_mb", "seconds", "seconds_per_epoch", "seconds_before", "peak_memory_mb"}
UNTOLD = {"Cost", "current_score"}
"""Of a checkpoint: seconds, and a score that Lightning writes into it and never takes out of it."""


@pytest.fixture(scope="session")
def server():
    """The process that forks the runs; its standard input takes one a line."""
    command = [sys.executable, str(Path(__file__).with_name("killing.py"))]
    threads = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}  # more of them cost such small runs time
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, env=os.environ | threads, text=True) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def apart(server, tmp_path, cache):
    """``apart("run", *args, when=("SIGKILL", "batch", 7), processes=2)``: the exit status of a fit in a folder, which says what
    it says in ``run.log``."""

    def go(folder, *args, when=(), command="fit", processes=1, strategy="ddp", **env):
        given = [command, *args, f"--run_dir={tmp_path / folder}"]
        if processes > 1:
            given += [f"--trainer.devices={processes}", f"--trainer.strategy={strategy}"]
        env = {"INTERESTLAB_CACHE": str(cache), "WANDB_MODE": "offline"} | env
        result = {"args": given, "when": when, "log": str(tmp_path / f"{folder}.log"), "folder": str(tmp_path), "env": env}
        result["processes"] = processes
        print(json.dumps(result), file=server.stdin, flush=True)
        return int(server.stdout.readline())

    return go


def plain(value, folder):
    """A checkpoint's value without the name of its folder and what is of its time."""
    if isinstance(value, dict):
        return {plain(k, folder): plain(v, folder) for k, v in value.items() if k not in UNTOLD}
    if isinstance(value, list | tuple):
        return [plain(v, folder) for v in value]
    if isinstance(value, str):
        return value.replace(str(folder), "")
    return value


def differences(one, other, where=""):
    """Where two nested values are not the same to the last bit."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        alike = one.dtype == other.dtype and torch.equal(one, other)
        return [] if alike else [where]
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for k in one for found in differences(one[k], other[k], f"{where}/{k}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [found for i, (a, b) in enumerate(zip(one, other, strict=True)) for found in differences(a, b, f"{where}/{i}")]
    return [] if one == other and type(one) is type(other) else [f"{where}: {one} and {other}"]


def curve(folder):
    return read_metrics(folder / "metrics.jsonl").drop(TIMES, strict=False)


def assert_same(whole, parted):
    """Two runs are alike to the last bit: checkpoints, curve, metrics, ranks, and what they cost but for times."""
    for name in ("best.ckpt", "last.ckpt"):
        state = [plain(torch.load(f / "checkpoints" / name, weights_only=True), f) for f in (whole, parted)]
        assert differences(*state) == []
    assert curve(whole).equals(curve(parted)), f"{curve(whole)}\n{curve(parted)}"
    assert (whole / "metrics.json").read_bytes() == (parted / "metrics.json").read_bytes()
    assert (whole / "ranks.parquet").read_bytes() == (parted / "ranks.parquet").read_bytes()
    costs = [json.loads((f / "cost.json").read_text()) for f in (whole, parted)]
    assert {k: v for k, v in costs[0].items() if k not in TIMES} == {k: v for k, v in costs[1].items() if k not in TIMES}
    assert {p.relative_to(whole) for p in whole.rglob("*")} == {p.relative_to(parted) for p in parted.rglob("*")}


@pytest.fixture
def small():
    return list(SHOP)


@pytest.fixture
def same():
    return assert_same
