"""Runs of ``fuzz.py``: a few hundred files, and over ten thousand in the slow tests."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import fuzz
import mutations

from interestlab_sources import lines


@pytest.fixture(autouse=True)
def small_lines(monkeypatch):
    for name, size in fuzz.SMALL.items():
        monkeypatch.setattr(lines, name, size)


@pytest.mark.parametrize("kind", [kind for kind in fuzz.KINDS if kind != "config"])
def test_some_files(kind, tmp_path_factory):
    figures: Counter[str] = Counter()
    for number in range(30):
        fuzz.check_one_file(kind, number, 7, tmp_path_factory.mktemp("fuzz"), figures)
    assert figures["logs"] + figures["refusals"] == 30
    assert figures["logs"] >= 10
    assert figures["rows in"] == figures["rows kept"] + figures["rows quarantined"]


def test_some_configs(tmp_path_factory):
    figures: Counter[str] = Counter()
    for number in range(30):
        fuzz.check_one_file("config", number, 7, tmp_path_factory.mktemp("fuzz"), figures)
    assert figures["logs"] + figures["refusals"] == 30
    assert figures["logs"]


@pytest.mark.parametrize("file", ["events", "items"])
def test_a_reader_that_loses_rows_is_detected(tmp_path, monkeypatch, file):
    numbered_lines = lines.numbered_lines

    def drop_some_lines(path, reject):
        return (line for line in numbered_lines(path, reject) if file not in path.name or line[0] % 7)

    monkeypatch.setattr("interestlab_sources.table.numbered_lines", drop_some_lines)
    detected = 0
    for number in range(20):
        (folder := tmp_path / str(number)).mkdir()
        try:
            fuzz.check_one_file("jsonl", number, 7, folder, Counter())
        except fuzz.Lost:
            detected += 1
    assert detected >= 5


HANGS = """
import ctypes, signal, sys, pathlib
import fuzz
fuzz.LIMIT = 1
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})  # the alarm would end the sleep
fuzz.check_one_file = lambda *_: ctypes.PyDLL(None).sleep(60)
fuzz.check_range("csv", 0, 0, 2, pathlib.Path("outcomes.json"))
"""


@pytest.mark.slow
def test_native_code_that_never_returns_ends_the_process(tmp_path):
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    env = os.environ | {"PYTHONPATH": path}
    completed = subprocess.run([sys.executable, "-c", HANGS], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=50)
    assert completed.returncode == 1
    assert "Timeout" in completed.stderr
    assert json.loads((tmp_path / "outcomes.json").read_text())["next"] == 1


@pytest.mark.parametrize("quotes", [True, False])
def test_a_broken_line_stays_one_line(quotes):
    rng = random.Random(0)
    for _ in range(500):
        broken = mutations.damage_line(rng, b"u1,i2,1600000000,5,fine", b",", quotes)
        assert b"\n" not in broken
        assert quotes or b'"' not in broken


@pytest.mark.slow
def test_ten_thousand_files(capsys):
    total: Counter[str] = Counter()
    failures: list[str] = []
    for kind in fuzz.KINDS:
        figures, failed = fuzz.check_kind(kind, 0, fuzz.COUNT)
        total += figures
        failures += failed
    assert failures == []
    assert total["files"] >= 10_000
    assert total["rows in"] == total["rows kept"] + total["rows quarantined"]
