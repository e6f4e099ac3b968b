"""The folder of a run, and what comes back from it."""

import json
import subprocess
import sys

import polars as pl
import pytest
import torch

from interestlab.cli.main import main
from interestlab.cli.train import run
from interestlab.model import InterestModel

ID = ["--model.encoder=id", "--model.dynamics=ewma"]


def test_one_folder_holds_the_run(fit, tmp_path):
    cli = fit(*ID)
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"config.yaml", "versions.json", "metrics.json", "metrics.csv", "ranks.parquet", "checkpoints"} <= names
    assert {p.name for p in (tmp_path / "run" / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert {p.name for p in tmp_path.iterdir()} == {"run"}
    told = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {"source", "data", "k_core", "ties", "split", "history", "seed"} <= told["fingerprint"].keys()
    low, high = told["test/ndcg@10/ci95"]
    assert low <= told["test/ndcg@10"] <= high
    ranks = pl.read_parquet(tmp_path / "run" / "ranks.parquet")
    assert ranks["user_id"].is_unique().all()
    untied = ranks.filter(pl.col("tied") == 0)
    if untied.height == ranks.height:
        assert told["test/recall@10"] == pytest.approx((ranks["rank"] <= 10).mean())
    assert cli.datamodule.log.meta["users"] >= ranks.height


def test_the_default_folder_is_named_by_time_and_config(monkeypatch, tmp_path):
    (tmp_path / "mine.yaml").write_text("model: {encoder: id, dynamics: ewma, objective: next_item}\n")
    small = ["--data.source=simulated", "--data.source.users=30", "--data.source.items=40", "--data.source.events=6"]
    run(["fit", f"--config={tmp_path / 'mine.yaml'}", *small, "--trainer.max_steps=1", "--trainer.enable_progress_bar=false"])
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-mine")


def test_same_seed_same_result(fit, tmp_path):
    told = []
    for folder in ("a", "b"):
        fit("--model.encoder=id", "--model.dynamics=transformer", steps=4, folder=folder)
        told.append(json.loads((tmp_path / folder / "metrics.json").read_text()))
    assert told[0] == told[1]


def test_a_run_is_not_overwritten(fit, capsys):
    fit(*ID)
    with pytest.raises(SystemExit):
        fit(*ID)
    assert "holds a run already" in capsys.readouterr().err


def test_resume_goes_on(fit, tmp_path):
    fit(*ID, steps=1)
    cli = fit(*ID, "--ckpt_path=last", steps=3)
    assert cli.trainer.global_step == 3


def test_predict_writes_unseen_items_best_first(fit, tmp_path):
    fit(*ID)
    cli = run(["predict", f"--run_dir={tmp_path / 'run'}", "--model.top_k=7", "--trainer.enable_progress_bar=false"])
    found = pl.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert found.group_by("user_id").len()["len"].to_list() == [7] * cli.datamodule.log.meta["users"]
    assert found.select((pl.col("score").diff().over("user_id") <= 0).all()).item()
    log = cli.datamodule.log
    events = log.events.select("user", "item").collect()
    seen = set(zip(log.users.gather(events["user"]), log.items["item_id"].gather(events["item"]), strict=True))
    assert not seen & set(zip(found["user_id"], found["item_id"], strict=True))


@pytest.mark.parametrize("encoder", ["id", "frozen"])
def test_a_checkpoint_reloads_in_a_fresh_process(fit, tmp_path, encoder):
    model = fit(f"--model.encoder={encoder}", "--model.dynamics=momentum").model
    checkpoint = tmp_path / "run" / "checkpoints" / "best.ckpt"
    torch.save(model.state_dict(), tmp_path / "expected.pt")
    code = f"""
import sys, torch
from interestlab.model import InterestModel
assert not any(m.startswith("interestlab_") for m in sys.modules)
model = InterestModel.load_from_checkpoint({str(checkpoint)!r}, weights_only=True)
expected = torch.load({str(tmp_path / "expected.pt")!r}, weights_only=True)
torch.testing.assert_close(dict(model.state_dict()), dict(expected), rtol=0, atol=0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_checkpoint_holds_plain_values_only(fit, tmp_path):
    fit("--model.encoder={text: frozen, id: id}", "--model.fusion=attention", "--model.dynamics=transformer")
    held = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["hyper_parameters"]
    assert json.loads(json.dumps(held)) == held
    assert held["encoder"]["text"]["class_path"] == "interestlab.encoders.frozen"


def test_what_is_typed_wins_over_the_checkpoint(fit, tmp_path, capsys):
    fit(*ID, "--model.ks=[5,10]")
    checkpoint = tmp_path / "run" / "checkpoints" / "best.ckpt"
    shop = ["--data.source=simulated", "--data.source.users=30", "--data.source.items=40", "--data.source.events=6"]
    quiet = ["--trainer.enable_progress_bar=false", f"--run_dir={tmp_path / 'other'}"]
    alone = run(["test", f"--ckpt_path={checkpoint}", *shop, *quiet[:1]])
    assert alone.model.ks == [5, 10]
    typed = run(["test", f"--ckpt_path={checkpoint}", *shop, "--model.ks=[3]", *quiet[:1]])
    assert typed.model.ks == [3]
    with pytest.raises(SystemExit):
        run(["test", f"--ckpt_path={checkpoint}", *shop, "--model.dim=32", *quiet[:1]])
    assert "does not fit the model" in capsys.readouterr().err


def test_from_python(fit, tmp_path):
    from interestlab import dynamics, encoders, objectives

    model = InterestModel(encoders.id(), dynamics.momentum(dim=8), objectives.next_item(), {"item.id": 5}, dim=8)
    assert model.hparams["encoder"] == {"class_path": "interestlab.encoders.id", "init_args": {}}
    fit(*ID)
    again = InterestModel.load_from_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt", top_k=3)
    assert again.top_k == 3


def test_all_loggers_write_into_the_run(fit, tmp_path):
    fit(*ID, "--loggers=[csv,tensorboard,wandb]")
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"metrics.csv", "tensorboard", "wandb"} <= names
    assert {p.name for p in tmp_path.iterdir()} == {"run"}


@pytest.mark.parametrize("command", ["test", "validate", "predict"])
def test_a_folder_without_a_run_is_one_line(capsys, command):
    with pytest.raises(SystemExit) as done:
        main([command, "--run_dir=nowhere"])
    assert done.value.code == 2
    assert "nowhere holds no config.yaml" in capsys.readouterr().err


def test_a_checkpoint_with_a_pickle_in_it_is_refused(tmp_path, capsys):
    (tmp_path / "evil.ckpt").write_bytes(b"\x80\x04cos\nsystem\n(S'echo no'\ntR.")
    with pytest.raises(SystemExit) as done:
        main(["test", f"--ckpt_path={tmp_path / 'evil.ckpt'}", "--data.source=simulated"])
    assert done.value.code == 2
    assert "not a checkpoint of interestlab that loads safely" in capsys.readouterr().err
