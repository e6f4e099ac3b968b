"""The trials of a sweep: every combination with every seed, with ids that change only with the settings."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interestlab.errors import DataError
from interestlab.sweep.spec import parse
from interestlab.sweep.spec_values import label
from interestlab.sweep.trials import expand, find_trial

NAMES = st.text(min_size=1, max_size=6)
VALUES = st.one_of(st.integers(), st.booleans(), st.none(), st.text(max_size=4), st.lists(st.integers(), max_size=2))
LABELS = st.dictionaries(NAMES, st.just({}), min_size=1, max_size=4)
LISTS = st.lists(VALUES, min_size=1, max_size=4, unique_by=label)


@st.composite
def sweeps(draw):
    names = draw(st.lists(NAMES.filter(lambda n: not n.startswith("-")), max_size=3, unique=True))
    return {
        "name": "any",
        "axes": {f"axis.{name}": draw(LABELS | LISTS) for name in names},
        "seeds": draw(st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True)),
    }


def labels_of(axis):
    return list(parse({"name": "a", "axes": {"x": axis}}, Path()).axes["x"])


def ids(sweep):
    return [trial.id for trial in expand(parse(sweep, Path()))]


def reverse_keys(value):
    if isinstance(value, dict):
        return {key: reverse_keys(value[key]) for key in reversed(value)}
    return value


@given(sweeps())
def test_trials_are_the_product_of_axes_and_seeds(sweep):
    created = ids(sweep)
    count = len(sweep["seeds"])
    for axis in sweep["axes"].values():
        count *= len(axis)
    assert len(set(created)) == len(created) == count
    assert not any(set(name) & set('/\\:*?"<>| ') or len(name) > 200 for name in created)


@given(sweeps(), st.data())
def test_excluded_combinations_are_left_out(sweep, data):
    if not sweep["axes"]:
        return
    axis = data.draw(st.sampled_from(list(sweep["axes"])))
    labels = labels_of(sweep["axes"][axis])
    if len(labels) == 1:
        return
    excluded = data.draw(st.sampled_from(labels))
    trials = expand(parse(sweep | {"exclude": [{axis: excluded}]}, Path()))
    assert {trial.id for trial in trials} == {t.id for t in expand(parse(sweep, Path())) if t.labels[axis] != excluded}
    assert len(trials) * len(labels) == len(ids(sweep)) * (len(labels) - 1)


@given(sweeps())
def test_ids_do_not_depend_on_the_order_of_keys(sweep):
    sweep = sweep | {"set": {"model.encoder": {"id": "id", "text": "frozen"}, "model.dim": 8}}
    assert set(ids(sweep)) == set(ids(reverse_keys(sweep)))


def test_ids_are_readable():
    axes = {"method": {"lora": {"model.encoder": "lora"}}, "model.optim.lr": [0.001]}
    (trial,) = expand(parse({"name": "a", "axes": axes, "seeds": [3]}, Path()))
    assert trial.id.startswith("lora-lr-0.001-seed3-")
    assert len(trial.id) == len("lora-lr-0.001-seed3-") + 8


def test_all_seeds_of_a_combination_share_its_settings_and_the_first_seed_comes_first():
    trials = expand(parse({"name": "a", "axes": {"model.dim": [8, 16]}, "seeds": [1, 0]}, Path()))
    assert [(trial.labels["model.dim"], trial.seed) for trial in trials] == [("8", 1), ("16", 1), ("8", 0), ("16", 0)]
    assert trials[0].settings == trials[2].settings


def test_an_id_changes_with_the_settings_and_with_the_files_that_they_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text("model: {encoder: part.yaml}\n")
    (tmp_path / "part.yaml").write_text("class_path: id\n")
    sweep = {"name": "a", "base": "base.yaml", "set": {"model.dim": 8}}
    seen = set(ids(sweep))
    (tmp_path / "base.yaml").write_text("# a comment changes nothing\nmodel:\n  encoder: part.yaml\n")
    assert set(ids(sweep)) == seen
    seen |= set(ids(sweep | {"set": {"model.dim": 9}}))
    seen |= set(ids(sweep | {"set": {"model.dim": 8, "model.fusion": "part.yaml"}}))
    (tmp_path / "part.yaml").write_text("class_path: frozen\n")
    seen |= set(ids(sweep))
    seen |= set(ids(sweep | {"set": {"model.dim": 8, "model.fusion": "part.yaml"}}))
    assert len(seen) == 5


def test_the_command_line_of_a_trial(tmp_path):
    (tmp_path / "base.yaml").write_text("model: {dim: 8}\n")
    settings = {"model.encoder": {"id": "id"}, "model.dynamics": "ewma", "model.fusion": None, "data.k_core": 5}
    (trial,) = expand(parse({"name": "a", "base": "base.yaml", "set": settings, "seeds": [2]}, tmp_path))
    assert trial.arguments(Path("runs/x")) == [
        f"--config={tmp_path / 'base.yaml'}",
        "--trainer.enable_progress_bar=false",
        '--model.encoder={"id": "id"}',
        "--model.dynamics=ewma",
        "--model.fusion=null",
        "--data.k_core=5",
        "--seed_everything=2",
        "--run_dir=runs/x",
    ]


def test_an_unknown_trial_is_refused():
    with pytest.raises(DataError, match="no trial 'x'"):
        find_trial(expand(parse({"name": "a"}, Path())), "x")
