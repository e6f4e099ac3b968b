"""Run the commands and code of the tutorial in order: in this process, and in a fresh environment."""

import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from interestlab.cli.main import main
from interestlab.registry import REGISTRIES

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(?:\{code-block\} )?(sh|python|toml)\n(?::caption: (\S+)\n\n)?(.*?)^```$", re.DOTALL | re.MULTILINE)
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]


def steps():
    """Yield ``(language, file, text)`` of each code block; a shell block gives one item per command."""
    for language, file, text in BLOCK.findall(TUTORIAL.read_text("utf-8")):
        if language == "sh":
            for command in text.replace("\\\n", " ").splitlines():
                yield "sh", "", command
        else:
            yield language, file, text


def install_editable(folder: Path, site: Path) -> None:
    """Write the metadata of a package and add its source to the path, like ``pip install -e``."""
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in names.items())])
        for group, names in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n\n".join(groups))
    for path in (site, folder / "src"):
        sys.path.insert(0, str(path))


@pytest.fixture
def reset(tmp_path, monkeypatch):
    """Return a function that discards the list of plugins and the modules of the package, which change between steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERESTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))

    def discard():
        for registry in REGISTRIES.values():
            vars(registry).pop("_claims", None)
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
                del sys.modules[name]

    yield discard
    discard()


@pytest.mark.slow
def test_tutorial_runs_in_this_process(reset, tmp_path, capsys, monkeypatch):
    commands = []
    for language, file, text in steps():
        reset()
        if language == "toml":
            assert text in Path("half_life/pyproject.toml").read_text("utf-8")
        elif file:
            assert Path(file).exists()
            Path(file).write_text(text, "utf-8")
        elif language == "python":
            exec(text, {})
        else:
            words = shlex.split(text)
            variables = [words.pop(0) for word in list(words) if re.match("[A-Z_]+=", word)]
            commands.append(words[0:3])
            if words[0] == "pip":
                install_editable(tmp_path / "half_life", tmp_path / "site")
            elif words[0] == "pytest":
                assert pytest.main([*words[1:], "--capture=no", "--import-mode=importlib", "-p", "no:cacheprovider"]) == 0
            else:
                assert words[0] == "interestlab"
                with monkeypatch.context() as context:
                    for pair in variables:
                        context.setenv(*pair.split("=", 1))
                    main([*words[1:], *(QUIET if words[1] in ("fit", "test") else [])])
    out = capsys.readouterr().out
    assert "interestlab.dynamics.half_life" in out
    assert re.search(r"half-lives: 1[34]\.\d\d to 1[45]\.\d\d days", out)
    assert out.splitlines()[-1].startswith("INTERESTLAB_PLUGINS limits plugins to those of half-life, interestlab-encoders.")
    assert len(commands) == 9


@pytest.mark.slow
def test_tutorial_runs_in_a_fresh_environment(environment, tmp_path):
    for language, file, text in steps():
        if file:
            (tmp_path / file).write_text(text, "utf-8")
        elif language == "python":
            environment(["python", "-c", text], tmp_path)
        elif language == "sh":
            environment(shlex.split(text), tmp_path)


def test_the_deprecation_example_warns():
    (example,) = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs" / "stability.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    names = {}
    exec(example, names)
    with pytest.warns(DeprecationWarning, match=r"renamed to cell in 0\.2"):
        assert names["unit"](3) == 3
