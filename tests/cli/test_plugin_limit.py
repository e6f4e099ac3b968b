"""How the commands report ``INTERESTLAB_PLUGINS``."""

import pytest

from interestlab.cli.main import main
from interestlab.registry import REGISTRIES


@pytest.fixture(autouse=True)
def limit(monkeypatch):
    """Limit plugins to the dynamics, as in a process that starts with this variable."""
    monkeypatch.setenv("INTERESTLAB_PLUGINS", "interestlab_dynamics,nowhere")
    clear_plugin_lists()
    yield
    clear_plugin_lists()


def clear_plugin_lists():
    for registry in REGISTRIES.values():
        vars(registry).pop("_claims", None)


NOTE = "INTERESTLAB_PLUGINS limits plugins to those of interestlab-dynamics, nowhere, of which nowhere is not installed."


def test_plugin_list_reports_the_limit(capsys):
    main(["plugins"])
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[2] for line in lines[1:-2]} == {"interestlab-dynamics"}
    assert lines[-2:] == ["", NOTE]


def test_doctor_reports_the_limit(capsys):
    main(["doctor"])
    out = capsys.readouterr().out
    assert "all import" in out
    assert NOTE in out


@pytest.mark.parametrize(
    "command",
    [
        ["plugins", "show", "concat"],
        ["plugins", "check", "concat"],
        ["fit", "--model.encoder=id", "--model.dynamics=ewma", "--model.objective=next_item", "--data.source=simulated"],
    ],
)
def test_error_about_a_hidden_plugin_reports_the_limit(capsys, command):
    with pytest.raises(SystemExit) as exit_info:
        main(command)
    err = capsys.readouterr().err
    assert exit_info.value.code == 2
    assert NOTE in err
