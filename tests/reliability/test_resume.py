"""A run that was killed and resumed ends as one that was not, to the last bit."""

import json
import random
import time
from types import SimpleNamespace

import pytest
import torch

from interestlab.training.callbacks.last_checkpoint import SAVE, STOP, LastCheckpoint

EPOCHS = 3
METHODS = {
    "frozen": {},
    "full": {},
    "bitfit": {},
    "adapter": {"reduction": 4},
    "lora": {"r": 2, "dropout": 0.1},
    "adalora": {"init_r": 4, "target_r": 2, "dropout": 0.1},
    "ia3": {},
    "side": {"width": 8},
    "peft": {"method": "vera", "config": {"r": 4}},
}
DYNAMICS = [
    *("ewma", "momentum", "transformer", "time_transformer", "gru", "lru", "mamba", "ode", "evolution", "multi_interest"),
]
KILLS = {
    "batch": ("SIGKILL", "SIGTERM"),
    "logging": ("SIGKILL", "SIGTERM"),
    "validation": ("SIGKILL", "SIGTERM"),
    "writing": ("SIGKILL",),
}
ID = ["--model.encoder=id", "--model.dynamics=transformer"]
LENGTH = f"--trainer.max_epochs={EPOCHS}"


def encoder(method, bert):
    if method == "id":
        return ["--model.encoder=id"]
    args = {"model": bert, "max_length": 8, "fields": ["item.title"]} | METHODS[method]
    return [f"--model.encoder={json.dumps({'class_path': method, 'init_args': args})}"]


def chain(apart, same, tmp_path, args, kills):
    """Run, be killed, go on, be killed, ..., come to an end, and be as the run that was not killed."""
    go_on = []
    for when in kills:
        status = apart("parted", *args, *go_on, when=when)
        assert status == (143 if when[0] == "SIGTERM" else -9), when
        go_on = ["--ckpt_path=last"]
    assert apart("parted", *args, *go_on) == 0
    same(tmp_path / "whole", tmp_path / "parted")


def kills(seed, epochs, batches, number, places):
    """Random kills, each in a later epoch than the one before."""
    rng = random.Random(seed)
    created = []
    for epoch in sorted(rng.sample(range(epochs), number)):
        place = rng.choice(places)
        moment = {"validation": epoch, "writing": 1}.get(place, epoch * batches + rng.randrange(batches))
        created.append((rng.choice(KILLS[place]), place, moment))
    return created


def whole_and_parted(apart, same, tmp_path, args, seed, number=2, places=tuple(KILLS)):
    assert apart("whole", *args) == 0
    cost = json.loads((tmp_path / "whole" / "cost.json").read_text())
    chain(apart, same, tmp_path, args, kills(seed, cost["epochs"], cost["steps"] // cost["epochs"], number, places))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_fine_tuning_method(apart, bert, tmp_path, small, same, method):
    minutes = random.Random(method).choice([0, 30])  # a checkpoint before each step, or at each start of an epoch
    args = [*small, *encoder(method, bert), "--model.dynamics=momentum", f"--checkpoint_minutes={minutes}", LENGTH]
    whole_and_parted(apart, same, tmp_path, args, method)


@pytest.mark.slow
@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_every_dynamics(apart, tmp_path, small, same, dynamics):
    args = [*small, "--model.encoder=id", f"--model.dynamics={dynamics}", LENGTH]
    whole_and_parted(apart, same, tmp_path, args, dynamics)


@pytest.mark.slow
def test_random_terms_streams_and_negatives(apart, bert, tmp_path, small, same):
    encoders = json.dumps(
        {"id": {"class_path": "id"}, "title": {"class_path": "lora", "init_args": {"model": bert, "max_length": 8}}}
    )
    args = [
        *small,
        *(f"--model.encoder={encoders}", "--model.fusion=attention", "--model.dynamics=transformer", LENGTH),
        *("--model.objective=gbce", "--model.auxiliary={views: {objective: contrastive, weight: 0.1}}"),
    ]
    whole_and_parted(apart, same, tmp_path, args, "streams", 3)


# ---- one promise each


def test_a_checkpoint_is_due_after_some_minutes_and_on_sigterm(monkeypatch):
    last, alone = LastCheckpoint("folder", minutes=1, resume_command=""), SimpleNamespace(world_size=1)
    last.saved_at = 1000.0
    for seconds, request in ((59, 0), (61, SAVE)):
        monkeypatch.setattr(time, "monotonic", lambda now=1000.0 + seconds: now)
        assert last.request(alone) == request
    last.stopping = True
    assert last.request(alone) == STOP


def test_in_the_middle_of_gradient_accumulation_and_with_a_worker(apart, tmp_path, small, same):
    """A step of two batches: what was in the first when the signal came is not lost, and nothing that was fetched ahead is."""
    args = [*small, *ID, LENGTH, "--trainer.accumulate_grad_batches=2", "--data.num_workers=1"]
    assert apart("whole", *args) == 0
    chain(apart, same, tmp_path, args, [("SIGTERM", "logging", 2), ("SIGKILL", "logging", 4)])


@pytest.mark.slow
@pytest.mark.parametrize("interval", ["--trainer.val_check_interval=0.5", "--trainer.check_val_every_n_epoch=2"])
def test_validation_within_and_between_epochs(apart, tmp_path, small, same, interval):
    args = [*small, *ID, "--trainer.max_epochs=4", interval, "--checkpoint_minutes=0"]
    whole_and_parted(apart, same, tmp_path, args, interval, 3, ("batch", "logging"))


@pytest.mark.slow
def test_where_the_steps_are_limited(apart, tmp_path, small, same):
    args = [*small, *ID, "--trainer.max_steps=14"]
    assert apart("whole", *args) == 0
    chain(apart, same, tmp_path, args, [("SIGTERM", "batch", 5), ("SIGTERM", "logging", 9), ("SIGTERM", "logging", 11)])


@pytest.mark.slow
def test_early_stopping_counts_on_and_stays_stopped(apart, tmp_path, small, same):
    args = [*small, *ID, "--trainer.max_epochs=20", "--early_stopping.patience=2", "--early_stopping.min_delta=1"]
    assert apart("whole", *args) == 0
    assert json.loads((tmp_path / "whole" / "cost.json").read_text())["epochs"] == 3
    chain(apart, same, tmp_path, args, [("SIGTERM", "validation", 1), ("SIGKILL", "test", 0)])


@pytest.mark.slow
def test_a_run_killed_before_its_first_checkpoint_starts_anew_from_its_folder_alone(apart, tmp_path, small, same):
    args = [*small, *ID, "--trainer.max_epochs=1"]
    assert apart("whole", *args) == 0
    assert apart("parted", *args, when=("SIGKILL", "data", 0)) == -9
    assert apart("parted", "--ckpt_path=last", when=("SIGKILL", "writing", 1)) == -9
    assert apart("parted", "--ckpt_path=last") == 0
    same(tmp_path / "whole", tmp_path / "parted")
    assert "starts from the beginning" in (tmp_path / "parted.log").read_text()


@pytest.mark.slow
def test_sigterm_during_the_test_sets_the_status(apart, tmp_path, small, same):
    args = [*small, *ID, "--trainer.max_epochs=1", "--data.eval_events=40"]  # several batches: between two it is heard
    assert apart("whole", *args) == 0
    chain(apart, same, tmp_path, args, [("SIGTERM", "test", 0)])


@pytest.mark.slow
def test_a_folder_that_was_moved_keeps_what_was_best(apart, tmp_path, small):
    args = [*small, *ID, LENGTH, "--model.optim.lr=3", "--model.optim.warmup=0"]  # the first validation is the best
    assert apart("whole", *args) == 0
    assert apart("run", *args, when=("SIGKILL", "logging", 13)) == -9
    best = (tmp_path / "run" / "checkpoints" / "best.ckpt").read_bytes()
    for place in ("moved", "again"):  # in the middle of training, and after it
        (tmp_path / "run").rename(tmp_path / place)
        assert apart(place, "--ckpt_path=last") == 0
        assert (tmp_path / place / "checkpoints" / "best.ckpt").read_bytes() == best
        assert (tmp_path / place / "metrics.json").read_bytes() == (tmp_path / "whole" / "metrics.json").read_bytes()
        (tmp_path / place).rename(tmp_path / "run")


def test_sigterm_says_where_it_stopped_and_how_to_resume(apart, tmp_path, small):
    assert apart("run", *small, *ID, LENGTH, when=("SIGTERM", "logging", 1)) == 143
    (line,) = [line for line in (tmp_path / "run.log").read_text().splitlines() if line.startswith("interestlab: ")]
    assert line.startswith("interestlab: stopped by SIGTERM at epoch 0, step 2; ")
    assert f"`interestlab fit --run_dir={tmp_path / 'run'} --ckpt_path=last`" in line


@pytest.mark.slow
def test_what_the_frozen_weight_check_refused_is_refused_again(apart, tmp_path, small):
    args = [*small, *ID, "--trainer.max_epochs=1", "--model.optim.lr=1e-30"]
    assert apart("run", *args) == 2
    assert apart("run", *args, "--ckpt_path=last") == 2
    message = (tmp_path / "run.log").read_text()
    assert message.count("steps of training did not change") == 2
    assert "Traceback" not in message
    assert not (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.slow
def test_a_resumed_run_is_the_same_run_of_wandb(apart, tmp_path, small):
    pytest.importorskip("wandb")
    args = [*small, *ID, "--trainer.max_epochs=2", "--loggers=[jsonl,wandb]"]
    assert apart("run", *args, when=("SIGTERM", "logging", 1)) == 143
    assert apart("run", *args, "--ckpt_path=last") == 0
    ids = [folder.name.rpartition("-")[2] for folder in (tmp_path / "run" / "wandb").glob("offline-run-*")]
    assert ids == [(tmp_path / "run" / "wandb_id.txt").read_text()] * 2


@pytest.mark.slow
def test_a_full_disk_is_reported_and_the_checkpoint_before_is_intact(apart, tmp_path, small, same):
    args = [*small, *ID, LENGTH, "--checkpoint_minutes=0"]
    assert apart("whole", *args) == 0
    assert apart("parted", *args, when=("ENOSPC", "writing", 4)) == 2
    (line,) = [line for line in (tmp_path / "parted.log").read_text().splitlines() if line.startswith("interestlab: ")]
    assert "parted/checkpoints/last.ckpt cannot be written (File too large); the previous file is unchanged; " in line
    assert line.endswith("make room, and resume the run with --ckpt_path=last.")
    assert "Traceback" not in (tmp_path / "parted.log").read_text()
    assert apart("parted", *args, "--ckpt_path=last") == 0
    same(tmp_path / "whole", tmp_path / "parted")


@pytest.mark.parametrize("window", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_nan_loss_stops_with_the_batch_and_can_be_reproduced(apart, tmp_path, small, window):
    args = [*small, *ID, LENGTH, f"--trainer.accumulate_grad_batches={window}"]
    assert apart("run", *args, when=("NAN", "loss", 4)) == 2
    message = [line for line in (tmp_path / "run.log").read_text().splitlines() if line.startswith("interestlab: ")]
    path = tmp_path / "run" / "checkpoints" / "not_finite.ckpt"
    state = torch.load(path, weights_only=True)
    assert len(message) == 1
    assert "epoch 0, batch 4" in message[0]
    assert "loss nan" in message[0]
    assert str(path) in message[0]
    found = state["not_finite"]
    assert (found["epoch"], found["batch"], found["step"]) == (0, 4, 4 // window)
    assert len(found["users"]) == len(found["items"]) == len(found["targets"])
    assert all(p.isfinite().all() for name, p in state["state_dict"].items() if isinstance(p, torch.Tensor))
    assert apart("run", *args, f"--ckpt_path={path}", when=("NAN", "loss", 4)) == 2
    again = torch.load(path, weights_only=True)
    assert torch.equal(again["not_finite"]["users"], found["users"])
    assert all(torch.equal(again["state_dict"][k], v) for k, v in state["state_dict"].items() if isinstance(v, torch.Tensor))
