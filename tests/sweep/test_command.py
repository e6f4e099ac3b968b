"""`interestlab sweep`: invalid options, a dry run, and small sweeps from end to end, killed and concurrent."""

import contextlib
import io
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import yaml

from interestlab.cli.main import main

ROOT = Path(__file__).parents[2]
TINY = {
    "name": "tiny",
    "set": {
        "model.encoder": "id",
        "model.objective": "next_item",
        "data.source": "simulated",
        "data.source.users": 30,
        "data.source.items": 40,
        "data.source.events": 6,
        "trainer.accelerator": "cpu",
        "trainer.enable_model_summary": False,
    },
    "axes": {"model.dynamics": ["ewma", "momentum"]},
    "budget": {"max_steps": 2},
    "baseline": {"model.dynamics": "ewma"},
}


def write_sweep_text(**changes):
    return yaml.safe_dump(TINY | changes | {"set": TINY["set"] | changes.get("set", {})}, sort_keys=False)


def write_sweep(folder, **changes):
    (folder / "tiny.yaml").write_text(write_sweep_text(**changes))
    return str(folder / "tiny.yaml")


def expect_error(capsys, *args):
    with pytest.raises(SystemExit) as done:
        main(["sweep", *args])
    assert done.value.code == 2
    err = capsys.readouterr().err.strip()
    assert "\n" not in err
    return err


def start_process(*args, **kwargs):
    return subprocess.Popen([sys.executable, "-m", "interestlab", "sweep", *args], text=True, stderr=subprocess.PIPE, **kwargs)


def test_help_lists_the_options(capsys):
    with pytest.raises(SystemExit) as done:
        main(["sweep", "--help"])
    assert done.value.code == 0
    assert "--retry" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"set": {"model.optim.lrr": 1}}, "model.optim.lrr: unrecognized arguments"),
        ({"set": {"model.optim.lr": "high"}}, "model.optim.lr: "),
        ({"set": {"data.source": None}}, "data.source: "),
        ({"set": {"data.source": "nowhere"}}, "data.source: no interestlab.sources plugin is called 'nowhere'"),
        ({"axes": {"m": {"a": {"model.dynamics": "ewma", "model.dynamics.alph": 1}}}}, "model.dynamics.alph: "),
        (
            {"axes": {"model.dynamics": ["ewma", "nothing"]}, "baseline": {}},
            "no interestlab.dynamics plugin is called 'nothing'",
        ),
        ({"budget": {"max_epoch": 1}}, "trainer.max_epoch: unrecognized arguments"),
        ({"metrics": ["test/recall@7"]}, "metrics.test/recall@7: it is not measured; model.ks is"),
    ],
)
def test_settings_unknown_to_fit_are_refused(capsys, tmp_path, changes, message):
    changes = {"baseline": {}} | changes if "axes" in changes else changes
    file = write_sweep(tmp_path, **changes)
    err = expect_error(capsys, file)
    assert err.startswith(f"interestlab: {file}: ")
    assert message in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--set", "model.dim"], "--set model.dim: it must be KEY=VALUE"),
        (["--set", "model.dynamics=ewma"], "model.dynamics: the axis"),
        (["--workers=0"], "--workers must be at least 1"),
        (["--trial=x"], "the sweep has no trial 'x'"),
        (["--retry=x"], "the sweep has no trial 'x'"),
        (["--out=run"], "run contains a run"),
    ],
)
def test_invalid_options_are_refused(capsys, tmp_path, args, message):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    assert message in expect_error(capsys, write_sweep(tmp_path), *args)


def test_a_dry_run_lists_the_trials_and_writes_nothing(capsys, tmp_path):
    main(["sweep", write_sweep(tmp_path), "--dry_run", "--seeds=3,4", "--set", "model.dim=8", "trainer.max_steps=1"])
    out = capsys.readouterr().out
    assert re.findall(r"dynamics-(\w+)-seed(\d)-", out) == [("ewma", "3"), ("momentum", "3"), ("ewma", "4"), ("momentum", "4")]
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.yaml"]


def run_sweep(folder, cache, *loggers):
    file = write_sweep(folder, set={"loggers": ["jsonl", *loggers]})
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(io.StringIO()) as err:
        patch.setenv("INTERESTLAB_CACHE", str(cache))
        patch.setenv("WANDB_MODE", "offline")
        main(["sweep", file, f"--out={folder / 'out'}", "--workers=2"])
    return folder / "out", file, err.getvalue()


@pytest.fixture(scope="module")
def finished_sweep(tmp_path_factory, cache):
    """A finished tiny sweep: its folder, its file, and what it printed."""
    return run_sweep(tmp_path_factory.mktemp("swept"), cache)


def test_results_and_report(finished_sweep):
    folder, _, err = finished_sweep
    table = pl.read_parquet(folder / "results.parquet")
    assert table["status"].to_list() == ["done", "done"]
    assert table["axis/model.dynamics"].to_list() == ["ewma", "momentum"]
    assert table["fingerprint"].n_unique() == 1
    assert table["test/recall@10"].is_between(0, 1).all()
    assert (table["steps"] == 2).all()
    assert all((folder / run / "ranks.parquet").exists() for run in table["run"])
    assert (folder / "report" / "index.html").exists()
    assert f"the report is {folder / 'report' / 'index.html'}" in err
    assert all(f"done {trial}" in err for trial in table["trial"])


@pytest.mark.slow
def test_the_runs_and_the_report_are_one_wandb_group(tmp_path, cache):
    folder, _, _ = run_sweep(tmp_path, cache, "wandb")
    runs = [file.read_bytes() for file in (folder / "trials").glob("*/wandb/offline-run-*/*.wandb")]
    assert len(runs) == 2
    assert all(b"tiny" in run and b"trial" in run for run in runs)
    (report,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    deadline = time.monotonic() + 60
    while b"quality" not in report.read_bytes():  # W&B's service process writes the file after the command has returned
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert b"tiny-report" in report.read_bytes()
    assert b"comparison" in report.read_bytes()


def test_the_folder_contains_the_wandb_sweep_and_a_log_per_trial(finished_sweep):
    folder, _, _ = finished_sweep
    trials = sorted(pl.read_parquet(folder / "results.parquet")["trial"])
    assert sorted(yaml.safe_load((folder / "wandb-sweep.yaml").read_text())["parameters"]["trial"]["values"]) == trials
    assert sorted(path.stem for path in (folder / "trials").glob("*.log")) == trials
    assert not list(folder.rglob(".*"))


def test_a_finished_sweep_runs_nothing_again_nor_does_its_own_sweep_file(finished_sweep, capsys):
    folder, file, _ = finished_sweep
    before = {path: path.stat().st_mtime_ns for path in (folder / "trials").rglob("trial.json")}
    for sweep_file in (file, str(folder / "sweep.yaml")):
        main(["sweep", sweep_file, f"--out={folder}", "--no_report"])
        assert "2 done: " in capsys.readouterr().err
    trial = pl.read_parquet(folder / "results.parquet")["trial"][0]
    main(["sweep", str(folder / "sweep.yaml"), f"--out={folder}", f"--trial={trial}"])
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "trials").rglob("trial.json")}


def test_a_changed_file_adds_trials_and_a_failed_trial_sets_the_exit_status(tmp_path, monkeypatch, stubbed, capsys):
    def results():
        table = pl.read_parquet("runs/tiny/results.parquet")
        return dict(zip(table["axis/model.dynamics"], table["status"], strict=True))

    monkeypatch.setattr(
        "interestlab.sweep.validation.check_trials", lambda *_: None
    )  # the settings of a stub are not options of `fit`
    fixed = tmp_path / "fixed"
    good, bad = {"quality": 0.5}, {"quality": 0.5, "fail": str(fixed)}
    main(["sweep", write_sweep(tmp_path, axes={"model.dynamics": {"ewma": good}}), "--no_report"])
    assert results() == {"ewma": "done"}
    file = write_sweep(tmp_path, axes={"model.dynamics": {"ewma": good, "broken": bad}})
    for _ in range(2):
        with pytest.raises(SystemExit) as done:
            main(["sweep", file, "--no_report"])
        assert done.value.code == 1
        assert "ValueError: lr is too high (exit status 3)" in capsys.readouterr().err
    assert results() == {"ewma": "done", "broken": "failed"}
    fixed.touch()
    main(["sweep", file, "--no_report", "--retry=failed"])
    assert results() == {"ewma": "done", "broken": "done"}
    main(["sweep", write_sweep(tmp_path, axes={"model.dynamics": {"broken": bad}}, baseline={}), "--no_report"])
    assert results() == {"broken": "done"}
    ran = Path("runs/tiny/ran").read_text().splitlines()
    assert [re.split("-seed", trial)[0] for trial in ran] == ["ewma", "broken", "broken"]


def test_ctrl_c_prints_how_to_continue_the_sweep(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("interestlab.sweep.engines.local.run", interrupted)
    with pytest.raises(SystemExit) as done:
        main(["sweep", write_sweep(tmp_path)])
    assert done.value.code == 130
    assert "the same command continues" in capsys.readouterr().err


@pytest.mark.slow
def test_the_commands_of_the_guide_run(tmp_path, capsys):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "sweep.md").read_text(), re.DOTALL)
    commands = "".join(blocks).replace("\\\n", " ").splitlines()
    assert len(commands) == 3
    for line in commands:
        program, *args = shlex.split(line)
        assert program == "interestlab"
        main([*args, "--dry_run"])
    example, search = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "sweep.md").read_text(), re.DOTALL)
    (tmp_path / "mine.yaml").write_text(example.replace("../sasrec", "configs/sasrec"))
    main(["sweep", "mine.yaml", "--dry_run", "--set", "data.source=simulated"])
    assert "finetuning: 9 trials" in capsys.readouterr().out
    axes = {"model.dynamics": ["ewma", "transformer"]}
    (tmp_path / "search.yaml").write_text(write_sweep_text(axes=axes, budget={"max_epochs": 3}, baseline={}) + search)
    for file in ("search.yaml", "configs/sweeps/search.yaml"):
        main(["sweep", file, "--dry_run", "--set", "data.source=simulated"])
        assert "20 trials per combination" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_a_killed_sweep_ends_its_trials_and_can_be_continued(tmp_path):
    file, out = write_sweep(tmp_path, seeds=[0, 1]), tmp_path / "out"
    first = start_process(file, f"--out={out}")
    deadline = time.monotonic() + 120
    while not list(out.glob("trials/*/trial.json")) or len(list(out.glob("trials/*.log"))) < 2:
        assert time.monotonic() < deadline, first.stderr.read()
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    while subprocess.run(["pgrep", "-f", f"interestlab.sweep.child {out}"], check=False, capture_output=True).returncode == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (record,) = out.glob("trials/*/trial.json")
    before = record.stat().st_mtime_ns
    again = start_process(file, f"--out={out}")
    _, err = again.communicate(timeout=180)
    assert again.returncode == 0, err
    assert record.stat().st_mtime_ns == before
    assert "4 done: " in err
    assert err.count("\ndone ") + err.startswith("done ") == 3


@pytest.mark.slow
def test_a_killed_search_continues_and_its_best_settings_are_compared(tmp_path):
    pytest.importorskip("optuna")
    space = {"model.optim.lr": {"low": 1e-4, "high": 0.1, "log": True}, "model.similarity": ["dot", "cosine"]}
    file = write_sweep(tmp_path, search={"trials": 2, "space": space}, budget={"max_epochs": 2})
    out = tmp_path / "out"
    first = start_process(file, f"--out={out}")
    deadline = time.monotonic() + 120
    while not list(out.glob("trials/*-search*/trial.json")) or len(list(out.glob("trials/*.log"))) < 2:
        assert time.monotonic() < deadline, first.stderr.read()
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    (record,) = out.glob("trials/*/trial.json")
    before = record.stat().st_mtime_ns
    again = start_process(file, f"--out={out}")
    _, err = again.communicate(timeout=240)
    assert again.returncode == 0, err
    assert record.stat().st_mtime_ns == before
    search, results = pl.read_parquet(out / "search.parquet"), pl.read_parquet(out / "results.parquet")
    assert search["status"].to_list() == ["done"] * 4
    assert search["chosen"].sum() == 2
    assert results["status"].to_list() == ["done"] * 2
    assert not list(out.glob("trials/*-search*/metrics.json"))
    assert "best settings of a search" in (out / "report" / "index.html").read_text("utf-8")


@pytest.mark.slow
def test_two_sweeps_of_one_folder_run_each_trial_once(tmp_path):
    file, out = write_sweep(tmp_path, seeds=[0, 1, 2]), tmp_path / "out"
    processes = [start_process(file, f"--out={out}") for _ in range(2)]
    messages = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], messages
    finished = [re.findall(r"^done (\S+) after", err, re.MULTILINE) for err in messages]
    table = pl.read_parquet(out / "results.parquet")
    assert sorted(finished[0] + finished[1]) == sorted(table["trial"])
    assert all(finished)
    assert table["status"].to_list() == ["done"] * 6
