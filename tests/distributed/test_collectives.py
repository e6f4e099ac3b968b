"""Several processes started by Lightning's launcher write one run folder and rank every user once."""

import subprocess
import sys

import polars as pl
import pytest

SHOP = ["--data.source=simulated", "--data.source.users=31", "--data.source.items=40", "--data.source.events=6"]


@pytest.mark.slow
def test_three_processes(tmp_path):
    model = ["--model.encoder=id", "--model.dynamics=ewma", "--model.objective=next_item"]
    three = [
        "--trainer.devices=3",
        "--trainer.strategy=ddp",
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
    ]
    command = [sys.executable, "-m", "interestlab", "fit", *SHOP, *model, *three, "--trainer.max_steps=3", "--run_dir=run"]
    completed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == ["run"]
    assert pl.read_parquet(tmp_path / "run" / "ranks.parquet")["user_id"].is_unique().all()
