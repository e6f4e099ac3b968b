"""Replay of the test window with user states of any age."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from interestlab.cli.main import main
from interestlab.inference.trajectory import ModelView
from interestlab.metrics import target_ranks
from interestlab.replay.events import ReplayedEvents
from interestlab.replay.measure import label, measure
from interestlab.training.open_run import open_run

OPTIONS = ["--model.encoder=id", "--data.split=global_time", "--data.source.users=60", "--data.source.events=12"]
ROOT = Path(__file__).parents[2]
HOUR, DAY = 3_600, 86_400


@pytest.fixture
def run_folder(fitted):
    """Return a function that returns the folder of a run of a dynamics."""
    return lambda dynamics="ewma", *options: fitted(f"--model.dynamics={dynamics}", *OPTIONS, *options)


@pytest.fixture
def replayed(run_folder):
    """Return a function that returns the view and the replayed events of a run."""

    def get_replayed(*options):
        view = ModelView.from_model(*open_run(run_folder(*options)))
        return view, ReplayedEvents.of(view.data)

    return get_replayed


@pytest.mark.parametrize("period", [0, 7, HOUR, 5 * HOUR, DAY, 30 * DAY, None])
def test_a_state_has_read_the_events_before_its_last_refresh(replayed, period):
    _, events = replayed()
    log, read = events.log, events.last_rows_read(period)
    assert (log.time[events.rows] >= events.start).all()
    for row, user, last in zip(events.rows, events.users, read, strict=True):
        begin, now = log.offsets[user], log.time[row]
        if period == 0:
            expected = range(begin, row)
        else:
            refreshed = events.start if period is None else now // period * period
            expected = [r for r in range(begin, row) if log.time[r] < refreshed]
        assert last == (expected[-1] if len(expected) else -1)


def test_the_first_event_of_each_user_ranks_as_in_the_test(replayed):
    view, events = replayed()
    (row,) = (row for row in measure(view, events, [0], [5]) if row.name == "at each event")
    first = np.flatnonzero(np.diff(events.users, prepend=-1))
    ranks = {}
    for batch in view.data.loader("test"):
        states = view.frozen.last_user_state(batch, {})
        higher, tied = target_ranks(states, view.catalogue, batch.targets.max(1).values, batch.history_items)
        ranks |= zip(batch.users.tolist(), zip(higher.tolist(), tied.tolist(), strict=True), strict=True)
    only = {user for user, count in zip(*np.unique(events.users, return_counts=True), strict=True) if count == 1}
    users = events.users[first]
    compared = 0
    for user, recall in zip(users, row.metrics["recall@5"], strict=True):
        if user in only and user in ranks and ranks[user][1] == 0:
            assert recall == float(ranks[user][0] < 5)
            compared += 1
    assert compared > 3


@pytest.mark.parametrize(("dynamics", "exclude"), [("ewma", "true"), ("multi_interest", "false"), ("ode", "true")])
def test_old_states_rank_as_the_history_that_they_have_read(replayed, dynamics, exclude):
    view, events = replayed(dynamics, f"--data.exclude_history={exclude}")
    rows = {row.name: row for row in measure(view, events, [0, DAY], [10])}
    assert rows["never"].behind > rows["every day"].behind > rows["at each event"].behind == 0
    log, read = events.log, events.last_rows_read(DAY)
    hits = {}
    for row, user, last in zip(events.rows, events.users, read, strict=True):
        if last < 0:
            scores = torch.from_numpy(np.asarray(log.counts, np.float64))
        else:
            state = view.states(np.array([last]), at=log.time[[row]])
            scores = view.frozen.score(view.frozen.normalize(state))[0]
        scores, target = scores.clone(), int(log.item[row])
        if exclude == "true":
            scores[[item for item in log.item[log.offsets[user] : row] if item != target]] = -torch.inf
        scores = scores.float()
        higher, tied = int((scores > scores[target]).sum()), int((scores == scores[target]).sum())
        hits.setdefault(user, []).append(np.clip(10 - higher, 0, tied) / tied)
    expected = [np.mean(values) for values in hits.values()]
    np.testing.assert_allclose(rows["every day"].metrics["recall@10"], expected)


def test_command(run_folder, capsys, tmp_path):
    main(["replay", str(run_folder()), "--refresh_seconds=[21600, 21600]", f"--out={tmp_path}"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "every 6 hours" in printed
    content = json.loads((tmp_path / "replay.json").read_text("utf-8"))
    assert list(content["refreshed"]) == ["at each event", "every 6 hours", "never", "popularity", "cooccurrence"]
    first, *others = content["refreshed"].values()
    assert first["ndcg@10"]["difference"] == 0
    for values in others:
        assert values["ndcg@10"]["difference"] == pytest.approx(values["ndcg@10"]["mean"] - first["ndcg@10"]["mean"])


@pytest.mark.parametrize("option", ["--ks=[0]", "--ks=[]", "--refresh_seconds=[-1]"])
def test_options_are_checked(run_folder, capsys, option):
    with pytest.raises(SystemExit) as stopped:
        main(["replay", str(run_folder()), option])
    assert stopped.value.code == 2
    assert option.partition("=")[0] in capsys.readouterr().err


def test_another_split_is_refused(run_folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["replay", str(run_folder("ewma", "--data.split=leave_one_out"))])
    assert stopped.value.code == 2
    assert "needs a run with --data.split=global_time, not leave_one_out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("period", "text"), [(0, "at each event"), (None, "never"), (DAY, "every day"), (90, "every 90 seconds")]
)
def test_labels(period, text):
    assert label(period) == text


def test_the_page_runs(capsys):
    (block,) = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "replay.md").read_text("utf-8"), re.DOTALL)
    fit_line, *replay_lines = block.splitlines()
    small = [
        "--data.source.users=40",
        "--data.source.items=40",
        "--data.source.events=8",
        "--trainer.enable_progress_bar=false",
    ]
    main([*shlex.split(fit_line)[1:], *small, "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"])
    for line in replay_lines:
        main(shlex.split(line)[1:])
    printed = capsys.readouterr().out
    assert "ndcg@5" in printed
    assert "every 7 days" in printed
    assert Path("runs/replayed/replay/replay.json").exists()
    assert Path("runs/replayed/six-hours/replay.json").exists()
