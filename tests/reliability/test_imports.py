"""A config imports only trusted and allowed modules."""

import json
import os
import sys
import time

import pytest
import torch
import yaml

from interestlab import load
from interestlab.cli.main import main
from interestlab.config import safe_yaml
from interestlab.config.import_policy import ALLOW
from interestlab.errors import DataError
from interestlab.training.checkpoint_io import write_hash

MODULE = """
from pathlib import Path
Path({mark!r}).touch()
from interestlab_dynamics.ewma import EWMA
class Mine(EWMA):
    pass
"""


@pytest.fixture
def imported_mark(tmp_path, monkeypatch):
    """Write a module that touches a file when it is imported; return that file."""
    (tmp_path / "stranger.py").write_text(MODULE.format(mark=str(tmp_path / "imported")))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv(ALLOW, raising=False)
    monkeypatch.setattr("os.environ", os.environ.copy())
    yield tmp_path / "imported"
    sys.modules.pop("stranger", None)


def config(**parts):
    shop = {"class_path": "simulated", "init_args": {"users": 30, "items": 40, "events": 6}}
    return {
        "data": {"source": parts.get("source", shop)},
        "model": {"encoder": parts.get("encoder", "id"), "dynamics": parts.get("dynamics", "ewma"), "objective": "next_item"},
        "trainer": {"max_steps": 1, "enable_progress_bar": False, "accelerator": "cpu", **parts.get("trainer", {})},
    }


def assert_import_rejected(output: str, name: str) -> None:
    line = output.strip().splitlines()[-1]
    assert name in line
    assert "--allow_import" in line


@pytest.mark.parametrize("path", ["stranger.Mine", "os.system", "builtins.eval", "subprocess.Popen", "torch.hub.load"])
def test_a_config_does_not_import_a_module_that_is_not_allowed(imported_mark, tmp_path, capsys, path):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config(dynamics={"class_path": path, "init_args": {}})))
    with pytest.raises(SystemExit) as exit_info:
        main(["fit", "--config=c.yaml"])
    assert exit_info.value.code == 2
    assert_import_rejected(capsys.readouterr().err, path)
    assert not imported_mark.exists()


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({"source": {"class_path": "stranger.Mine"}}, "stranger.Mine"),
        ({"encoder": {"a": "id", "b": {"class_path": "stranger.Mine"}}}, "stranger.Mine"),
        ({"trainer": {"callbacks": [{"class_path": "stranger.Mine"}]}}, "stranger.Mine"),
        ({"trainer": {"logger": {"class_path": "stranger.Mine"}}}, "stranger.Mine"),
        ({"dynamics": "interestlab.training.fit.os.system"}, "posix.system"),
    ],
)
def test_no_other_part_of_a_config_imports_it(imported_mark, tmp_path, capsys, parts, name):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config(**parts)))
    with pytest.raises(SystemExit) as exit_info:
        main(["fit", "--config=c.yaml"])
    assert exit_info.value.code == 2
    assert_import_rejected(capsys.readouterr().err, name)
    assert not imported_mark.exists()


@pytest.mark.parametrize("path", ["lightning.pytorch.callbacks.LambdaCallback", "pytorch_lightning.callbacks.LambdaCallback"])
def test_a_callback_that_calls_any_function_is_rejected(imported_mark, tmp_path, capsys, path):
    callback = {"class_path": path, "init_args": {"on_fit_start": "os.system"}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config(trainer={"callbacks": [callback]})))
    with pytest.raises(SystemExit) as exit_info:
        main(["fit", "--config=c.yaml"])
    assert exit_info.value.code == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "LambdaCallback calls any function" in message
    assert "--allow_import" not in message


def test_an_allowed_module_is_imported_and_must_be_allowed_for_each_command(imported_mark, tmp_path, capsys, monkeypatch):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config(dynamics="stranger.Mine")))
    main(["fit", "--config=c.yaml", "--run_dir=run", "--allow_import", "stranger"])
    assert imported_mark.exists()
    assert load(tmp_path / "run").model.hparams["dynamics"]["class_path"] == "stranger.Mine"
    monkeypatch.delenv(ALLOW)
    with pytest.raises(SystemExit):
        main(["test", "--run_dir=run"])
    assert_import_rejected(capsys.readouterr().err, "stranger.Mine")
    assert "allow" not in (tmp_path / "run" / "config.yaml").read_text()


def test_a_name_that_is_not_a_module_is_reported(capsys, monkeypatch):
    monkeypatch.setattr("os.environ", os.environ.copy())
    with pytest.raises(SystemExit) as exit_info:
        main(["fit", "--allow_import=jsonargparse"])
    assert exit_info.value.code == 2
    assert "cannot be allowed" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["dynamics", "_instantiator"])
def test_a_checkpoint_does_not_import_a_module_that_is_not_allowed(imported_mark, fit, tmp_path, capsys, key):
    fit("--model.encoder=id", "--model.dynamics=ewma", "--test_after_fit=false")
    file = tmp_path / "run" / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    checkpoint["hyper_parameters"][key] = (
        {"class_path": "stranger.Mine", "init_args": {}} if key == "dynamics" else "stranger.go"
    )
    torch.save(checkpoint, file)
    write_hash(file)
    with pytest.raises(DataError, match=r"best\.ckpt cannot be loaded: .*stranger"):
        load(tmp_path / "run")
    if key == "dynamics":
        with pytest.raises(SystemExit):
            main(["test", f"--ckpt_path={file}", "--data.source=simulated"])
        assert_import_rejected(capsys.readouterr().err, "stranger.Mine")
    with pytest.raises(SystemExit):
        main(["export", "adapter", "run"])
    assert "stranger" in capsys.readouterr().err
    assert not imported_mark.exists()


def test_aliases_that_expand_to_billions_of_values_are_rejected(tmp_path, capsys):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]
    (tmp_path / "c.yaml").write_text("\n".join(lines))
    for command in (["fit"], ["data", "describe"], ["drift"]):
        with pytest.raises(SystemExit) as exit_info:
            main([*command, "--config=c.yaml"])
        assert exit_info.value.code == 2
        assert "aliases are expanded" in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: " + "1:" * 600_000 + "1", "a number with more than 1,000 characters"),
        ("a: " + "1:" * 600 + "1.5", "a number with more than 1,000 characters"),
        ("#" * 5_000_001, "over 5,000,000 characters"),
    ],
    ids=["whole", "fraction", "text"],
)
def test_slow_texts_are_rejected_quickly(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    start = time.process_time()
    with pytest.raises(DataError, match=rf"c\.yaml: the config cannot be read: {message}\.$"):
        safe_yaml.config_file(tmp_path / "c.yaml")
    assert time.process_time() - start < 3


def test_long_words_with_colons_and_short_times_are_read():
    assert safe_yaml.config_text("a: 1:30\nb: " + "c:d " * 500 + "\n") == {"a": 90, "b": ("c:d " * 500).strip()}
    assert safe_yaml.config_text("a: '" + "1:" * 2000 + "'") == {"a": "1:" * 2000}


def test_a_config_with_anchors_is_read():
    assert safe_yaml.config_text("a: &x {b: [1, 2]}\nc: *x\n") == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}
    assert json.dumps(safe_yaml.config_text("[" * 50 + "]" * 50)) == "[" * 50 + "]" * 50
