"""Discovery of the commands, their help, and the commands that only print."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

import interestlab.cli
from interestlab.cli.main import commands, main
from interestlab.registry import REGISTRIES

ROOT = Path(__file__).parents[2]
SWEEPS = sorted((ROOT / "configs" / "sweeps").glob("*.yaml"))
DRIFT = sorted((ROOT / "configs" / "drift").glob("*.yaml"))
CONFIGS = sorted(set((ROOT / "configs").rglob("*.yaml")) - {*SWEEPS, *DRIFT})


def test_listing_imports_no_plugin_and_no_torch():
    code = (
        "import sys; from interestlab.cli.main import main; main(['plugins']);"
        "print([m for m in sys.modules if m == 'torch' or m == 'polars' or m.startswith('interestlab_')])"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("module", "extra"), [("ruptures", "drift"), ("wandb", "tracking")])
def test_an_absent_library_is_reported_with_its_extra(monkeypatch, capsys, module, extra):
    def absent(name):
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(SystemExit) as exit_info:
        main(["drift", "runs/mine"])
    assert exit_info.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert module in line
    assert line.endswith(f"pip install 'interestlab[{extra}]'")


def test_an_absent_module_without_a_known_package_is_not_hidden(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError("No module named 'acme'", name="acme")

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(ModuleNotFoundError):
        main(["doctor"])


def test_plugins_describes_each_plugin(capsys):
    main(["plugins"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + sum(len(r.names()) for r in REGISTRIES.values())
    (ewma,) = [line.split() for line in lines if " ewma " in line]
    assert ewma[:4] == ["dynamics", "ewma", "interestlab-dynamics", "0.1.0"]
    assert all(len(line.split()) > 6 for line in lines[1:])


def test_plugins_show(capsys):
    main(["plugins", "show", "momentum"])
    out = capsys.readouterr().out
    assert "--beta BETA" in out
    assert "each an option --model.dynamics.NAME:" in out
    assert out.count("A stable second-order filter") == 1
    assert "interestlab-dynamics 0.1.0" in out
    for name in ("dynamics.momentum", "encoders.id", "encoder.id"):
        main(["plugins", "show", name])
        assert f": interestlab_{name.partition('.')[0].rstrip('s')}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["plugins", "show", "momentun"])
    assert "Did you mean 'momentum'" in capsys.readouterr().err


def test_doctor(capsys):
    main(["doctor"])
    out = capsys.readouterr().out
    assert "torch" in out
    assert "all import" in out


@pytest.mark.parametrize("args", [[], ["--help"]])
def test_top_level_help_lists_every_command(capsys, args):
    main(args)
    out = capsys.readouterr().out
    assert all(command in out for command in commands())


def test_an_unknown_command_is_an_error():
    with pytest.raises(SystemExit) as exit_info:
        main(["fti"])
    assert "no command 'fti'" in str(exit_info.value)


@pytest.mark.parametrize("args", [["data"], ["data", "descripe"]])
def test_a_command_group_lists_its_commands(capsys, args):
    with pytest.raises(SystemExit) as exit_info:
        main(args)
    assert exit_info.value.code == 2
    assert "data describe, data prepare" in capsys.readouterr().err
    with pytest.raises(SystemExit) as exit_info:
        main(["data", "--help"])
    assert exit_info.value.code == 0
    out = capsys.readouterr().out
    assert "data describe" in out
    assert "drift" not in out


@pytest.mark.parametrize("name", commands())
def test_every_command_has_its_own_help_and_a_line_in_the_top_level_help(capsys, name):
    with pytest.raises(SystemExit) as exit_info:
        main([*name.split(), "--help"])
    assert exit_info.value.code == 0
    out = capsys.readouterr().out
    assert "--log_level" in out
    assert "--allow_import" in out
    main([])
    assert re.search(rf"^  {name}  +\w.*\w", capsys.readouterr().out, re.MULTILINE)


def test_a_new_command_needs_one_new_file(tmp_path, monkeypatch, capsys):
    (tmp_path / "count_words.py").write_text('"""Count words."""\n\n\ndef run(args):\n    print(len(args))\n')
    (tmp_path / "broken.py").write_text('"""Import what is absent."""\n\nimport absent_module\n')
    files = commands() | {file.stem.replace("_", " "): file for file in tmp_path.glob("*.py")}
    monkeypatch.setattr("interestlab.cli.main.commands", lambda: files)
    monkeypatch.setattr("interestlab.cli.__path__", [str(tmp_path), *interestlab.cli.__path__])
    main(["count", "words", "a", "b"])
    assert capsys.readouterr().out == "2\n"
    main(["--help"])
    out = capsys.readouterr().out
    assert re.search(r"count words +Count words\.", out)
    assert "Import what is absent." in out


def test_log_levels(capsys):
    logger = logging.getLogger("interestlab.test")
    for args, levels in (([], "iw"), (["-v"], "diw"), (["--log_level=warning"], "w"), (["--log_level", "error"], "")):
        main(["plugins", *args])
        capsys.readouterr()
        logger.debug("d"), logger.info("i"), logger.warning("w")
        assert capsys.readouterr().err == "".join(f"{level}\n" for level in levels)
    with pytest.raises(SystemExit) as exit_info:
        main(["plugins", "--log_level=loud"])
    assert exit_info.value.code == 2
    assert "debug, info, warning, error" in capsys.readouterr().err


def test_describe_and_prepare(capsys, tmp_path):
    shop = ["--data.source=simulated", "--data.source.users=30", "--data.source.items=40"]
    main(["data", "prepare", *shop])
    store = capsys.readouterr().out
    main(["data", "describe", *shop])
    out = capsys.readouterr().out
    assert out.splitlines()[0] == store.splitlines()[0]
    assert "events per user" in out
    assert "warning" in out


def test_describe_warns_that_nobody_is_tested(capsys, tmp_path):
    log = tmp_path / "events.csv"
    log.write_text("user_id,item_id,timestamp\nann,lamp,1700000000\nann,rug,1700086400\n")
    main(["data", "describe", "--data.source=files", f"--data.source.interactions={log}"])
    out = " ".join(capsys.readouterr().out.split())
    assert "warning: no user has an event for the test with split=leave_one_out." in out
    assert "standard error" not in out


def test_describe_reads_only_the_data_of_a_config(capsys):
    main(["data", "describe", f"--config={ROOT / 'configs' / 'quickstart.yaml'}"])
    assert "simulated" in capsys.readouterr().out


@pytest.mark.parametrize("args", [["--data.source=files", "--data.source.interactions=no.csv"], ["--config=no.yaml"]])
def test_unreadable_input_is_reported_in_one_line(capsys, args):
    with pytest.raises(SystemExit) as exit_info:
        main(["data", "describe", *args])
    assert exit_info.value.code == 2
    err = capsys.readouterr().err
    assert "no.csv" in err or "no.yaml" in err


def test_every_config_is_found():
    assert len(CONFIGS) == 44
    assert len(SWEEPS) == 11
    assert len(DRIFT) == 2


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_shipped_config_is_parsed_by_the_command_line(config, capsys):
    part = config.parent.name
    rest = {"encoder": "--model.encoder=id", "dynamics": "--model.dynamics=ewma", "objective": "--model.objective=next_item"}
    if part == "configs":
        args = [f"--config={config}", "--data.source=simulated"]
    else:
        slot = "--data" if part == "data" else f"--model.{part}"
        args = [
            *(v for k, v in rest.items() if k != part),
            *(["--data.source=simulated"] if part != "data" else []),
            f"{slot}={config}",
        ]
    with pytest.raises(SystemExit) as exit_info:
        main(["fit", *args, "--print_config"])
    assert exit_info.value.code == 0
    assert "class_path" in capsys.readouterr().out


@pytest.mark.parametrize(
    "file", [pytest.param(f, marks=[pytest.mark.slow] * (f.stem != "finetuning"), id=f.name) for f in SWEEPS]
)
def test_every_shipped_sweep_is_valid(file, capsys):
    main(["sweep", str(file), "--dry_run", "--set", "data.source=simulated"])
    assert "missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "missing"), [("fit", "--data.source"), *((name, "--run_dir=DIR") for name in ("validate", "test", "predict"))]
)
def test_a_command_without_options_names_the_missing_ones(command, missing, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main([command])
    assert exit_info.value.code == 2
    assert missing in capsys.readouterr().err
