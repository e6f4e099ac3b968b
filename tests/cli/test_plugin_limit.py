"""``INTERESTLAB_PLUGINS``, as the commands tell of it."""

import pytest

from interestlab.cli.main import main
from interestlab.registry import REGISTRIES


@pytest.fixture(autouse=True)
def limit(monkeypatch):
    """Only the dynamics, as a process sees it that begins now."""
    monkeypatch.setenv("INTERESTLAB_PLUGINS", "interestlab_dynamics,nowhere")
    forget()
    yield
    forget()


def forget():
    for registry in REGISTRIES.values():
        vars(registry).pop("_claims", None)


NOTE = "INTERESTLAB_PLUGINS limits plugins to those of interestlab-dynamics, nowhere, of which nowhere is not installed."


def test_the_list_says_so(capsys):
    main(["plugins"])
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[2] for line in lines[1:-2]} == {"interestlab-dynamics"}
    assert lines[-2:] == ["", NOTE]


def test_doctor_says_so(capsys):
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
def test_where_a_plugin_is_hidden_the_error_says_why(capsys, command):
    with pytest.raises(SystemExit) as done:
        main(command)
    err = capsys.readouterr().err
    assert done.value.code == 2
    assert NOTE in err
