"""Several gloo processes: the same job, one folder, every user ranked once."""

import json
import subprocess
import sys

import polars as pl
import pytest

from interestlab.cli.train import run

SHOP = ["--data.source=simulated", "--data.source.users=31", "--data.source.items=40", "--data.source.events=6"]


@pytest.mark.slow
def test_three_processes_train_and_test_as_one(tmp_path):
    model = ["--model.encoder=id", "--model.dynamics=ewma", "--model.objective=next_item"]
    quiet = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    three = ["--trainer.devices=3", "--trainer.strategy=ddp", *quiet]
    command = [sys.executable, "-m", "interestlab", "fit", *SHOP, *model, *three, "--trainer.max_steps=3", "--run_dir=run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == ["run"]
    ranks = pl.read_parquet(tmp_path / "run" / "ranks.parquet")
    told = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert ranks["user_id"].is_unique().all()
    run(["test", f"--run_dir={tmp_path / 'run'}", "--trainer.devices=1", "--trainer.strategy=auto", *quiet])
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == told
    assert pl.read_parquet(tmp_path / "run" / "ranks.parquet").equals(ranks)
