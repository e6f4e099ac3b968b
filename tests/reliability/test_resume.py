"""A run that was killed and resumed equals an uninterrupted one exactly."""

import json
import random
import time
from types import SimpleNamespace

import pytest
import torch

from interestlab.registry import DYNAMICS
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


def kill_and_resume(run_process, assert_equal_runs, tmp_path, args, faults):
    """Kill and resume a run several times, and assert that it equals the uninterrupted run."""
    resume_options = []
    for fault in faults:
        status = run_process("resumed", *args, *resume_options, fault=fault)
        assert status == (143 if fault[0] == "SIGTERM" else -9), fault
        resume_options = ["--ckpt_path=last"]
    assert run_process("resumed", *args, *resume_options) == 0
    assert_equal_runs(tmp_path / "uninterrupted", tmp_path / "resumed")


def random_kills(seed, epochs, batches, count, points):
    """Return random kills, each in a later epoch than the previous one."""
    rng = random.Random(seed)
    faults = []
    for epoch in sorted(rng.sample(range(epochs), count)):
        point = rng.choice(points)
        number = {"validation": epoch, "writing": 1}.get(point, epoch * batches + rng.randrange(batches))
        faults.append((rng.choice(KILLS[point]), point, number))
    return faults


def compare_with_uninterrupted(run_process, assert_equal_runs, tmp_path, args, seed, count=2, points=tuple(KILLS)):
    assert run_process("uninterrupted", *args) == 0
    cost = json.loads((tmp_path / "uninterrupted" / "cost.json").read_text())
    kill_and_resume(
        run_process,
        assert_equal_runs,
        tmp_path,
        args,
        random_kills(seed, cost["epochs"], cost["steps"] // cost["epochs"], count, points),
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_fine_tuning_method(run_process, bert, tmp_path, shop_options, assert_equal_runs, method):
    minutes = random.Random(method).choice([0, 30])  # a checkpoint before each step, or at each start of an epoch
    args = [*shop_options, *encoder(method, bert), "--model.dynamics=momentum", f"--checkpoint_minutes={minutes}", LENGTH]
    compare_with_uninterrupted(run_process, assert_equal_runs, tmp_path, args, method)


@pytest.mark.slow
@pytest.mark.parametrize("dynamics", DYNAMICS.names())
def test_every_dynamics(run_process, tmp_path, shop_options, assert_equal_runs, dynamics):
    args = [*shop_options, "--model.encoder=id", f"--model.dynamics={dynamics}", LENGTH]
    compare_with_uninterrupted(run_process, assert_equal_runs, tmp_path, args, dynamics)


@pytest.mark.slow
def test_random_terms_streams_and_negatives(run_process, bert, tmp_path, shop_options, assert_equal_runs):
    encoders = json.dumps(
        {"id": {"class_path": "id"}, "title": {"class_path": "lora", "init_args": {"model": bert, "max_length": 8}}}
    )
    args = [
        *shop_options,
        *(f"--model.encoder={encoders}", "--model.fusion=attention", "--model.dynamics=transformer", LENGTH),
        *("--model.objective=gbce", "--model.auxiliary={views: {objective: contrastive, weight: 0.1}}"),
    ]
    compare_with_uninterrupted(run_process, assert_equal_runs, tmp_path, args, "streams", 3)


# ---- single guarantees


def test_a_checkpoint_is_due_after_some_minutes_and_on_sigterm(monkeypatch):
    last, alone = LastCheckpoint("folder", minutes=1, resume_command=""), SimpleNamespace(world_size=1)
    last.saved_at = 1000.0
    for seconds, request in ((59, 0), (61, SAVE)):
        monkeypatch.setattr(time, "monotonic", lambda now=1000.0 + seconds: now)
        assert last.request(alone) == request
    last.stopping = True
    assert last.request(alone) == STOP


@pytest.mark.slow
def test_kill_during_gradient_accumulation_with_a_data_worker(run_process, tmp_path, shop_options, assert_equal_runs):
    """With two batches per step, neither the gradients of the first batch nor the prefetched batches are lost."""
    args = [*shop_options, *ID, LENGTH, "--trainer.accumulate_grad_batches=2", "--data.num_workers=1"]
    assert run_process("uninterrupted", *args) == 0
    kill_and_resume(run_process, assert_equal_runs, tmp_path, args, [("SIGTERM", "logging", 2), ("SIGKILL", "logging", 4)])


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--model.amortize.share=0.4", "--checkpoint_minutes=0"],
        ["--model.amortize={schedule: once, refresh: start}", "--checkpoint_minutes=0"],
        ["--model.amortize={share: 0.4, refresh: 2}", "--checkpoint_minutes=0", "--trainer.accumulate_grad_batches=2"],
        ["--model.amortize={share: 0.4, refresh: start}", "--trainer.val_check_interval=0.5"],
    ],
    ids=["random", "once", "accumulated", "within an epoch"],
)
def test_amortised_encoding(run_process, bert, tmp_path, shop_options, assert_equal_runs, options):
    args = [*shop_options, *encoder("lora", bert), "--model.dynamics=ewma", "--model.objective.candidates=batch", LENGTH]
    compare_with_uninterrupted(
        run_process, assert_equal_runs, tmp_path, [*args, *options], "amortised", 2, ("batch", "logging")
    )


@pytest.mark.slow
@pytest.mark.parametrize("interval", ["--trainer.val_check_interval=0.5", "--trainer.check_val_every_n_epoch=2"])
def test_validation_within_and_between_epochs(run_process, tmp_path, shop_options, assert_equal_runs, interval):
    args = [*shop_options, *ID, "--trainer.max_epochs=5", interval, "--checkpoint_minutes=0"]
    compare_with_uninterrupted(run_process, assert_equal_runs, tmp_path, args, interval, 3, ("batch", "logging"))


@pytest.mark.slow
def test_limited_steps(run_process, tmp_path, shop_options, assert_equal_runs):
    args = [*shop_options, *ID, "--trainer.max_steps=14"]
    assert run_process("uninterrupted", *args) == 0
    kill_and_resume(
        run_process,
        assert_equal_runs,
        tmp_path,
        args,
        [("SIGTERM", "batch", 5), ("SIGTERM", "logging", 9), ("SIGTERM", "logging", 11)],
    )


@pytest.mark.slow
def test_early_stopping_is_resumed(run_process, tmp_path, shop_options, assert_equal_runs):
    args = [*shop_options, *ID, "--trainer.max_epochs=20", "--early_stopping.patience=2", "--early_stopping.min_delta=1"]
    assert run_process("uninterrupted", *args) == 0
    assert json.loads((tmp_path / "uninterrupted" / "cost.json").read_text())["epochs"] == 3
    kill_and_resume(run_process, assert_equal_runs, tmp_path, args, [("SIGTERM", "validation", 1), ("SIGKILL", "test", 0)])


@pytest.mark.slow
def test_a_run_killed_before_its_first_checkpoint_restarts_from_its_folder(
    run_process, tmp_path, shop_options, assert_equal_runs
):
    args = [*shop_options, *ID, "--trainer.max_epochs=1"]
    assert run_process("uninterrupted", *args) == 0
    assert run_process("resumed", *args, fault=("SIGKILL", "data", 0)) == -9
    assert run_process("resumed", "--ckpt_path=last", fault=("SIGKILL", "writing", 1)) == -9
    assert run_process("resumed", "--ckpt_path=last") == 0
    assert_equal_runs(tmp_path / "uninterrupted", tmp_path / "resumed")
    assert "starts from the beginning" in (tmp_path / "resumed.log").read_text()


@pytest.mark.slow
def test_sigterm_during_the_test_sets_the_status(run_process, tmp_path, shop_options, assert_equal_runs):
    # Several batches, because the signal is handled between two.
    args = [*shop_options, *ID, "--trainer.max_epochs=1", "--data.eval_events=40"]
    assert run_process("uninterrupted", *args) == 0
    kill_and_resume(run_process, assert_equal_runs, tmp_path, args, [("SIGTERM", "test", 0)])


@pytest.mark.slow
def test_a_moved_folder_keeps_its_best_checkpoint(run_process, tmp_path, shop_options):
    args = [*shop_options, *ID, LENGTH, "--model.optim.lr=3", "--model.optim.warmup=0"]  # the first validation is the best
    assert run_process("uninterrupted", *args) == 0
    assert run_process("run", *args, fault=("SIGKILL", "logging", 13)) == -9
    best = (tmp_path / "run" / "checkpoints" / "best.ckpt").read_bytes()
    for folder in ("moved", "again"):  # during training, and after it
        (tmp_path / "run").rename(tmp_path / folder)
        assert run_process(folder, "--ckpt_path=last") == 0
        assert (tmp_path / folder / "checkpoints" / "best.ckpt").read_bytes() == best
        assert (tmp_path / folder / "metrics.json").read_bytes() == (tmp_path / "uninterrupted" / "metrics.json").read_bytes()
        (tmp_path / folder).rename(tmp_path / "run")


def test_sigterm_reports_where_it_stopped_and_how_to_resume(run_process, tmp_path, shop_options):
    assert run_process("run", *shop_options, *ID, LENGTH, fault=("SIGTERM", "logging", 1)) == 143
    (line,) = [line for line in (tmp_path / "run.log").read_text().splitlines() if line.startswith("interestlab: ")]
    assert line.startswith("interestlab: stopped by SIGTERM at epoch 0, step 2; ")
    assert f"`interestlab fit --run_dir={tmp_path / 'run'} --ckpt_path=last`" in line


@pytest.mark.slow
def test_a_run_rejected_by_the_frozen_weight_check_is_rejected_again(run_process, tmp_path, shop_options):
    args = [*shop_options, *ID, "--trainer.max_epochs=1", "--model.optim.lr=1e-30"]
    assert run_process("run", *args) == 2
    assert run_process("run", *args, "--ckpt_path=last") == 2
    message = (tmp_path / "run.log").read_text()
    assert message.count("steps of training did not change") == 2
    assert "Traceback" not in message
    assert not (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.slow
def test_a_resumed_run_continues_the_wandb_run(run_process, tmp_path, shop_options):
    pytest.importorskip("wandb")
    args = [*shop_options, *ID, "--trainer.max_epochs=2", "--loggers=[jsonl,wandb]"]
    assert run_process("run", *args, fault=("SIGTERM", "logging", 1)) == 143
    assert run_process("run", *args, "--ckpt_path=last") == 0
    ids = [folder.name.rpartition("-")[2] for folder in (tmp_path / "run" / "wandb").glob("offline-run-*")]
    assert ids == [(tmp_path / "run" / "wandb_id.txt").read_text()] * 2


@pytest.mark.slow
def test_a_full_disk_is_reported_and_the_previous_checkpoint_is_intact(run_process, tmp_path, shop_options, assert_equal_runs):
    args = [*shop_options, *ID, LENGTH, "--checkpoint_minutes=0"]
    assert run_process("uninterrupted", *args) == 0
    assert run_process("resumed", *args, fault=("ENOSPC", "writing", 4)) == 2
    (line,) = [line for line in (tmp_path / "resumed.log").read_text().splitlines() if line.startswith("interestlab: ")]
    assert "resumed/checkpoints/last.ckpt cannot be written (File too large); the previous file is unchanged; " in line
    assert line.endswith("make room, and resume the run with --ckpt_path=last.")
    assert "Traceback" not in (tmp_path / "resumed.log").read_text()
    assert run_process("resumed", *args, "--ckpt_path=last") == 0
    assert_equal_runs(tmp_path / "uninterrupted", tmp_path / "resumed")


@pytest.mark.parametrize("window", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_nan_loss_stops_with_the_batch_and_can_be_reproduced(run_process, tmp_path, shop_options, window):
    args = [*shop_options, *ID, LENGTH, f"--trainer.accumulate_grad_batches={window}"]
    assert run_process("run", *args, fault=("NAN", "loss", 4)) == 2
    message = [line for line in (tmp_path / "run.log").read_text().splitlines() if line.startswith("interestlab: ")]
    path = tmp_path / "run" / "checkpoints" / "not_finite.ckpt"
    state = torch.load(path, weights_only=True)
    assert len(message) == 1
    assert "epoch 0, batch 4" in message[0]
    assert "loss nan" in message[0]
    assert str(path) in message[0]
    recorded = state["not_finite"]
    assert (recorded["epoch"], recorded["batch"], recorded["step"]) == (0, 4, 4 // window)
    assert len(recorded["users"]) == len(recorded["items"]) == len(recorded["targets"])
    assert all(p.isfinite().all() for name, p in state["state_dict"].items() if isinstance(p, torch.Tensor))
    assert run_process("run", *args, f"--ckpt_path={path}", fault=("NAN", "loss", 4)) == 2
    reproduced = torch.load(path, weights_only=True)
    assert torch.equal(reproduced["not_finite"]["users"], recorded["users"])
    assert all(
        torch.equal(reproduced["state_dict"][k], v) for k, v in state["state_dict"].items() if isinstance(v, torch.Tensor)
    )
