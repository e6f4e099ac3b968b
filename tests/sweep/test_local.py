"""The pool of processes, with stub trials."""

import json
import signal

import pytest
from filelock import Timeout

from interestlab.sweep import running
from interestlab.sweep.display import Display
from interestlab.sweep.engines import cores, local, threads_per_trial


def run_trials(trials, folder, workers=1):
    with Display(len(trials), 0, 0) as display:
        local.run(trials, folder, workers, display)
    return {trial.labels["method"]: running.read_record(folder, trial.id) for trial in trials}


def started_trials(folder):
    return (folder / "ran").read_text().splitlines()


@pytest.mark.parametrize("workers", [1, 3])
def test_all_trials_run_once(stubbed, tmp_path, workers):
    trials = stubbed(a={}, b={}, c={})
    records = run_trials(trials, tmp_path, workers)
    assert [record.status for record in records.values()] == ["done"] * 3
    assert run_trials(trials, tmp_path, workers) == records
    assert sorted(started_trials(tmp_path)) == sorted(trial.id for trial in trials)


def test_the_number_of_trials_at_a_time(stubbed, tmp_path, monkeypatch):
    trials, most, alive = stubbed(a={}, b={}, c={}, d={}), 0, set()
    claim, release = running.Running.claim.__func__, running.Running.release

    def claimed(cls, trial, *args):
        nonlocal most
        alive.add(trial.id)
        most = max(most, len(alive))
        return claim(cls, trial, *args)

    monkeypatch.setattr(running.Running, "claim", classmethod(claimed))
    monkeypatch.setattr(running.Running, "release", lambda self: (alive.discard(self.trial.id), release(self)))
    run_trials(trials, tmp_path, 2)
    assert most == 2


def test_a_failed_trial_records_why_and_runs_again_only_on_request(stubbed, tmp_path):
    fixed = tmp_path / "fixed"
    trials = stubbed(good={}, bad={"fail": str(fixed)})
    records = run_trials(trials, tmp_path)
    assert records["good"].status == "done"
    assert records["bad"].status == "failed"
    assert records["bad"].reason == "ValueError: lr is too high (exit status 3)"
    run_trials(trials, tmp_path)
    assert len(started_trials(tmp_path)) == 2
    fixed.touch()
    running.forget(tmp_path, trials[1].id)
    assert run_trials(trials, tmp_path)["bad"].status == "done"
    assert started_trials(tmp_path) == [trials[0].id, trials[1].id, trials[1].id]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"signal": int(signal.SIGKILL)}, "it printed nothing (ended by SIGKILL, as when memory runs out)"),
        ({"signal": int(signal.SIGTERM)}, "it printed nothing (ended by SIGTERM)"),
        ({"silent": True}, "it printed nothing (exit status 0, without metrics.json)"),
    ],
)
def test_a_process_that_ends_without_output(stubbed, tmp_path, settings, reason):
    assert run_trials(stubbed(a=settings), tmp_path)["a"].reason == reason


def test_a_killed_run_starts_again(stubbed, tmp_path):
    (trial,) = stubbed(a={})
    folder = running.run_folder(tmp_path, trial.id)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text("half")
    (folder / "metrics.json").write_text("{")
    assert run_trials([trial], tmp_path)["a"].status == "done"
    assert sorted(file.name for file in folder.iterdir()) == ["config.yaml", "cost.json", "metrics.json", "trial.json"]
    assert not list((tmp_path / "trials").glob("*.left"))


def test_a_trial_of_another_process_is_left_alone(stubbed, tmp_path):
    mine, theirs = stubbed(mine={}, theirs={})
    with running.lock(tmp_path, theirs.id):
        assert run_trials([mine, theirs], tmp_path)["theirs"] is None
        running.forget(tmp_path, theirs.id)  # does not wait, and leaves the running trial
    assert started_trials(tmp_path) == [mine.id]
    assert run_trials([mine, theirs], tmp_path)["theirs"].status == "done"


def test_a_running_trial_is_locked(stubbed, tmp_path):
    (trial,) = stubbed(a={"sleep": 30})
    started = running.Running.claim(trial, tmp_path, 1)
    with pytest.raises(Timeout):
        running.lock(tmp_path, trial.id).acquire()
    assert running.Running.claim(trial, tmp_path, 1) is None
    started.kill()
    running.lock(tmp_path, trial.id).acquire()


def test_ctrl_c_kills_the_trials_and_leaves_them_to_the_next_sweep(stubbed, tmp_path, monkeypatch):
    trials, alive = stubbed(a={"sleep": 30}, b={"sleep": 30}), []

    def interrupt(self, trial):
        alive.append(trial)
        if len(alive) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Display, "started", interrupt)
        processes = []
        init = running.Running.__init__
        patch.setattr(running.Running, "__init__", lambda self, *args: (init(self, *args), processes.append(self.process))[0])
        with pytest.raises(KeyboardInterrupt):
            run_trials(trials, tmp_path, 2)
    assert [process.poll() for process in processes] == [-signal.SIGKILL] * 2
    assert [running.read_record(tmp_path, trial.id) for trial in trials] == [None, None]
    assert run_trials(stubbed(a={}, b={}), tmp_path)["a"].status == "done"


def test_cores_are_shared(monkeypatch, stubbed):
    (trial,) = stubbed(a={})
    assert threads_per_trial(1) == cores()
    assert threads_per_trial(10**6) == 1
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("WANDB_RUN_GROUP", "mine")
    environment = running.environment(trial, 3)
    assert (environment["OMP_NUM_THREADS"], environment["WANDB_RUN_GROUP"]) == ("3", "mine")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.delenv("WANDB_RUN_GROUP")
    environment = running.environment(trial, 3)
    assert (environment["OMP_NUM_THREADS"], environment["WANDB_RUN_GROUP"]) == ("5", "stub")


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (
            "$ interestlab fit\nEpoch 1\ntorch.OutOfMemoryError: CUDA out of memory.\nwandb: sync\n",
            "torch.OutOfMemoryError: CUDA",
        ),
        ("interestlab: events.csv cannot be read\n", "interestlab: events.csv cannot be read"),
        ("ValueError: one\n  more\nbye\n", "ValueError: one"),
        ("\x1b[31mnothing was validated\x1b[0m\n┗━━━┛\n", "nothing was validated"),
        ("10%\r20%\r\n", "20%"),
        ("", "it printed nothing"),
    ],
)
def test_failure_message(tmp_path, log, message):
    (tmp_path / "log").write_text(log, newline="")
    assert running.failure_message(tmp_path / "log").startswith(message)


def test_the_record_is_json(stubbed, tmp_path):
    (trial,) = stubbed(a={})
    run_trials([trial], tmp_path)
    record = json.loads((running.run_folder(tmp_path, trial.id) / "trial.json").read_text())
    assert record["labels"] == {"method": "a"}
    assert running.log_file(tmp_path, trial.id).read_text().startswith("$ interestlab fit --trainer.enable_progress_bar=false")
