"""AdaLoRA in complete runs: ranks follow the trainer's steps, are logged, and are saved in checkpoints."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
from peft.tuners.adalora import AdaLoraModel

from interestlab import encoders
from interestlab.cli.main import main
from interestlab.training.lightning_module import InterestModel
from interestlab.training.loggers.jsonl import read_metrics

# Without a monitored metric, the checkpoint is always that of the last epoch.
EPOCHS = [
    *("--trainer.max_epochs=10", "--trainer.max_steps=-1"),
    *("--checkpoint.monitor=null", "--early_stopping.patience=99"),
]


@pytest.fixture
def adalora(bert, tmp_path):
    """Return the options of an AdaLoRA encoder whose text model has no dropout."""
    folder = Path(shutil.copytree(bert, tmp_path / "bert"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    arguments = {"model": str(folder), "max_length": 12, "init_r": 4, "target_r": 2, "orthogonality": 0.1}
    encoder = json.dumps({"class_path": "adalora", "init_args": arguments})
    return [f"--model.encoder={encoder}", "--model.dynamics=ewma", "--trainer.log_every_n_steps=1"]


def rank_metrics(folder):
    return read_metrics(folder / "metrics.jsonl").filter(pl.col("train/rank_mean").is_not_null())


def encoder_state(folder):
    """Return the encoder's state in the last checkpoint of a run."""
    content = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name: value for name, value in content.items() if name.startswith("backbone.encoders.")}


@pytest.mark.slow
def test_ranks_fall_over_a_run_and_are_logged(fit, adalora, tmp_path):
    cli = fit(*adalora, *EPOCHS)
    metrics = rank_metrics(tmp_path / "run")
    assert {"train/rank_mean", "train/rank_min", "train/rank_max", "train/penalty"} <= set(metrics.columns)
    assert metrics.height == cli.trainer.global_step == 10
    assert metrics["train/rank_mean"][0] == 4
    assert metrics["train/rank_mean"][-1] == 2
    assert (metrics["train/rank_mean"].diff().drop_nulls() <= 0).all()
    assert (metrics["train/rank_min"] <= metrics["train/rank_mean"]).all()
    assert (metrics["train/rank_mean"] <= metrics["train/rank_max"]).all()
    ranks = cli.model.backbone.encoders["main"].ranks()
    assert sum(ranks.values()) == 2 * len(ranks)
    assert (metrics["train/penalty"] > 0).all()
    reloaded = InterestModel.load_from_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert reloaded.backbone.encoders["main"].ranks() == ranks


def test_ranks_are_allocated_at_optimiser_steps(fit, adalora, monkeypatch):
    steps = []
    original = AdaLoraModel.update_and_allocate
    monkeypatch.setattr(AdaLoraModel, "update_and_allocate", lambda self, step: steps.append(step) or original(self, step))
    cli = fit(*adalora, *EPOCHS, "--data.batch_events=60", "--trainer.accumulate_grad_batches=2")
    batches = cli.trainer.fit_loop.epoch_loop.batch_progress.total.completed
    assert cli.trainer.global_step < batches
    assert steps == list(range(1, cli.trainer.global_step + 1))
    assert sum(cli.model.backbone.encoders["main"].ranks().values()) == 2 * 4


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_run(fit, adalora, tmp_path, monkeypatch):
    fit(*adalora, *EPOCHS, folder="uninterrupted")
    with monkeypatch.context() as stopping:

        def stop(self):
            self.trainer.should_stop = self.trainer.current_epoch == 4

        stopping.setattr(encoders.adalora, "on_train_epoch_end", stop)
        first = fit(*adalora, *EPOCHS, folder="resumed")
    assert first.trainer.current_epoch == 5
    second = fit(*adalora, *EPOCHS, "--ckpt_path=last", folder="resumed")
    uninterrupted, resumed = encoder_state(tmp_path / "uninterrupted"), encoder_state(tmp_path / "resumed")
    assert uninterrupted.keys() == resumed.keys()
    extra = "backbone.encoders.main._extra_state"
    assert uninterrupted[extra]["rank_pattern"] == resumed[extra]["rank_pattern"] != {}
    torch.testing.assert_close(resumed, uninterrupted, rtol=0, atol=0)
    assert second.trainer.global_step == 2 * first.trainer.global_step
    assert rank_metrics(tmp_path / "resumed")["train/rank_mean"].equals(
        rank_metrics(tmp_path / "uninterrupted")["train/rank_mean"]
    )


def test_unlimited_training_is_reported_in_one_line(adalora, capsys, tmp_path):
    shop = ["--data.source=simulated", "--data.source.users=30", "--data.source.items=40", "--data.source.events=6"]
    unlimited = ["--model.objective=next_item", "--trainer.max_epochs=-1", f"--run_dir={tmp_path / 'run'}"]
    with pytest.raises(SystemExit) as exit_info:
        main(["fit", *shop, *adalora, *unlimited])
    assert exit_info.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("interestlab: ")]
    assert "--trainer.max_epochs" in line
