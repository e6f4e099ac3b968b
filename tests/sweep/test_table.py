"""The table of results."""

import json
from pathlib import Path

import polars as pl

from interestlab.sweep import running
from interestlab.sweep.display import Display
from interestlab.sweep.engines import local
from interestlab.sweep.spec import parse
from interestlab.sweep.table import results_table
from interestlab.sweep.trials import expand


def test_one_row_per_trial(stubbed, tmp_path):
    methods = {"done": {"quality": 0.25}, "failed": {"quality": 1, "fail": "no"}, "missing": {"quality": 1}}
    spec = parse({"name": "stub", "axes": {"method": methods}, "seeds": [0, 1]}, Path())
    trials = expand(spec)
    with Display(2, 0, 0) as display:
        local.run(trials[:2], tmp_path, 2, display)
    (trial_id,) = {t.id for t in trials if t.labels["method"] == "missing" and t.seed == 0}
    running.run_folder(tmp_path, trial_id).mkdir()  # left by a killed process
    table = results_table(spec, trials, tmp_path)
    assert table["trial"].to_list() == [trial.id for trial in trials]
    assert table["axis/method"].to_list() == ["done", "failed", "missing"] * 2
    assert table["seed"].to_list() == [0, 0, 0, 1, 1, 1]
    assert table["status"].to_list() == ["done", "failed", "missing", "missing", "missing", "missing"]
    assert table["reason"][1] == "ValueError: lr is too high (exit status 3)"
    assert table["test/recall@10"].to_list() == [0.25, *[None] * 5]
    assert json.loads(table["fingerprint"][0]) == {"source": "stub"}
    assert (table["parameters"][0], table["seconds"][0], table["epochs"][0]) == (7, 1.5, None)
    assert table["run"][0] == f"trials/{trials[0].id}"
    assert table.schema["seed"] == table.schema["steps"] == pl.Int64
    assert not [name for name in table.columns if name.endswith("ci95") or name == "other"]


def test_a_sweep_that_has_not_run(stubbed, tmp_path):
    spec = parse({"name": "stub", "metrics": ["test/mrr@5"]}, Path())
    table = results_table(spec, expand(spec), tmp_path)
    assert table["status"].to_list() == ["missing"]
    assert table["test/mrr@5"].to_list() == [None]
