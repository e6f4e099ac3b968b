"""Sweep files: their errors are one line that names the file and the key."""

import pytest
import yaml

from interestlab.errors import DataError
from interestlab.sweep.spec import read

GOOD = {
    "name": "mine",
    "set": {"model.encoder": "id"},
    "axes": {"method": {"slow": {"model.optim.lr": 0.001}, "fast": {"model.optim.lr": 0.1}}, "model.dim": [8, 16]},
    "seeds": [0, 1],
    "budget": {"max_epochs": 3},
    "baseline": {"method": "slow", "model.dim": 8},
    "exclude": [{"method": "fast", "model.dim": 16}],
}


@pytest.fixture
def write(tmp_path):
    def write(**changes):
        file = tmp_path / "mine.yaml"
        file.write_text(yaml.safe_dump({k: v for k, v in (GOOD | changes).items() if v is not ...}, sort_keys=False))
        return file

    return write


@pytest.mark.parametrize("setting", ["ckpt_path: x.ckpt", "test_after_fit: false", "checkpoint: {dirpath: here}"])
def test_a_base_must_not_set_what_all_trials_would_share(write, tmp_path, setting):
    (tmp_path / "base.yaml").write_text(setting + "\n")
    with pytest.raises(DataError, match="which all trials would share"):
        read(write(base="base.yaml"))


def test_a_budget_has_the_names_of_fit(write):
    assert read(write(), {"trainer.max_epochs": 5}).budget == {"max_epochs": 5}
    assert read(write(), {"max_epochs": 5}).set["max_epochs"] == 5  # not an option of fit; its parser refuses it


def test_a_good_file(write):
    spec = read(write())
    assert spec.combinations == [
        {"method": "slow", "model.dim": "8"},
        {"method": "slow", "model.dim": "16"},
        {"method": "fast", "model.dim": "8"},
    ]
    assert spec.settings(spec.combinations[1]) == {
        "model.encoder": "id",
        "trainer.max_epochs": 3,
        "model.optim.lr": 0.001,
        "model.dim": 16,
    }
    assert spec.metrics == ("test/recall@10", "test/ndcg@10")


def test_a_dumped_sweep_reads_back_equal(write, tmp_path):
    (tmp_path / "base.yaml").write_text("model: {dim: 8}\n")
    spec = read(write(base="base.yaml"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "sweep.yaml").write_text(spec.dump())
    assert read(tmp_path / "elsewhere" / "sweep.yaml") == spec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axis": {}}, "'axis' is not a key of a sweep; did you mean axes"),
        ({"name": ...}, "name: "),
        ({"name": "a/b"}, "name: "),
        ({"base": "no.yaml"}, "base: "),
        ({"base": 3}, "base: "),
        ({"set": [1]}, "set: it must be a mapping"),
        ({"set": {"run_dir": "x"}}, "set.run_dir: the sweep itself sets --run_dir"),
        ({"set": {"--model.dim": 8}}, "set: '--model.dim' must be an option of `interestlab fit` without its dashes"),
        ({"set": {"trainer.max_epochs": 2}}, "budget.max_epochs: set gives trainer.max_epochs too"),
        ({"axes": {"model.dim": []}}, "axes.model.dim: it is empty"),
        ({"axes": {"method": {}}}, "axes.method: it is empty"),
        ({"axes": {"method": "slow"}}, "axes.method: it must be a list of values, or a mapping"),
        ({"axes": {"method": {"slow": 3}}}, "axes.method.slow: it must be a mapping of settings, not 3"),
        ({"axes": {"model.dim": [8, 8]}}, "axes.model.dim: '8' appears twice"),
        (
            {"axes": {"model.dim": [8], "size": {"small": {"model.dim": 8}}}},
            "axes.size: the axis model.dim sets model.dim",
        ),
        ({"axes": {"seed_everything": [1]}}, "axes.seed_everything.1.seed_everything: the sweep itself"),
        ({"seeds": []}, "seeds: "),
        ({"seeds": 3}, "seeds: "),
        ({"seeds": [True]}, "seeds: "),
        ({"seeds": [1, 1]}, "seeds: one of [1, 1] appears twice"),
        ({"baseline": {"methods": "slow"}}, "baseline.methods: there is no such axis; the axes are method, model.dim"),
        ({"baseline": {"method": "slw"}}, "baseline.method: 'slw' is not one of its labels, which are slow, fast"),
        ({"baseline": {"method": "slow"}}, "baseline: it must match one combination"),
        ({"baseline": {"method": "fast", "model.dim": 16}}, "baseline: it must match one combination"),
        ({"exclude": [{"method": "x"}]}, "exclude.method: 'x' is not one of its labels"),
        ({"exclude": [{}]}, "exclude: an entry names no axis"),
        ({"exclude": {"method": "slow"}}, "exclude: it must be a list of mappings"),
        ({"exclude": [{"method": "slow"}, {"method": "fast"}]}, "exclude: nothing is left to run"),
        ({"metrics": "test/recall@10"}, "metrics: it must be a list of different names"),
    ],
)
def test_errors_are_one_line_with_file_and_key(write, changes, message):
    with pytest.raises(DataError) as raised:
        read(write(**changes))
    assert str(raised.value).startswith("/")
    assert f"mine.yaml: {message}" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\naxes:\n  m:\n    x: {}\n    x: {}\n", "line 5: 'x' appears twice"),
        ("name: [", "cannot be read"),
        ("- a", "must be a mapping"),
    ],
)
def test_invalid_yaml_is_refused(tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(DataError, match=message) as raised:
        read(tmp_path / "mine.yaml")
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no\.yaml cannot be read"):
        read(tmp_path / "no.yaml")


def test_overrides_take_precedence(write):
    file = write(set={"data.source": "files", "data.source.interactions": "x.csv", "model.top_k": 5})
    spec = read(file, {"data.source": "simulated", "trainer.max_epochs": 1, "data.source.users": 9}, seeds=[7])
    assert spec.set == {"data.source": "simulated", "data.source.users": 9, "model.top_k": 5}
    assert spec.budget == {"max_epochs": 1}
    assert spec.seeds == (7,)
    with pytest.raises(DataError, match=r"model\.dim: the axis model\.dim varies it"):
        read(file, {"model.dim": 4})


def test_numbers_are_read_as_fit_reads_them(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: a\naxes: {model.optim.lr: [1e-3, 0.01]}\n")
    assert read(tmp_path / "mine.yaml").settings({"model.optim.lr": "0.001"}) == {"model.optim.lr": 0.001}
