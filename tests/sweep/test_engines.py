"""Ray and W&B, with stand-ins because a cluster and a server are not always available; and Ray itself if installed."""

import sys
from types import SimpleNamespace

import pytest
import yaml

from interestlab.errors import DataError
from interestlab.sweep import running
from interestlab.sweep.display import Display
from interestlab.sweep.engines import ray as ray_engine
from interestlab.sweep.engines import wandb as wandb_engine


def run_trials(engine, trials, folder):
    with Display(len(trials), 0, 0) as display:
        engine.run(trials, folder, 1, display)
    return {trial.labels["method"]: running.read_record(folder, trial.id) for trial in trials}


class LostNode(Exception):
    pass


@pytest.fixture
def cluster(monkeypatch):
    """A stand-in with what the engine uses of Ray: a task runs when its result is requested, one at a time."""
    calls = {}

    def remote(**resources):
        calls.update(resources)
        return lambda function: SimpleNamespace(remote=lambda *args: lambda: function(*args))

    def get(task):
        if calls.get("lose"):
            raise LostNode("the node died\nmore")
        return task()

    nodes = [{"Resources": {"CPU": 1.0}}, {"Resources": {}}]
    fake = SimpleNamespace(
        init=lambda **_: None,
        shutdown=lambda: calls.update(shut=True),
        nodes=lambda: nodes,
        cluster_resources=lambda: {"CPU": 1.0, "GPU": 1.0},
        remote=remote,
        wait=lambda tasks: (tasks[-1:], tasks[:-1]),
        get=get,
        exceptions=SimpleNamespace(RayError=LostNode),
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    return calls


def test_ray_runs_each_trial_as_the_pool_does(stubbed, cluster, tmp_path):
    trials = stubbed(a={}, b={"fail": "no"}, c={})
    with running.lock(tmp_path, trials[2].id):
        records = run_trials(ray_engine, trials, tmp_path)
    assert [record and record.status for record in records.values()] == ["done", "failed", None]
    assert (cluster["num_cpus"], cluster["num_gpus"], cluster["shut"]) == (1, 1, True)


def test_the_trials_of_a_lost_node_run_in_the_next_sweep(stubbed, cluster, tmp_path):
    trials = stubbed(a={})
    cluster["lose"] = True
    assert run_trials(ray_engine, trials, tmp_path)["a"] is None
    cluster["lose"] = False
    assert run_trials(ray_engine, trials, tmp_path)["a"].status == "done"


@pytest.mark.slow
def test_ray_itself(stubbed, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    trials = stubbed(a={}, b={"quality": 1})
    # Workers do not see the command of the stub: the settings reach `fit`, whose parser refuses them.
    records = run_trials(ray_engine, trials, tmp_path)
    assert [record.status for record in records.values()] == ["failed"] * 2
    assert all("unrecognized arguments: --quality" in record.reason for record in records.values())


@pytest.mark.parametrize(("engine", "extra"), [(ray_engine, "ray"), (wandb_engine, "tracking")])
def test_an_absent_library_is_reported(stubbed, tmp_path, monkeypatch, engine, extra):
    monkeypatch.setitem(sys.modules, engine.__name__.rpartition(".")[2], None)
    with pytest.raises(DataError, match=rf"is not installed: pip install 'interestlab\[{extra}\]'"):
        run_trials(engine, stubbed(a={}), tmp_path)


def test_the_file_of_the_wandb_sweep(stubbed, tmp_path):
    trials = stubbed(a={}, b={})
    wandb_engine.write(trials, tmp_path)
    config = yaml.safe_load((tmp_path / "wandb-sweep.yaml").read_text())
    assert config["method"] == "grid"
    assert config["parameters"]["trial"]["values"] == [trial.id for trial in trials]
    assert config["command"][-3:] == [str(tmp_path / "sweep.yaml"), f"--out={tmp_path}", "${args}"]


def test_wandb_offline_reports_that_it_needs_a_server(stubbed, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(DataError, match=r"needs its server.*wandb-sweep\.yaml"):
        run_trials(wandb_engine, stubbed(a={}), tmp_path)


def test_wandb_online_creates_the_sweep_and_runs_its_agent(stubbed, tmp_path, monkeypatch):
    trials, calls = stubbed(a={}, b={}), []
    fake = SimpleNamespace(
        sweep=lambda config, project: calls.append((config, project)) or "sweep-id",
        agent=lambda sweep, project: calls.append((sweep, project)),
    )
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setenv("WANDB_MODE", "online")
    run_trials(wandb_engine, trials, tmp_path)
    (config, _), agent = calls
    assert config["parameters"]["trial"]["values"] == [trial.id for trial in trials]
    assert agent == ("sweep-id", "interestlab")
    run_trials(wandb_engine, [], tmp_path)
    assert len(calls) == 2
