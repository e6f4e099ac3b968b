"""A config imports what is trusted or allowed, and nothing else."""

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
def stranger(tmp_path, monkeypatch):
    """A module that leaves a mark where it is imported."""
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


def refused(result: str, name: str) -> None:
    line = result.strip().splitlines()[-1]
    assert name in line
    assert "--allow_import" in line


@pytest.mark.parametrize("path", ["stranger.Mine", "os.system", "builtins.eval", "subprocess.Popen", "torch.hub.load"])
def test_a_config_does_not_import_what_nobody_allowed(stranger, tmp_path, capsys, path):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config(dynamics={"class_path": path, "init_args": {}})))
    with pytest.raises(SystemExit) as done:
        main(["fit", "--config=c.yaml"])
    assert done.value.code == 2
    refused(capsys.readouterr().err, path)
    assert not stranger.exists()


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
def test_nor_anywhere_else_in_it(stranger, tmp_path, capsys, parts, name):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config(**parts)))
    with pytest.raises(SystemExit) as done:
        main(["fit", "--config=c.yaml"])
    assert done.value.code == 2
    refused(capsys.readouterr().err, name)
    assert not stranger.exists()


@pytest.mark.parametrize("path", ["lightning.pytorch.callbacks.LambdaCallback", "pytorch_lightning.callbacks.LambdaCallback"])
def test_a_callback_that_calls_any_function_is_refused_for_that(stranger, tmp_path, capsys, path):
    callback = {"class_path": path, "init_args": {"on_fit_start": "os.system"}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config(trainer={"callbacks": [callback]})))
    with pytest.raises(SystemExit) as done:
        main(["fit", "--config=c.yaml"])
    assert done.value.code == 2
    result = capsys.readouterr().err.strip().splitlines()[-1]
    assert "LambdaCallback calls any function" in result
    assert "--allow_import" not in result


def test_what_the_user_allows_is_imported_and_the_run_needs_the_same_again(stranger, tmp_path, capsys, monkeypatch):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config(dynamics="stranger.Mine")))
    main(["fit", "--config=c.yaml", "--run_dir=run", "--allow_import", "stranger"])
    assert stranger.exists()
    assert load(tmp_path / "run").model.hparams["dynamics"]["class_path"] == "stranger.Mine"
    monkeypatch.delenv(ALLOW)
    with pytest.raises(SystemExit):
        main(["test", "--run_dir=run"])
    refused(capsys.readouterr().err, "stranger.Mine")
    assert "allow" not in (tmp_path / "run" / "config.yaml").read_text()


def test_a_name_that_is_not_a_module_is_reported(capsys, monkeypatch):
    monkeypatch.setattr("os.environ", os.environ.copy())
    with pytest.raises(SystemExit) as done:
        main(["fit", "--allow_import=jsonargparse"])
    assert done.value.code == 2
    assert "cannot be allowed" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["dynamics", "_instantiator"])
def test_nor_does_a_checkpoint(stranger, fit, tmp_path, capsys, part):
    fit("--model.encoder=id", "--model.dynamics=ewma", "--test_after_fit=false")
    file = tmp_path / "run" / "checkpoints" / "best.ckpt"
    found = torch.load(file, weights_only=True)
    found["hyper_parameters"][part] = {"class_path": "stranger.Mine", "init_args": {}} if part == "dynamics" else "stranger.go"
    torch.save(found, file)
    write_hash(file)
    with pytest.raises(DataError, match=r"best\.ckpt cannot be loaded: .*stranger"):
        load(tmp_path / "run")
    if part == "dynamics":
        with pytest.raises(SystemExit):
            main(["test", f"--ckpt_path={file}", "--data.source=simulated"])
        refused(capsys.readouterr().err, "stranger.Mine")
    with pytest.raises(SystemExit):
        main(["export", "adapter", "run"])
    assert "stranger" in capsys.readouterr().err
    assert not stranger.exists()


def test_aliases_that_stand_for_billions_are_refused(tmp_path, capsys):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]
    (tmp_path / "c.yaml").write_text("\n".join(lines))
    for command in (["fit"], ["data", "describe"], ["drift"]):
        with pytest.raises(SystemExit) as done:
            main([*command, "--config=c.yaml"])
        assert done.value.code == 2
        assert "aliases are expanded" in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a: " + "1:" * 600_000 + "1", "a number with more than 1,000 characters"),
        ("a: " + "1:" * 600 + "1.5", "a number with more than 1,000 characters"),
        ("#" * 5_000_001, "over 5,000,000 characters"),
    ],
    ids=["whole", "fraction", "text"],
)
def test_a_text_that_would_take_long_is_refused_at_once(tmp_path, text, result):
    (tmp_path / "c.yaml").write_text(text)
    began = time.process_time()
    with pytest.raises(DataError, match=rf"c\.yaml: the config cannot be read: {result}\.$"):
        safe_yaml.config_file(tmp_path / "c.yaml")
    assert time.process_time() - began < 3


def test_long_words_with_colons_and_short_times_are_read():
    assert safe_yaml.config_text("a: 1:30\nb: " + "c:d " * 500 + "\n") == {"a": 90, "b": ("c:d " * 500).strip()}
    assert safe_yaml.config_text("a: '" + "1:" * 2000 + "'") == {"a": "1:" * 2000}


def test_a_config_of_anchors_is_read():
    assert safe_yaml.config_text("a: &x {b: [1, 2]}\nc: *x\n") == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}
    assert json.dumps(safe_yaml.config_text("[" * 50 + "]" * 50)) == "[" * 50 + "]" * 50
