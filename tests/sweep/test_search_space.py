"""The key `search` of a sweep file: its errors are one line that names the key, and its points are settings of `fit`."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from interestlab.errors import DataError
from interestlab.sweep.search.parsing import parse_search
from interestlab.sweep.search.space import Choices, Range, space_settings
from interestlab.sweep.spec import read

GOOD = {
    "trials": 20,
    "metric": "val/ndcg@10",
    "space": {
        "model.objective.temperature": [0.05, 0.07, 0.1],
        "model.dynamics.dropout": {"low": 0.0, "high": 0.6, "step": 0.1},
        "model.optim.lr": {"low": 1e-4, "high": 3e-3, "log": True},
        "model.dim": {"low": 8, "high": 64},
        "size": {"small": {"model.heads": 1, "model.ff": 8}, "large": {"model.heads": 4}},
    },
    "extra": [{"labels": {"model.dynamics": "gru"}, "space": {"model.dynamics.layers": [1, 2]}}],
}
SWEEP = {"name": "mine", "axes": {"model.dynamics": ["ewma", "gru"]}, "budget": {"max_epochs": 3}}


@pytest.fixture
def write(tmp_path):
    def write(search):
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(SWEEP | {"search": search}, sort_keys=False))
        return tmp_path / "mine.yaml"

    return write


def test_a_good_search(write, tmp_path):
    spec = read(write(GOOD))
    search = spec.search
    assert (search.trials, search.minutes, search.seed, search.pruner, search.prune_after) == (20, None, 0, "median", 3)
    assert search.space["model.dynamics.dropout"] == Range(0.0, 0.6, 0.1)
    assert search.space["model.optim.lr"] == Range(0.0001, 0.003, None, log=True)
    assert search.space["model.dim"].values == list(range(8, 65))
    assert list(search.space["size"].settings) == ["small", "large"]
    assert search.space_of({"model.dynamics": "ewma"}) == search.space
    assert list(search.space_of({"model.dynamics": "gru"})) == [*search.space, "model.dynamics.layers"]
    (tmp_path / "again.yaml").write_text(spec.dump())
    assert read(tmp_path / "again.yaml") == spec


def test_points_are_readable_settings(write):
    space = read(write(GOOD)).search.space
    point = {"model.objective.temperature": "0.07", "model.dynamics.dropout": 0.1 * 3, "model.optim.lr": 0.00012345678}
    assert space_settings(space, point | {"model.dim": 12, "size": "small"}) == {
        "model.objective.temperature": 0.07,
        "model.dynamics.dropout": 0.3,
        "model.optim.lr": 0.000123457,
        "model.dim": 12,
        "model.heads": 1,
        "model.ff": 8,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trial": 3}, "search: 'trial' is not a key of a search; did you mean trials"),
        ({"trials": ...}, "search: give its budget per combination, trials or minutes or both"),
        ({"trials": 0}, "search.trials: it must be a whole number from 1, not 0"),
        ({"trials": 2.5}, "search.trials: "),
        ({"minutes": -1}, "search.minutes: it must be a positive number"),
        ({"minutes": True}, "search.minutes: "),
        ({"seed": "x"}, "search.seed: "),
        ({"pruner": "hyperband"}, "search.pruner: it must be one of median, none, not 'hyperband'"),
        ({"prune_after": 0}, "search.prune_after: "),
        ({"metric": "test/ndcg@10"}, "search.metric: it must be a validation metric, such as val/ndcg@10, not 'test/ndcg@10'"),
        ({"metric": "train/loss"}, "search.metric: it must be a validation metric"),
        ({"metric": ["val/ndcg@10"]}, "search.metric: it must be a validation metric"),
        ({"space": {}}, "search.space: it is empty"),
        ({"space": [1]}, "search.space: it must be a mapping"),
        ({"space": {"model.dim": []}}, "search.space.model.dim: it is empty"),
        ({"space": {"model.dim": 3}}, "search.space.model.dim: it must be a list of values"),
        ({"space": {"model.dim": [8, 8]}}, "search.space.model.dim: '8' appears twice"),
        ({"space": {"a": {"low": 0}}}, "search.space.a: a range has the numbers low and high"),
        ({"space": {"a": {"low": 0, "hi": 1}}}, "search.space.a: a range has"),
        ({"space": {"a": {"low": 0, "high": 1, "log": 1}}}, "search.space.a: a range has"),
        ({"space": {"a": {"low": 1, "high": 1}}}, "search.space.a: low must be below high"),
        ({"space": {"a": {"low": 0, "high": 1, "log": True}}}, "search.space.a: with log, low must be above 0"),
        ({"space": {"a": {"low": 0, "high": 1, "step": 0.3}}}, "search.space.a: step must be a number that divides"),
        ({"space": {"a": {"low": 0, "high": 1, "step": 0}}}, "search.space.a: step must be"),
        ({"space": {"run_dir": ["x"]}}, "search.space.run_dir.x.run_dir: the sweep itself sets --run_dir"),
        ({"space": {"seed_everything": {"low": 0, "high": 9}}}, "search.space.seed_everything: the sweep itself sets"),
        ({"space": {"m": {"a": {"x": 1}}, "x": [1]}}, "search.space: two entries set x"),
        ({"space": {"model.dynamics": ["ewma"]}}, "search.space.model.dynamics: model.dynamics sets model.dynamics too"),
        ({"space": {"trainer.max_epochs": [1]}}, "search.space.trainer.max_epochs: budget sets trainer.max_epochs too"),
        ({"extra": [{"labels": {}, "space": {"a": [1]}}]}, "search.extra: each entry must have labels"),
        ({"extra": [{"labels": {"m": "x"}, "space": {"a": [1]}}]}, "search.extra.m: there is no such axis"),
        ({"extra": [{"labels": {"model.dynamics": "x"}, "space": {"a": [1]}}]}, "search.extra.model.dynamics: 'x' is not"),
    ],
)
def test_errors_are_one_line_with_file_and_key(write, changes, message):
    with pytest.raises(DataError) as raised:
        read(write({k: v for k, v in (GOOD | changes).items() if v is not ...}))
    assert f"mine.yaml: {message}" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_search_must_be_a_mapping():
    with pytest.raises(DataError, match="search: it must be a mapping"):
        parse_search([1])


def test_a_setting_cannot_be_fixed_and_searched(write):
    with pytest.raises(DataError, match=r"model\.dim: the search varies it, so --set cannot fix it"):
        read(write(GOOD), {"model.dim": 8})


@st.composite
def ranges(draw):
    low = draw(st.integers(1, 50) | st.integers(1, 10**5).map(lambda n: n / 1000))
    kind = draw(st.sampled_from(["plain", "log", "step"]))
    if kind == "step":
        step = draw(st.sampled_from([1, 2, 0.1, 0.25]))
        return {"low": low, "high": low + draw(st.integers(1, 9)) * step, "step": step}
    return {"low": low, "high": low + draw(st.integers(1, 50))} | ({"log": True} if kind == "log" else {})


VALUES = st.lists(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.lists(st.integers(), max_size=2),
    min_size=1,
    max_size=4,
    unique_by=lambda v: v if isinstance(v, str) else json.dumps(v),
)


@given(st.dictionaries(st.sampled_from(["a.b", "c", "d"]), ranges() | VALUES, min_size=1), st.integers(0, 99))
def test_every_proposal_is_a_point_of_the_space(space, seed):
    pytest.importorskip("optuna")
    from optuna.study import StudyDirection

    from interestlab.sweep.search.proposals import next_point

    parsed = parse_search({"trials": 1, "space": space}).space
    point = next_point(parsed, [], StudyDirection.MAXIMIZE, seed)
    assert point == next_point(parsed, [], StudyDirection.MAXIMIZE, seed)
    settings = space_settings(parsed, point)
    assert settings.keys() == space.keys()
    for name, entry in parsed.items():
        if isinstance(entry, Choices):
            assert settings[name] in space[name]
        else:
            assert entry.low * (1 - 1e-5) <= settings[name] <= entry.high * (1 + 1e-5)
            assert isinstance(settings[name], int) == entry.is_whole
