"""Bare names, class paths and sub-config files, in YAML and as flags, with overrides in any order."""

import sys
from types import ModuleType

import pytest
import yaml

from interestlab.cli.main import main, run
from interestlab.config import safe_yaml
from interestlab.config.arguments import in_order
from interestlab.config.plugin_names import resolve
from interestlab.config.plugin_options import Resolver, write
from interestlab.contract import Encoder
from interestlab.registry import ENCODERS

MODEL = ["--model.dynamics=ewma", "--model.objective=next_item", "--data.source=simulated"]


def resolve_config(capsys, *args: str) -> dict:
    with pytest.raises(SystemExit) as exit_info:
        run(["fit", *args, "--print_config"])
    assert exit_info.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


def read_error(capsys, *args: str) -> str:
    with pytest.raises(SystemExit) as exit_info:
        main(["fit", *args])
    assert exit_info.value.code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize(
    "name", ["full", pytest.param("interestlab.encoders.full", marks=pytest.mark.slow), "interestlab_encoders.text.Full"]
)
@pytest.mark.parametrize("override", ["--model.encoder.max_length=9", "--model.encoder.init_args.max_length=9"])
@pytest.mark.parametrize("first", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_flags(capsys, name, override, first):
    name_option = f"--model.encoder={name}"
    config = resolve_config(capsys, *MODEL, *([override, name_option] if first else [name_option, override]))
    encoder = config["model"]["encoder"]
    assert encoder["class_path"].endswith(name)
    assert encoder["init_args"]["max_length"] == 9


@pytest.mark.parametrize(
    ("slot", "name"),
    [
        ("encoder", "full"),
        pytest.param("fusion", "concat", marks=pytest.mark.slow),
        pytest.param("dynamics", "momentum", marks=pytest.mark.slow),
        pytest.param("objective", "next_item", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("form", ["name", "spaced", "class_path", "file", "yaml name", "yaml class_path"])
def test_every_slot(capsys, tmp_path, slot, name, form):
    (tmp_path / "part.yaml").write_text(f"class_path: {name}\n")
    (tmp_path / "complete.yaml").write_text(
        yaml.safe_dump({"model": {slot: name if form == "yaml name" else {"class_path": name, "init_args": {}}}})
    )
    args = {
        "name": [f"--model.{slot}={name}"],
        "spaced": [f"--model.{slot}", name],
        "class_path": [f"--model.{slot}.class_path={name}"],
        "file": [f"--model.{slot}={tmp_path / 'part.yaml'}"],
    }.get(form, [f"--config={tmp_path / 'complete.yaml'}"])
    rest = [f"--model.{s}={n}" for s, n in {"encoder": "id", "dynamics": "ewma", "objective": "next_item"}.items() if s != slot]
    config = resolve_config(capsys, *args, *rest, "--data.source=simulated")
    assert config["model"][slot]["class_path"].endswith(f".{name}")


def test_mapping_of_streams_with_overrides(capsys):
    config = resolve_config(capsys, *MODEL, "--model.encoder.text.max_length=5", "--model.encoder={text: frozen, id: id}")
    assert config["model"]["encoder"]["text"]["init_args"]["max_length"] == 5
    assert config["model"]["encoder"]["id"]["class_path"] == "interestlab.encoders.id"


def test_switching_drops_the_old_arguments(capsys, tmp_path):
    (tmp_path / "c.yaml").write_text("model: {dynamics: {class_path: momentum, init_args: {alpha: 0.1, beta: 0.4}}}\n")
    args = [f"--config={tmp_path / 'c.yaml'}", "--model.encoder=id", "--model.objective=next_item", "--data.source=simulated"]
    dynamics = resolve_config(capsys, *args, "--model.dynamics=transformer")["model"]["dynamics"]
    assert dynamics["class_path"] == "interestlab.dynamics.transformer"
    assert "alpha" not in dynamics["init_args"]
    assert "layers" in dynamics["init_args"]


@pytest.mark.parametrize("one", ["id", "{class_path: id}"])
def test_switching_from_a_mapping_to_one_encoder(capsys, tmp_path, one):
    (tmp_path / "c.yaml").write_text("model: {encoder: {text: frozen, id: id}}\n")
    config = resolve_config(capsys, f"--config={tmp_path / 'c.yaml'}", *MODEL, f"--model.encoder={one}")
    assert config["model"]["encoder"]["class_path"] == "interestlab.encoders.id"


@pytest.mark.parametrize("form", ["flag", "file"])
def test_switching_from_one_encoder_to_a_mapping(capsys, tmp_path, form):
    (tmp_path / "c.yaml").write_text("model: {encoder: {class_path: frozen, init_args: {max_length: 7}}}\n")
    (tmp_path / "e.yaml").write_text("{id: id, words: frozen}\n")
    encoder_option = "--model.encoder={id: id, words: frozen}" if form == "flag" else f"--model.encoder={tmp_path / 'e.yaml'}"
    config = resolve_config(
        capsys, f"--config={tmp_path / 'c.yaml'}", *MODEL, encoder_option, "--model.encoder.words.max_length=5"
    )
    assert set(config["model"]["encoder"]) == {"id", "words"}
    assert config["model"]["encoder"]["words"]["init_args"]["max_length"] == 5


@pytest.mark.parametrize("form", ["flag", "yaml", "text"])
def test_a_file_with_the_name_of_a_plugin_is_ignored(capsys, tmp_path, form):
    (tmp_path / "full").write_text("garbage: 1\n")
    (tmp_path / "c.yaml").write_text("model: {encoder: full}\n")
    args = {
        "flag": "--model.encoder=full",
        "yaml": f"--config={tmp_path / 'c.yaml'}",
        "text": "--config={model: {encoder: full}}",
    }
    config = resolve_config(capsys, *MODEL, args[form])
    assert config["model"]["encoder"]["class_path"] == "interestlab.encoders.full"


def test_model_width_is_passed_to_the_plugins(fit):
    model = fit("--model.encoder=frozen", "--model.encoder.max_length=6", "--model.dynamics=ewma", "--model.dim=16").model
    assert model.backbone.dynamics.dim == 16
    assert model.backbone.projections["main"].out_features == 16


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--model.encoder=ful"], "Did you mean 'full'"),
        (["--model.encoder=torch.nn.Linear"], "Encoder"),
        (["--model.encoder=id", "--model.encoder.widht=3"], "'widht' is not accepted; `interestlab plugins show NAME` lists"),
        (["--model.encoder=id", "--model.dynamics.beta=3"], "beta is 3"),
        (["--model.encoder={a: id, b: {class_path: id, init_args: {field: item.brand}}}"], "fusion head"),
        (["--model.encoder=id", "--model.encoder.field=item.titel"], "item.titel"),
        (["--model.encoder=id", "--model.encoder.field=event.event"], "item field"),
        (["--model.encoder=id", "--data.max_history=0"], "max_history"),
        (["--config=missing.yaml"], "missing.yaml"),
        (["--recipe=none"], "required: --model.encoder"),
    ],
)
def test_errors_name_the_invalid_setting(capsys, args, message):
    assert message in read_error(capsys, *MODEL, "--data.source.users=30", "--data.source.items=40", *args)


def test_help_names_the_plugins_and_their_arguments(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    out = capsys.readouterr().out
    assert out.startswith("usage: interestlab fit [options]\n\nTrain a model, then test its best checkpoint.\n")
    assert f"encoders: {', '.join(ENCODERS.names())}" in " ".join(out.split())
    with pytest.raises(SystemExit):
        main(["fit", "--model.encoder.help", "full"])
    assert "--model.encoder.max_length" in capsys.readouterr().out


def test_options_override_configs_in_any_order(capsys, tmp_path):
    (tmp_path / "c.yaml").write_text("model: {encoder: id, dynamics: {class_path: ewma, init_args: {beta: 0.4}}}\n")
    rest = ["--model.objective=next_item", "--data.source=simulated"]
    config = resolve_config(capsys, "--model.dynamics.beta=0.2", f"--config={tmp_path / 'c.yaml'}", *rest)
    assert config["model"]["dynamics"]["init_args"]["beta"] == 0.2


def test_order():
    args = ["fit", "--a.b.c=1", "--config", "x", "--a.b.d", "2", "--a.b=n", "--z=1"]
    assert in_order(args) == ["fit", "--config", "x", "--z=1", "--a.b=n", "--a.b.c=1", "--a.b.d", "2"]


def test_no_private_function_of_jsonargparse_is_replaced():
    from jsonargparse import _typehints

    assert not hasattr(_typehints.resolve_class_path_by_name, "__wrapped__")


@pytest.mark.parametrize("arguments", ["{max_length: 5}", "{init_args: {max_length: 5}}"])
def test_a_later_config_changes_arguments_of_the_plugin_of_an_earlier_one(capsys, tmp_path, arguments):
    (tmp_path / "a.yaml").write_text("model: {encoder: full}\n")
    (tmp_path / "b.yaml").write_text(f"model: {{encoder: {arguments}}}\n")
    encoder = resolve_config(capsys, *MODEL, f"--config={tmp_path / 'a.yaml'}", f"--config={tmp_path / 'b.yaml'}")["model"][
        "encoder"
    ]
    assert encoder["class_path"] == "interestlab.encoders.full"
    assert encoder["init_args"]["max_length"] == 5


def test_an_argument_with_the_name_of_a_plugin_stays_text(capsys, tmp_path):
    (tmp_path / "a.yaml").write_text("model: {encoder: {class_path: peft, init_args: {method: lora}}}\n")
    (tmp_path / "b.yaml").write_text("model: {encoder: {method: ia3}}\n")
    configs = [f"--config={tmp_path / name}" for name in ("a.yaml", "b.yaml")]
    for args, method in ((configs[:1], "lora"), (configs, "ia3"), ([*configs, "--model.encoder.method=full"], "full")):
        assert resolve_config(capsys, *MODEL, *args)["model"]["encoder"]["init_args"]["method"] == method


@pytest.mark.parametrize("form", ["--model.encoder.text=full", "--model.encoder.text.class_path=full"])
def test_one_encoder_of_a_mapping_is_replaced(capsys, tmp_path, form):
    (tmp_path / "c.yaml").write_text("model: {encoder: {text: frozen, id: id}}\n")
    encoders = resolve_config(capsys, f"--config={tmp_path / 'c.yaml'}", *MODEL, form)["model"]["encoder"]
    assert [encoders[name]["class_path"] for name in ("text", "id")] == ["interestlab.encoders.full", "interestlab.encoders.id"]


@pytest.mark.parametrize("form", ["yaml", "json", "flag"])
def test_the_objective_of_an_auxiliary_term(capsys, tmp_path, form):
    (tmp_path / "c.yaml").write_text("model: {auxiliary: {views: {objective: contrastive, weight: 0.2}}}\n")
    json = "--model.auxiliary={views: {objective: contrastive, weight: 0.2}}"
    yaml = f"--config={tmp_path / 'c.yaml'}"
    args = {"yaml": [yaml], "json": [json], "flag": [yaml, "--model.auxiliary.views.objective=rdrop"]}[form]
    objective = resolve_config(capsys, *MODEL, "--model.encoder=id", *args)["model"]["auxiliary"]["views"]["objective"]
    assert objective["class_path"] == f"interestlab.objectives.{'rdrop' if form == 'flag' else 'contrastive'}"


@pytest.mark.parametrize("args", [["--model=model.yaml", "--data=parts/data.yaml"], ["--config=parts/complete.yaml"]])
def test_groups_and_files_are_relative_to_their_config(capsys, tmp_path, args):
    (tmp_path / "parts").mkdir()
    (tmp_path / "model.yaml").write_text("{encoder: full, dynamics: ewma, objective: next_item}\n")
    (tmp_path / "parts" / "encoder.yaml").write_text("{class_path: full, init_args: {max_length: 64}}\n")
    (tmp_path / "parts" / "data.yaml").write_text("source: simulated\n")
    complete = "{data: data.yaml, model: {encoder: encoder.yaml, dynamics: ewma, objective: next_item}}\n"
    (tmp_path / "parts" / "complete.yaml").write_text(complete)
    config = resolve_config(capsys, *args)
    assert config["model"]["encoder"]["class_path"] == "interestlab.encoders.full"
    assert config["data"]["source"]["class_path"] == "interestlab.sources.simulated"


class Inner(Encoder):
    """An encoder that wraps another one.

    Args:
        inner: the wrapped encoder.
        others: further encoders by name.
        note: any text.
    """

    def __init__(self, inner: Encoder, others: "dict[str, Encoder] | None" = None, note: str = "") -> None:
        super().__init__()


def test_plugins_in_the_arguments_of_a_plugin():
    path = f"{__name__}.{Inner.__name__}"
    spec = {"class_path": path, "init_args": {"inner": "id", "others": {"a": "full"}, "note": "id"}}
    sys.modules[__name__] = sys.modules.get(__name__, ModuleType(__name__))
    setattr(sys.modules[__name__], Inner.__name__, Inner)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTERESTLAB_ALLOW", __name__.partition(".")[0])
        arguments = resolve(spec, Encoder)["init_args"]
        assert arguments == {"inner": "interestlab.encoders.id", "others": {"a": "interestlab.encoders.full"}, "note": "id"}
        hints = {"encoder": Encoder | None}
        line = Resolver(hints).command_line([f"--encoder={path}", "--encoder.inner=id", "--encoder.note", "id"])
    assert line == [f"--encoder={path}", "--encoder.inner=interestlab.encoders.id", "--encoder.note", "id"]
    assert resolve(spec, Encoder) == spec  # the class is no longer allowed, so it is not imported


@pytest.mark.parametrize(
    "value",
    [{"a": "1e-3", "b": 1e-5, "c": None, "d": [True, "yes"]}, {"a": float("nan")}, {1: "x", None: "1"}, {"a": "é\u202e"}],
)
def test_a_resolved_config_is_written_without_changing_a_value(value):
    assert repr(safe_yaml.config_text(write(value))) == repr(value)
