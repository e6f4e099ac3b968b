"""A dynamics with several interests, from the command line."""

import json

import polars as pl
import pytest

from interestlab.cli.main import run

QUIET = "--trainer.enable_progress_bar=false"


@pytest.mark.parametrize("extractor", ["attention", "routing"])
def test_fits_tests_and_predicts(fit, tmp_path, extractor):
    folder = tmp_path / "run"
    dynamics = [
        "--model.dynamics=multi_interest",
        f"--model.dynamics.extractor={extractor}",
        "--model.dynamics.num_interests=3",
    ]
    cli = fit("--model.encoder=id", *dynamics, steps=2)
    assert cli.model.backbone.dynamics.num_interests == 3
    first = json.loads((folder / "metrics.json").read_text())
    assert 0 <= first["test/recall@10"] <= 1
    (folder / "metrics.json").unlink()
    run(["test", f"--run_dir={folder}", "--data.eval_events=17", QUIET])
    assert json.loads((folder / "metrics.json").read_text()) == first
    run(["predict", f"--run_dir={folder}", "--model.top_k=7", QUIET])
    predictions = pl.read_parquet(folder / "predictions.parquet")
    assert predictions.group_by("user_id").len()["len"].to_list() == [7] * cli.datamodule.log.meta["users"]
    assert predictions.select((pl.col("score").diff().over("user_id") <= 0).all()).item()
