"""Recipes: which one a command line gets, what wins over it, and what a run records of it."""

import json
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from interestlab.cli.main import main, run
from interestlab.config import recipes
from interestlab.config.arguments import from_settings
from interestlab.errors import DataError
from interestlab.registry import DYNAMICS
from interestlab.sweep.spec import parse
from interestlab.sweep.trials import expand
from interestlab.training.fit import fit_parser
from interestlab.training.recipe_arguments import add_recipe, check_recipe, choose_recipe, recipe_errors
from interestlab.utils.versions import run_versions

ROOT = Path(__file__).parents[2]
DATA = "--data.source=simulated"
MODULE = """
from interestlab_dynamics.ewma import EWMA

class Mine(EWMA):
    pass
"""
RECIPE = {
    "model": {"encoder": "id", "dynamics": "mine", "objective": "next_item", "optim": {"lr": 0.02}},
    "trainer": {"max_epochs": 7},
}


@pytest.fixture(scope="module")
def parser():
    return fit_parser()


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    """Install a distribution with the dynamics ``mine``; return the file of its recipe, which is not written yet."""
    site = tmp_path / "site"
    info, package = site / "mine-1.0.dist-info", site / "my_package"
    info.mkdir(parents=True)
    package.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[interestlab.dynamics]\nmine = my_package.dynamics:Mine\n")
    (package / "__init__.py").write_text("")
    (package / "dynamics.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    vars(DYNAMICS).pop("_claims", None)
    file = package / "recipes" / "mine.yaml"
    file.parent.mkdir()
    yield file
    vars(DYNAMICS).pop("_claims")


def options(parser, *args: str):
    recipe = choose_recipe(list(args))
    with recipe_errors(parser, recipe):
        return parser.parse_args(add_recipe([*args, DATA], recipe))


def name_of(*args: str) -> str | None:
    recipe = choose_recipe([DATA, *args])
    return recipe and recipe.name


# ---- the recipes of the project


@pytest.mark.parametrize("name", DYNAMICS.names())
def test_every_dynamics_has_a_complete_recipe(parser, name):
    recipe = recipes.find(name)
    assert recipe is not None
    check_recipe(parser, recipe)
    config = options(parser, f"--model.dynamics={name}")
    assert config.model.dynamics.class_path == f"interestlab.dynamics.{name}"
    assert config.trainer.max_epochs == recipe.content["trainer"]["max_epochs"]
    assert (ROOT / "configs" / "recipes" / f"{name}.yaml").samefile(recipe.file)


def test_recipes_are_part_of_the_distribution():
    project = tomllib.loads((ROOT / "plugins/dynamics/pyproject.toml").read_text("utf-8"))
    assert "recipes/*.yaml" in project["tool"]["setuptools"]["package-data"]["interestlab_dynamics"]


# ---- which recipe


def test_a_model_that_nobody_describes_gets_the_default():
    assert name_of() == name_of("--data.max_history=9", "--trainer.max_epochs=3", "--model.dim=8") == recipes.DEFAULT


@pytest.mark.parametrize(
    "args",
    [
        ["--model.dynamics=gru"],
        ["--model.dynamics", "gru"],
        ["--model.dynamics.class_path=gru"],
        ["--model.dynamics.layers=2", "--model.dynamics", "gru", "--model.encoder=frozen"],
        ["--model.dynamics=interestlab.dynamics.gru"],
        ["--model.dynamics=interestlab_dynamics.gru.GRU"],
        ["--model.dynamics={class_path: gru, init_args: {layers: 2}}"],
        [f"--model.dynamics={ROOT / 'configs/dynamics/gru.yaml'}"],
        ["--model.dynamics=ewma", "--model.dynamics=gru"],
        ["--recipe=gru", "--model.dynamics=ewma"],
        ["--recipe=gru", "--config={model: {dynamics: ewma}}"],
        ["--config={recipe: gru}"],
        ["--config={recipe: none}", "--recipe", "gru"],
    ],
)
def test_the_dynamics_of_a_command_line_selects_the_recipe(args):
    assert name_of(*args) == "gru"


@pytest.mark.parametrize(
    "args",
    [
        ["--recipe=none"],
        ["--config={recipe: none}", "--model.dynamics=gru"],
        ["--config={model: {dim: 8}}"],
        [f"--config={ROOT / 'configs/sasrec.yaml'}", "--model.dynamics=gru"],
        ["--model={dynamics: gru}"],
        ["--model.dynamics=interestlab.testing.Mine"],
    ],
)
def test_no_recipe(args):
    assert choose_recipe([DATA, *args]) is None


def test_a_config_of_the_data_alone_leaves_the_recipe_on(tmp_path):
    (tmp_path / "mine.yaml").write_text("data: {source: simulated, batch_events: 64}\ntrainer: {max_epochs: 2}\n")
    assert name_of("--config=mine.yaml") == recipes.DEFAULT


def test_an_unknown_recipe_is_refused():
    with pytest.raises(DataError, match="'grub' has none"):
        choose_recipe(["--recipe=grub"])


# ---- what wins

CHOICES = {
    "model.dim": st.sampled_from([8, 16]),
    "model.optim.lr": st.sampled_from([0.5, 0.25]),
    "model.similarity": st.sampled_from(["dot", "cosine"]),
    "model.objective.temperature": st.sampled_from([0.5, 2.0]),
    "data.batch_events": st.integers(1, 9),
    "trainer.max_epochs": st.integers(1, 9),
    "early_stopping.patience": st.integers(1, 9),
}


@given(st.fixed_dictionaries({}, optional=CHOICES), st.booleans())
def test_what_is_given_wins_and_the_recipe_sets_the_rest(parser, given_settings, in_config):
    nested = {key: value for key, value in given_settings.items() if in_config and not key.startswith("model.")}
    config_text: dict = {}
    for key, value in nested.items():
        group, _, option = key.partition(".")
        config_text.setdefault(group, {})[option] = value
    typed = {key: value for key, value in given_settings.items() if key not in nested}
    parsed = options(parser, *from_settings(typed, [json.dumps(config_text)] if nested else []))
    content = recipes.require(recipes.DEFAULT).content
    expected = {
        "model.dim": content["model"]["dim"],
        "model.optim.lr": content["model"]["optim"]["lr"],
        "model.similarity": content["model"]["similarity"],
        "model.objective.temperature": content["model"]["objective"]["init_args"]["temperature"],
        "data.batch_events": content["data"]["batch_events"],
        "trainer.max_epochs": content["trainer"]["max_epochs"],
        "early_stopping.patience": content["early_stopping"]["patience"],
    } | given_settings
    read = {key: parsed[key.replace("objective.", "objective.init_args.")] for key in expected}
    assert read == expected


def test_another_plugin_does_not_get_the_arguments_of_the_recipe(parser, third_party):
    content = RECIPE | {"model": RECIPE["model"] | {"objective": {"class_path": "next_item", "init_args": {"temperature": 9}}}}
    third_party.write_text(yaml.safe_dump(content))
    kept = options(parser, "--model.dynamics=mine", "--model.objective=interestlab.objectives.next_item")
    assert kept.model.objective.init_args.temperature == 9
    other = options(parser, "--model.dynamics=mine", "--model.objective=sampled_softmax")
    assert other.model.objective.init_args.temperature != 9


def test_several_encoders_replace_that_of_the_recipe(parser):
    config = options(parser, "--model.encoder={id: id, title: frozen}", "--model.encoder.title.max_length=9")
    assert config.model.encoder["title"].init_args.max_length == 9
    assert options(parser, "--model.encoder.field=item.brand").model.encoder.init_args.field == "item.brand"


def test_a_second_stream_needs_a_fusion_head(fit, capsys):
    with pytest.raises(SystemExit):
        fit("--recipe=auto", "--model.encoder={id: id, brand: {class_path: id, init_args: {field: item.brand}}}")
    assert "need a fusion head, such as --model.fusion=" in capsys.readouterr().err


# ---- the recipe of a third party


def test_a_third_party_brings_its_own_recipe(parser, third_party, capsys):
    assert choose_recipe(["--model.dynamics=mine"]) is None
    third_party.write_text(yaml.safe_dump(RECIPE))
    config = options(parser, "--model.dynamics=my_package.dynamics.Mine", "--model.dynamics.beta=0.2")
    assert (config.trainer.max_epochs, config.model.optim.lr, config.model.dynamics.init_args.beta) == (7, 0.02, 0.2)
    main(["plugins", "show", "mine"])
    assert str(third_party) in capsys.readouterr().out


BROKEN = {
    "data: {source: simulated}": "data.source",
    "seed_everything: 1": "seed_everything",
    "trainer: {devices: 2}": "trainer.devices",
    "early_stopping: 3": "early_stopping",
    "early_stopping: {patienc: 3}": "patienc",
    "data: {batch_events: many}": "data.batch_events",
    "model: {encoder: id, objective: next_item}": "model.dynamics",
    "model: {encoder: id, objective: next_item, dynamics: ewma}": "model.dynamics",
    "model: {dynamics: mine, objective: next_item}": "model.encoder",
    "model: {encoder: idd, dynamics: mine, objective: next_item}": "'idd'",
    "model: {encoder: id, dynamics: mine, objective: next_item, optim: {lrr: 1}}": "optim.lrr",
    "- model": "must be a mapping",
    "model: [": "cannot be read",
}


@pytest.mark.parametrize(("text", "message"), BROKEN.items())
def test_an_error_of_a_recipe_names_the_file_and_the_key(parser, third_party, text, message):
    third_party.write_text(text if text.startswith("model") or text == "- model" else f"{yaml.safe_dump(RECIPE)}{text}\n")
    with pytest.raises(DataError) as error:
        options(parser, "--model.dynamics=mine")
    assert str(error.value).startswith(f"{third_party}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_error_of_the_command_line_does_not_blame_the_recipe(parser):
    with pytest.raises(DataError, match=r"^(?!.*recipes).*dimm"):
        options(parser, "--model.dimm=3")


@pytest.mark.parametrize("name", ["mine", "dynamics.mine", "my_package.dynamics.Mine"])
def test_the_check_of_a_plugin_reads_its_recipe(third_party, capsys, monkeypatch, name):
    monkeypatch.setattr("interestlab.testing.check_plugin", lambda *args, **rest: [])  # takes seconds
    main(["plugins", "check", name])
    assert "recipe" not in capsys.readouterr().out
    third_party.write_text(yaml.safe_dump(RECIPE))
    main(["plugins", "check", name])
    assert "1 passed" in capsys.readouterr().out
    third_party.write_text(yaml.safe_dump(RECIPE | {"early_stopping": {"patienc": 3}}))
    with pytest.raises(SystemExit):
        main(["plugins", "check", name])
    assert "1 failed" in capsys.readouterr().out


# ---- sweeps


def test_each_dynamics_of_a_sweep_gets_its_own_recipe():
    sweep = {"name": "a", "set": {"data.source": "simulated"}, "axes": {"model.dynamics": ["ewma", "gru"]}}
    trials = expand(parse(sweep, Path()))
    assert [name_of(*trial.arguments(Path("run"))) for trial in trials] == ["ewma", "gru"]


def test_a_trial_has_another_id_if_its_recipe_changes(third_party):
    def ids(**settings):
        sweep = {"name": "a", "set": {"data.source": "simulated", **settings}, "axes": {"model.dynamics": ["ewma", "mine"]}}
        return [trial.id for trial in expand(parse(sweep, Path()))]

    third_party.write_text(yaml.safe_dump(RECIPE))
    before, without = ids(), ids(recipe="none")
    third_party.write_text("# a comment changes nothing\n" + yaml.safe_dump(RECIPE))
    assert ids() == before
    third_party.write_text(yaml.safe_dump(RECIPE | {"trainer": {"max_epochs": 8}}))
    ewma, mine = ids()
    assert (ewma == before[0], mine == before[1]) == (True, False)
    assert ids(recipe="none") == without


# ---- runs


def test_a_run_records_its_recipe_and_its_config_needs_none(fit, tmp_path, capsys):
    cli = fit("--recipe=auto", "--model.dynamics=gru")
    recipe = recipes.require("gru")
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "recipe gru" in line)
    assert recipe.file in line
    assert "gru" in line
    assert cli.recipe.name == "gru"
    label = f"gru {recipe.digest}"
    versions = tmp_path / "run" / "versions.json"
    assert json.loads(versions.read_text()) == run_versions() | {"recipe": label}
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert saved["trainer"]["max_epochs"] == recipe.content["trainer"]["max_epochs"]
    assert saved["model"]["optim"]["warmup"] == recipe.content["model"]["optim"]["warmup"]
    assert choose_recipe([f"--config={tmp_path / 'run' / 'config.yaml'}"]) is None
    run(["fit", f"--run_dir={tmp_path / 'run'}", "--ckpt_path=last", "--trainer.max_steps=2"])
    assert json.loads(versions.read_text())["recipe"] == label


def test_a_printed_config_does_not_depend_on_the_recipe(capsys, parser):
    with pytest.raises(SystemExit):
        run(["fit", DATA, "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"]["dynamics"]["class_path"] == f"interestlab.dynamics.{recipes.DEFAULT}"
    assert choose_recipe([f"--config={json.dumps(config)}"]) is None


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_last_epoch_is_validated(fit, tmp_path, epochs):
    from interestlab.training.loggers.jsonl import read_metrics

    every_second = ["--trainer.check_val_every_n_epoch=2", f"--trainer.max_epochs={epochs}", "--trainer.max_steps=-1"]
    fit("--recipe=auto", *every_second)
    metrics = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert metrics.drop_nulls("val/ndcg@10")["epoch"].to_list() == [0] * (epochs == 1) + [1, 2] * (epochs == 3)
