"""Runs in subprocesses that can be killed, and the comparison of two runs."""

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
    *("--trainer.log_every_n_steps=1", "--model.optim.schedule=cosine", "--model.optim.warmup=2", "--recipe=none"),
]
TIME_METRICS = {
    "train/targets_per_second",
    "train/peak_memory_mb",
    "seconds",
    "seconds_per_epoch",
    "seconds_before",
    "peak_memory_mb",
}
IGNORED_KEYS = {"Cost", "current_score"}
"""Keys of a checkpoint that are not compared: times, and a score that Lightning never removes once it is written."""


@pytest.fixture(scope="session")
def server():
    """Start the process that forks the runs; it reads one run per line from its standard input."""
    command = [sys.executable, str(Path(__file__).with_name("killing.py"))]
    threads = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}  # more threads slow such small runs down
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, env=os.environ | threads, text=True) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def run_process(server, tmp_path, cache):
    """Return a function that runs a command in subprocesses, writes its output to ``FOLDER.log``, and returns the exit status:
    ``run_process("run", *args, fault=("SIGKILL", "batch", 7), processes=2)``."""

    def run(folder, *args, fault=(), command="fit", processes=1, strategy="ddp", **env):
        arguments = [command, *args, f"--run_dir={tmp_path / folder}"]
        if processes > 1:
            arguments += [f"--trainer.devices={processes}", f"--trainer.strategy={strategy}"]
        env = {"INTERESTLAB_CACHE": str(cache), "WANDB_MODE": "offline"} | env
        request = {
            "args": arguments,
            "fault": fault,
            "log": str(tmp_path / f"{folder}.log"),
            "folder": str(tmp_path),
            "env": env,
        }
        request["processes"] = processes
        print(json.dumps(request), file=server.stdin, flush=True)
        return int(server.stdout.readline())

    return run


def without_folder(value, folder):
    """Return a value of a checkpoint without the path of its folder and without times."""
    if isinstance(value, dict):
        return {without_folder(k, folder): without_folder(v, folder) for k, v in value.items() if k not in IGNORED_KEYS}
    if isinstance(value, list | tuple):
        return [without_folder(v, folder) for v in value]
    if isinstance(value, str):
        return value.replace(str(folder), "")
    return value


def differences(one, other, path=""):
    """Return the keys at which two nested values are not exactly equal."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        equal = one.dtype == other.dtype and torch.equal(one, other)
        return [] if equal else [path]
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [difference for k in one for difference in differences(one[k], other[k], f"{path}/{k}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            difference
            for i, (a, b) in enumerate(zip(one, other, strict=True))
            for difference in differences(a, b, f"{path}/{i}")
        ]
    return [] if one == other and type(one) is type(other) else [f"{path}: {one} and {other}"]


def curve(folder):
    return read_metrics(folder / "metrics.jsonl").drop(TIME_METRICS, strict=False)


def assert_equal_runs(first, second):
    """Assert that two runs are exactly equal in checkpoints, curve, metrics, ranks and files, and in costs except for times."""
    for name in ("best.ckpt", "last.ckpt"):
        state = [without_folder(torch.load(f / "checkpoints" / name, weights_only=True), f) for f in (first, second)]
        assert differences(*state) == []
    assert curve(first).equals(curve(second)), f"{curve(first)}\n{curve(second)}"
    assert (first / "metrics.json").read_bytes() == (second / "metrics.json").read_bytes()
    assert (first / "ranks.parquet").read_bytes() == (second / "ranks.parquet").read_bytes()
    costs = [json.loads((f / "cost.json").read_text()) for f in (first, second)]
    assert {k: v for k, v in costs[0].items() if k not in TIME_METRICS} == {
        k: v for k, v in costs[1].items() if k not in TIME_METRICS
    }
    assert {p.relative_to(first) for p in first.rglob("*")} == {p.relative_to(second) for p in second.rglob("*")}


@pytest.fixture
def shop_options():
    return list(SHOP)


@pytest.fixture(name="assert_equal_runs")
def assert_equal_runs_fixture():
    return assert_equal_runs
