"""Searches: they are reproducible, continue after a kill, repeat nothing, and prune from outside."""

import json
import random
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import yaml

from interestlab.cli.main import main
from interestlab.sweep import running
from interestlab.sweep.running import discard
from interestlab.sweep.spec import parse
from interestlab.sweep.table import results_table

pytest.importorskip("optuna")

from interestlab.sweep.report import write_report
from interestlab.sweep.search import run as search_run
from interestlab.sweep.search import study as search_study
from interestlab.sweep.search.display import SearchDisplay
from interestlab.sweep.search.study import Study
from interestlab.sweep.search.summary import summarise_searches
from interestlab.sweep.search.table import search_table
from interestlab.sweep.search.trial import RunningSearch

SEARCH = {"trials": 12, "space": {"x": {"low": -1.0, "high": 1.0}, "y": ["a", "b", "c"]}}


class Process:
    """A process that has ended."""

    stdin = None

    def __init__(self, code):
        self.code = code

    def poll(self):
        return self.code

    wait = poll


class FakeFit(RunningSearch):
    """A fit that has ended as soon as it starts; its learning curve follows from its settings."""

    def __init__(self, trial, folder, threads, claimed):
        self.trial, self.claimed, self.folder = trial, claimed, running.run_folder(folder, trial.id)
        self.log = running.log_file(folder, trial.id)
        settings = trial.fit_settings
        assert settings["test_after_fit"] is False
        discard(self.folder)
        (self.folder / "checkpoints").mkdir(parents=True)
        final = 1 - (settings["x"] - 0.3) ** 2 - {"a": 0.2, "b": 0.0, "c": 0.1}[settings["y"]]
        if settings.get("noise"):
            final += random.Random(json.dumps(settings)).gauss(0, settings["noise"])
        rows = [{"step": epoch, settings.get("metric", "val/ndcg@10"): final * epoch / 6} for epoch in range(1, 7)]
        (self.folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        failed = settings["x"] > settings.get("fail_above", 9) and not Path(settings.get("fixed", "no")).exists()
        self.log.write_text("ValueError: x is too high" if failed else "")
        self.process = Process(3 if failed else 0)
        self.started = time.monotonic() - settings.get("seconds", 0)
        with (folder / "fits").open("a") as file:
            file.write(f"{trial.id}\n")

    def kill(self):
        self.release()


@pytest.fixture
def make(monkeypatch):
    """Return the searches of a sweep, whose fits are fake."""
    monkeypatch.setattr(search_study, "RunningSearch", FakeFit)
    monkeypatch.setattr(search_run, "POLL_SECONDS", 0)
    monkeypatch.setattr(search_run, "WAIT_SECONDS", 0)
    monkeypatch.setattr("os.fsync", lambda _: None)  # of the journal

    def make(folder, settings=None, seeds=(0,), combinations=2, **search):
        axes = {"method": dict([("one", {}), ("two", {"z": 1})][:combinations])}
        spec = parse(
            {"name": "s", "set": settings or {}, "axes": axes, "seeds": list(seeds), "search": SEARCH | search}, Path()
        )
        return [Study(spec, labels, folder) for labels in spec.combinations]

    return make


def run(studies, workers=1):
    with SearchDisplay(studies) as display:
        search_run.run(studies, workers, display)
    return search_table(studies)


def without_time(table):
    return table.drop("seconds").to_dicts()


def test_a_search_finds_good_settings_with_the_same_budget_for_each_combination(make, tmp_path):
    studies = make(tmp_path, trials=20, pruner="none")
    table = run(studies)
    assert [len(study.trials()) for study in studies] == [20, 20]
    assert (table["status"] == "done").all()
    for study in studies:
        best = study.settings(study.best())
        assert best["y"] == "b"
        assert abs(best["x"] - 0.3) < 0.2
        rows = table.filter(pl.col("axis/method") == study.labels["method"])
        assert rows.filter(pl.col("chosen"))["value"].to_list() == [rows["value"].max()]
    assert not list(tmp_path.glob("trials/*/checkpoints"))


def test_the_same_seed_gives_the_same_search(make, tmp_path):
    first, second, other = (
        run(make(tmp_path / name, combinations=1, seed=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert without_time(first) == without_time(second)
    assert set(first["settings"]).isdisjoint(other["settings"])


def test_a_search_over_several_combinations_does_not_depend_on_the_number_of_workers(make, tmp_path):
    assert without_time(run(make(tmp_path / "one"))) == without_time(run(make(tmp_path / "two"), workers=2))


@pytest.mark.parametrize(("where", "kill_at"), [("started", 1), ("started", 12), ("search_ended", 11)])
def test_an_interrupted_search_continues_as_if_it_had_not_been(make, tmp_path, monkeypatch, where, kill_at):
    expected = run(make(tmp_path / "whole", combinations=1))
    original, calls = getattr(SearchDisplay, where), []

    def interrupt(self, *args):
        original(self, *args)
        calls.append(args)
        if len(calls) == kill_at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SearchDisplay, where, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(make(tmp_path / "parts", combinations=1))
    assert without_time(run(make(tmp_path / "parts", combinations=1))) == without_time(expected)
    fits = (tmp_path / "parts" / "fits").read_text().splitlines()
    assert len(fits) - len(set(fits)) == (where == "started")  # only the fit that was running


def test_a_kill_between_the_record_and_the_journal_repeats_no_fit(make, tmp_path, monkeypatch):
    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Study, "conclude", killed)
        with pytest.raises(KeyboardInterrupt):
            run(make(tmp_path))
    (journal,) = (tmp_path / "search").glob("one-*.jsonl")
    with journal.open("a") as file:
        file.write('{"op_code":4,"wor')  # a line that a kill cut
    run(make(tmp_path))
    fits = (tmp_path / "fits").read_text().splitlines()
    assert len(fits) == len(set(fits)) == 24


def test_a_larger_budget_continues_a_search_and_a_smaller_one_chooses_among_its_first_trials(make, tmp_path):
    small = run(make(tmp_path, trials=5))
    large = run(make(tmp_path, trials=12))
    assert len((tmp_path / "fits").read_text().splitlines()) == 24
    columns = ["trial", "settings", "value"]
    first = large.filter(pl.col("number") < 5)
    assert first.select(columns).rows() == small.select(columns).rows()
    again = make(tmp_path, trials=5)
    assert all(study.is_over() for study in again)
    best = [study.best().number for study in again]
    assert best == small.filter(pl.col("chosen"))["number"].to_list()


def test_other_settings_are_another_search(make, tmp_path):
    ids = {make(tmp_path)[0].id, make(tmp_path, seed=1)[0].id, make(tmp_path, seeds=[1, 0])[0].id, make(tmp_path)[1].id}
    ids |= {make(tmp_path, {"z": 3})[0].id, make(tmp_path, space=SEARCH["space"] | {"y": ["a", "b"]})[0].id}
    assert len(ids) == 6
    assert make(tmp_path, trials=99, minutes=5)[0].id == make(tmp_path, seeds=[0, 1])[0].id == make(tmp_path)[0].id


def test_no_settings_are_tried_twice_and_a_search_ends_when_all_were_tried(make, tmp_path):
    space = SEARCH["space"] | {"x": {"low": 0.0, "high": 0.2, "step": 0.1}}
    table = run(make(tmp_path, trials=50, pruner="none", space=space))
    for _, rows in table.group_by("axis/method"):
        assert rows.height == 9
        assert rows["settings"].n_unique() == 9
    assert len((tmp_path / "fits").read_text().splitlines()) == 18


def test_a_time_budget_counts_the_seconds_of_the_fits(make, tmp_path):
    table = run(make(tmp_path, {"seconds": 31}, trials=None, minutes=2))
    assert table.group_by("axis/method").len()["len"].to_list() == [4, 4]
    assert table["seconds"].min() >= 31


def test_the_pruner_stops_what_is_worse_than_the_median(make, tmp_path):
    studies = make(tmp_path, combinations=1, trials=14, prune_after=2)
    table = run(studies)
    pruned = table.filter(pl.col("status") == "pruned")
    assert pruned.height
    assert (pruned["number"] >= 5).all()  # the first five are never stopped
    assert (pruned["validations"] == 2).all()
    assert (table.filter(pl.col("status") == "done")["validations"] == 6).all()
    assert not pruned["chosen"].any()
    assert pruned["reason"].str.contains("after 2 validations is worse than the median").all()
    for study in studies:
        for trial in study.trials():
            assert len(trial.intermediate_values) == (2 if trial.state.name == "PRUNED" else 6)
    assert (run(make(tmp_path / "all", combinations=1, trials=6, pruner="none"))["status"] == "done").all()


def test_a_loss_is_minimised(make, tmp_path):
    studies = make(tmp_path, {"metric": "val/loss"}, metric="val/loss")
    table = run(studies)
    for study in studies:
        rows = table.filter(pl.col("axis/method") == study.labels["method"], pl.col("status") == "done")
        assert study.best().value == rows["value"].min()


def test_failed_trials_count_and_run_again_only_on_request(make, tmp_path):
    settings = {"fail_above": 0.0, "fixed": str(tmp_path / "fixed")}
    table = run(make(tmp_path, settings))
    failed = table.filter(pl.col("status") == "failed")
    assert 0 < failed.height < 24
    assert failed["reason"].unique().to_list() == ["ValueError: x is too high (exit status 3)"]
    assert without_time(run(make(tmp_path, settings))) == without_time(table)
    (tmp_path / "fixed").touch()
    studies = make(tmp_path, settings)
    for study in studies:
        study.retry_failed()
    again = run(studies)
    assert not again["status"].is_in(["failed"]).any()
    assert again.group_by("axis/method").len()["len"].to_list() == [12, 12]
    assert sorted(again["settings"]) == sorted(table["settings"])
    assert len((tmp_path / "fits").read_text().splitlines()) == 24 + failed.height


def test_a_metric_that_is_not_logged_is_a_failure_with_a_reason(make, tmp_path):
    studies = make(tmp_path, {"metric": "val/other"}, trials=2)
    table = run(studies)
    assert table["reason"].unique().to_list() == ["its metrics.jsonl has no val/ndcg@10"]
    assert [study.best() for study in studies] == [None, None]
    results = results_table(studies[0].spec, [], tmp_path)
    assert results["status"].to_list() == ["missing", "missing"]
    assert results["reason"].unique().to_list() == ["its search has chosen no settings"]


def test_two_processes_share_a_search(make, tmp_path):
    (mine, _), (theirs, _) = make(tmp_path), make(tmp_path)
    first, second = mine.claim(1), theirs.claim(1)
    assert (first.trial.number, second.trial.number) == (0, 1)
    assert not mine.is_over()
    mine.finish(first)
    theirs.finish(second)
    run([mine])
    assert len(theirs.trials()) == 12
    assert theirs.is_over()
    assert theirs.best().number == mine.best().number


def test_the_report_shows_the_search(make, tmp_path):
    studies = make(tmp_path)
    search_table_ = run(studies)
    search_table_.write_parquet(tmp_path / "search.parquet")
    results_table(studies[0].spec, [], tmp_path).write_parquet(tmp_path / "results.parquet")
    (tmp_path / "sweep.yaml").write_text(studies[0].spec.dump())
    page = write_report(tmp_path).read_text("utf-8")
    one, two = summarise_searches(tmp_path)
    assert (one.trials, two.trials) == (12, 12)
    assert one.chosen == studies[0].settings(studies[0].best())
    assert f"x={one.chosen['x']}" in page
    assert "Each configuration uses the best settings of a search" in page
    assert (tmp_path / "report" / "search.png").exists()
    assert f"| one | x={one.chosen['x']}, y={one.chosen['y']} | {one.best:.4f} |" in (tmp_path / "report/table.md").read_text()


STUB = """
import json, pathlib, signal, sys, time
run, settings = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
run.mkdir(parents=True)
if settings.get("ignore"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
value = settings["quality"]
with (run / "metrics.jsonl").open("w") as file:
    for step in range(1, 4):
        file.write(json.dumps({"step": step, "val/ndcg@10": value * step}) + "\\n")
if settings.get("test_after_fit", True):
    metrics = {"fingerprint": {"source": "stub"}, "test/recall@10": value, "test/ndcg@10": value}
    (run / "metrics.json").write_text(json.dumps(metrics))
else:
    time.sleep(60 if value < settings.get("slow_below", 0) else 0)
"""


@pytest.fixture
def stub_sweep(tmp_path, monkeypatch):
    """Write a sweep file whose trials are stub processes."""

    def command(trial, folder):
        return [sys.executable, "-c", STUB, str(running.run_folder(folder, trial.id)), json.dumps(trial.fit_settings)]

    monkeypatch.setattr(running, "command", command)
    monkeypatch.setattr("interestlab.sweep.validation.check_trials", lambda *_: None)
    monkeypatch.setattr(search_run, "POLL_SECONDS", 0.02)
    monkeypatch.setattr("os.fsync", lambda _: None)  # of the journal

    def write(**changes):
        search = {"trials": 3, "space": {"quality": {"low": 0.0, "high": 1.0}}} | changes.pop("search", {})
        content = {"name": "tiny", "axes": {"method": {"a": {}, "b": {"z": 1}}}, "seeds": [0, 1], "search": search} | changes
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content))
        return str(tmp_path / "tiny.yaml")

    return write


def test_the_best_settings_run_with_all_seeds(stub_sweep, tmp_path, capsys):
    out = tmp_path / "out"
    main(["sweep", stub_sweep(), f"--out={out}", "--no_report", "--workers=2"])
    search, results = pl.read_parquet(out / "search.parquet"), pl.read_parquet(out / "results.parquet")
    assert search["status"].to_list() == ["done"] * 6
    assert results["status"].to_list() == ["done"] * 4
    for label in "ab":
        chosen = json.loads(search.filter(pl.col("axis/method") == label, pl.col("chosen"))["settings"].item())
        measured = results.filter(pl.col("axis/method") == label)["test/ndcg@10"].unique().to_list()
        assert measured == [chosen["quality"]]
        tried = [json.loads(text)["quality"] for text in search.filter(pl.col("axis/method") == label)["settings"]]
        assert chosen["quality"] == max(tried)
    assert not [file for file in out.glob("trials/*-search*/*") if file.name == "metrics.json"]
    before = {path: path.stat().st_mtime_ns for path in out.glob("trials/*/trial.json")}
    assert len(before) == 10
    main(["sweep", str(out / "sweep.yaml"), f"--out={out}", "--no_report"])
    assert before == {path: path.stat().st_mtime_ns for path in out.glob("trials/*/trial.json")}
    trial = results["trial"][0]
    main(["sweep", str(out / "sweep.yaml"), f"--out={out}", f"--trial={trial}"])
    assert "4 done" in capsys.readouterr().err


@pytest.mark.parametrize("ignores_the_signal", [False, True])
def test_a_running_fit_is_stopped_from_outside(stub_sweep, tmp_path, monkeypatch, ignores_the_signal):
    monkeypatch.setattr("optuna.pruners.MedianPruner.prune", lambda *_: True)
    monkeypatch.setattr("interestlab.sweep.search.trial.STOP_SECONDS", 0.5)
    settings = {"slow_below": 2, "ignore": ignores_the_signal}
    file = stub_sweep(axes={}, search={"trials": 1, "prune_after": 2}, seeds=[0], set=settings)
    start = time.monotonic()
    with pytest.raises(SystemExit):  # no fit is done
        main(["sweep", file, f"--out={tmp_path / 'out'}", "--no_report"])
    assert time.monotonic() - start < 30
    (row,) = pl.read_parquet(tmp_path / "out" / "search.parquet").to_dicts()
    assert (row["status"], row["validations"]) == ("pruned", 2)


def test_a_combination_whose_search_fails_is_reported(stub_sweep, tmp_path, capsys):
    with pytest.raises(SystemExit) as done:
        main(["sweep", stub_sweep(search={"metric": "val/recall@10"}), f"--out={tmp_path / 'out'}", "--no_report"])
    assert done.value.code == 1
    err = capsys.readouterr().err
    assert "has no val/recall@10" in err
    assert "4 missing" in err


def test_a_dry_run_lists_the_searches_and_writes_nothing(stub_sweep, tmp_path, capsys):
    file = stub_sweep()
    main(["sweep", file, "--dry_run"])
    out = capsys.readouterr().out
    assert "3 trials per combination" in " ".join(out.split())
    assert out.count("after its search") == 4
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]
    with pytest.raises(SystemExit):
        main(["sweep", file, "--trial=x"])
    assert "the sweep has no trial 'x'" in capsys.readouterr().err


def test_optuna_is_an_extra(stub_sweep, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "interestlab.sweep.search.study")
    for name in [name for name in sys.modules if name.split(".")[0] == "optuna"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SystemExit) as done:
        main(["sweep", stub_sweep()])
    assert done.value.code == 2
    assert capsys.readouterr().err.strip() == (
        "interestlab: the search of a sweep needs Optuna: pip install 'interestlab[search]'."
    )
