"""Train the run, start the servers, and measure them."""

import argparse
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.processes import checkout_environment, run_python
from benchmarks.harness.provenance import describe_machine
from benchmarks.serving.open_loop import make_requests, run_open_loop

START_SECONDS = 600
WARM_UP_SECONDS = 3.0


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the results of each server and rate.

    Args:
        options: the options.
        folder: an empty folder.
    """
    os.environ["INTERESTLAB_CACHE"] = str(folder / "cache")
    run = folder / "run"
    run_python(["-m", "interestlab", *fit_options(options), f"--run_dir={run}"])
    users, items = read_ids(run)
    results: dict[str, Any] = {"machine": describe_machine("cpu"), "users": len(users), "items": len(items), "rows": []}

    def add_rows(server: str, process: subprocess.Popen[str], port: int, path: str, rates: Sequence[float]) -> None:
        for number, rate in enumerate([rates[0], *rates]):  # the first warms up
            seconds = options.seconds if number else WARM_UP_SECONDS
            requests = make_requests(rate, seconds, options.duplicates, users, items, options.seed * 100 + number)
            before = processor_seconds(process.pid)
            latencies, failed = asyncio.run(run_open_loop(port, path, requests))
            used = processor_seconds(process.pid) - before
            if number:
                row = {"server": server, "rate": rate, "requests": len(requests), "failed": failed}
                row |= {f"p{q}": float(np.percentile(latencies, q)) for q in (50, 99, 99.9)}
                results["rows"].append(row | {"cpu_per_request": used / max(1, len(requests) - failed)})

    command = ["-m", "interestlab", "serve", str(run), f"--store={folder / 'serve.sqlite'}"]
    with server_process(command, "--port={}") as (process, port, printed):
        results["note"] = printed.read_text()
        add_rows("interestlab serve", process, port, "/v1/events", options.rates)
    if options.peer_rate and find_spec("fastapi") and find_spec("uvicorn"):
        with server_process(["-m", "benchmarks.serving.fastapi_app", str(run)], "{}") as (process, port, _):
            add_rows("FastAPI around Recommender", process, port, "/events", [options.peer_rate])
    return results


def fit_options(options: argparse.Namespace) -> list[str]:
    """Return the command that trains the run.

    Args:
        options: the options.
    """
    source = [f"--data.source.{name}={getattr(options, name)}" for name in ("users", "items", "events", "seed")]
    model = ["--model.encoder=id", "--model.dynamics=momentum", "--model.objective=next_item", "--recipe=none"]
    return [
        *("fit", "--data.source=simulated", *source, *model, "--model.objective.candidates=batch"),
        *(
            "--trainer.max_steps=50",
            "--trainer.accelerator=cpu",
            "--trainer.enable_progress_bar=false",
            "--test_after_fit=false",
        ),
    ]


def read_ids(run: Path) -> tuple[list[str], list[str]]:
    """Return the ids of the users and of the items of a run.

    Args:
        run: its folder.
    """
    from interestlab.training.open_run import load_data

    data = load_data(run / "config.yaml", [])
    return data.log.users.to_list(), data.catalogue["item_id"].to_list()


@contextlib.contextmanager
def server_process(command: list[str], port_option: str) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    """Run a server on a free port until the end of the block.

    Args:
        command: arguments of Python.
        port_option: argument of the port.

    Yields:
        The process, its port, and the file with what it prints.

    Raises:
        SystemExit: it does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    printed = Path(os.environ["INTERESTLAB_CACHE"]) / f"server-{port}.log"
    env = checkout_environment() | {"OMP_NUM_THREADS": "1"}
    with printed.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", *command, port_option.format(port)], env=env, stdout=log, stderr=subprocess.STDOUT, text=True
        )
    try:
        give_up = time.monotonic() + START_SECONDS
        while not is_ready(port):
            if process.poll() is not None or time.monotonic() > give_up:
                raise SystemExit(f"the server did not start:\n{printed.read_text()}")
            time.sleep(0.2)
        yield process, port, printed
    finally:
        process.terminate()
        process.wait()


def is_ready(port: int) -> bool:
    """Return whether a server answers.

    Args:
        port: its port.
    """
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def processor_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process so far.

    Args:
        pid: id of the process.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
