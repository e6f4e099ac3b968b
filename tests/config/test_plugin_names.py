"""Bare names, class paths and sub-config files, in YAML and as flags, with overrides in any order."""

import pytest
import yaml

from interestlab.cli.main import main
from interestlab.cli.train import run
from interestlab.config import plugin_names
from interestlab.registry import ENCODERS

MODEL = ["--model.dynamics=ewma", "--model.objective=next_item", "--data.source=simulated"]


def resolved(capsys, *args: str) -> dict:
    with pytest.raises(SystemExit) as done:
        run(["fit", *args, "--print_config"])
    assert done.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


def refused(capsys, *args: str) -> str:
    with pytest.raises(SystemExit) as done:
        main(["fit", *args])
    assert done.value.code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("name", ["full", "interestlab.encoders.full", "interestlab_encoders.text.Full"])
@pytest.mark.parametrize("override", ["--model.encoder.max_length=9", "--model.encoder.init_args.max_length=9"])
@pytest.mark.parametrize("first", [True, False])
def test_flags(capsys, name, override, first):
    named = f"--model.encoder={name}"
    config = resolved(capsys, *MODEL, *([override, named] if first else [named, override]))
    encoder = config["model"]["encoder"]
    assert encoder["class_path"].endswith(name)
    assert encoder["init_args"]["max_length"] == 9


@pytest.mark.parametrize(
    ("slot", "name"),
    [("encoder", "full"), ("fusion", "concat"), ("dynamics", "momentum"), ("objective", "next_item")],
)
@pytest.mark.parametrize("form", ["name", "spaced", "class_path", "file", "yaml name", "yaml class_path"])
def test_every_slot(capsys, tmp_path, slot, name, form):
    (tmp_path / "part.yaml").write_text(f"class_path: {name}\n")
    (tmp_path / "whole.yaml").write_text(
        yaml.safe_dump({"model": {slot: name if form == "yaml name" else {"class_path": name, "init_args": {}}}})
    )
    args = {
        "name": [f"--model.{slot}={name}"],
        "spaced": [f"--model.{slot}", name],
        "class_path": [f"--model.{slot}.class_path={name}"],
        "file": [f"--model.{slot}={tmp_path / 'part.yaml'}"],
    }.get(form, [f"--config={tmp_path / 'whole.yaml'}"])
    rest = [f"--model.{s}={n}" for s, n in {"encoder": "id", "dynamics": "ewma", "objective": "next_item"}.items() if s != slot]
    config = resolved(capsys, *args, *rest, "--data.source=simulated")
    assert config["model"][slot]["class_path"].endswith(f".{name}")


def test_mapping_of_streams_with_overrides(capsys):
    config = resolved(capsys, *MODEL, "--model.encoder.text.max_length=5", "--model.encoder={text: frozen, id: id}")
    assert config["model"]["encoder"]["text"]["init_args"]["max_length"] == 5
    assert config["model"]["encoder"]["id"]["class_path"] == "interestlab.encoders.id"


def test_switching_drops_the_old_arguments(capsys, tmp_path):
    (tmp_path / "c.yaml").write_text("model: {dynamics: {class_path: momentum, init_args: {alpha: 0.1, beta: 0.4}}}\n")
    args = [f"--config={tmp_path / 'c.yaml'}", "--model.encoder=id", "--model.objective=next_item", "--data.source=simulated"]
    dynamics = resolved(capsys, *args, "--model.dynamics=transformer")["model"]["dynamics"]
    assert dynamics["class_path"] == "interestlab.dynamics.transformer"
    assert "alpha" not in dynamics["init_args"]
    assert "layers" in dynamics["init_args"]


@pytest.mark.parametrize("one", ["id", "{class_path: id}"])
def test_switching_from_a_mapping_to_one_encoder(capsys, tmp_path, one):
    (tmp_path / "c.yaml").write_text("model: {encoder: {text: frozen, id: id}}\n")
    config = resolved(capsys, f"--config={tmp_path / 'c.yaml'}", *MODEL, f"--model.encoder={one}")
    assert config["model"]["encoder"]["class_path"] == "interestlab.encoders.id"


@pytest.mark.parametrize("form", ["flag", "file"])
def test_switching_from_one_encoder_to_a_mapping(capsys, tmp_path, form):
    (tmp_path / "c.yaml").write_text("model: {encoder: {class_path: frozen, init_args: {max_length: 7}}}\n")
    (tmp_path / "e.yaml").write_text("{id: id, words: frozen}\n")
    chosen = "--model.encoder={id: id, words: frozen}" if form == "flag" else f"--model.encoder={tmp_path / 'e.yaml'}"
    config = resolved(capsys, f"--config={tmp_path / 'c.yaml'}", *MODEL, chosen, "--model.encoder.words.max_length=5")
    assert set(config["model"]["encoder"]) == {"id", "words"}
    assert config["model"]["encoder"]["words"]["init_args"]["max_length"] == 5


def test_a_file_of_the_same_name_is_not_meant(capsys, tmp_path):
    (tmp_path / "full").write_text("garbage: 1\n")
    config = resolved(capsys, *MODEL, "--model.encoder=full")
    assert config["model"]["encoder"]["class_path"] == "interestlab.encoders.full"
    (tmp_path / "c.yaml").write_text("model: {encoder: full}\n")
    assert "write interestlab.encoders.full" in refused(capsys, *MODEL, f"--config={tmp_path / 'c.yaml'}")


def test_a_width_is_never_typed(fit):
    model = fit("--model.encoder=frozen", "--model.encoder.max_length=6", "--model.dynamics=ewma", "--model.dim=16").model
    assert model.dynamics.dim == model.dim == 16
    assert model.projections["main"].out_features == 16


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--model.encoder=ful"], "Did you mean 'full'"),
        (["--model.encoder=torch.nn.Linear"], "Encoder"),
        (["--model.encoder=id", "--model.encoder.widht=3"], "widht"),
        (["--model.encoder=id", "--model.dynamics.beta=3"], "beta is 3"),
        (["--model.encoder={a: id, b: {class_path: id, init_args: {field: item.brand}}}"], "fusion head"),
        (["--model.encoder=id", "--model.encoder.field=item.titel"], "item.titel"),
        (["--model.encoder=id", "--model.encoder.field=event.event"], "item field"),
        (["--model.encoder=id", "--data.max_history=0"], "max_history"),
        (["--config=missing.yaml"], "missing.yaml"),
        ([], "model.encoder"),
    ],
)
def test_errors_say_what_to_mend(capsys, args, words):
    assert words in refused(capsys, *MODEL, "--data.source.users=30", "--data.source.items=40", *args)


def test_help_names_the_plugins_and_their_arguments(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    assert f"encoders: {', '.join(ENCODERS.names())}" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit):
        main(["fit", "--model.encoder.help", "full"])
    assert "--model.encoder.max_length" in capsys.readouterr().out


def test_what_is_typed_wins_wherever_it_stands(capsys, tmp_path):
    (tmp_path / "c.yaml").write_text("model: {encoder: id, dynamics: {class_path: ewma, init_args: {beta: 0.4}}}\n")
    rest = ["--model.objective=next_item", "--data.source=simulated"]
    config = resolved(capsys, "--model.dynamics.beta=0.2", f"--config={tmp_path / 'c.yaml'}", *rest)
    assert config["model"]["dynamics"]["init_args"]["beta"] == 0.2


def test_order():
    args = ["fit", "--a.b.c=1", "--config", "x", "--a.b.d", "2", "--a.b=n", "--z=1"]
    assert plugin_names.ordered(args) == ["fit", "--config", "x", "--z=1", "--a.b=n", "--a.b.c=1", "--a.b.d", "2"]


def test_the_private_function_is_where_it_was():
    from jsonargparse import _typehints

    plugin_names.install()
    assert hasattr(_typehints.resolve_class_path_by_name, "__wrapped__")
