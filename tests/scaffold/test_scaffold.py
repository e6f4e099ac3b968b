"""The packages of ``interestlab plugins new``: they pass their own tests and their metadata is correct."""

import ast
import os
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from interestlab import scaffold
from interestlab.cli.main import main
from interestlab.config.import_policy import ALLOW
from interestlab.errors import PluginError

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
WORDS = [kind.word for kind in scaffold.KINDS]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Write one package per kind, ``my_encoder`` and so on."""
    out = tmp_path_factory.mktemp("packages")
    for word in WORDS:
        scaffold.write(word, f"my_{word}", out)
    return out


def read_files(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text("utf-8") for file in folder.rglob("*") if file.is_file()}


def project(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]


def run(*command: str, cwd: Path, **environment: str) -> None:
    completed = subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr


@pytest.mark.slow  # the tutorial runs the tests of a dynamics
def test_every_package_passes_its_own_tests(packages):
    sources = os.pathsep.join(str(packages / f"my_{word}" / "src") for word in WORDS)
    run("pytest", "-p", "no:cacheprovider", "-q", *(f"my_{word}/tests" for word in WORDS), cwd=packages, PYTHONPATH=sources)


@pytest.mark.parametrize("word", WORDS)
def test_every_package_passes_the_linter(packages, word):
    folder = packages / f"my_{word}"
    run("ruff", "check", "--no-cache", "--isolated", "--line-length=128", "--select=E,F,W,I,UP,B,PT,SIM,RET", ".", cwd=folder)
    run("ruff", "format", "--no-cache", "--isolated", "--line-length=128", "--check", ".", cwd=folder)
    for path, text in read_files(folder).items():
        assert not any(
            placeholder in text for placeholder in ("my_plugin", "my-plugin", "MyPlugin", "my_kind", "my_group", "MY_")
        ), path
        assert text.endswith("\n"), path


def test_a_model_of_all_packages_fits(packages, fit, monkeypatch):
    for word in WORDS:
        monkeypatch.syspath_prepend(str(packages / f"my_{word}" / "src"))
    monkeypatch.setenv(ALLOW, ",".join(f"my_{word}" for word in WORDS))
    cli = fit(
        "--model.encoder={id: id, words: my_encoder.encoder.MyEncoder}",
        "--model.fusion=my_fusion.fusion.MyFusion",
        "--model.dynamics=my_dynamics.dynamics.MyDynamics",
        "--model.objective=my_objective.objective.MyObjective",
    )
    assert type(cli.model.backbone.dynamics).__name__ == "MyDynamics"


@pytest.mark.parametrize("word", WORDS)
def test_dependencies_match_the_imports(packages, word):
    folder = packages / f"my_{word}"
    needs = project(folder)["dependencies"]
    imported = set()
    for file in folder.glob("src/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.split(".")[0] for name in names}
    named = {need.split(">")[0].split("<")[0]: need for need in needs}
    assert set(named) == imported - set(sys.stdlib_module_names)
    assert named.pop("interestlab") == "interestlab>=0.1,<0.2"
    own = {need.split(">")[0]: need for need in PYPROJECT["project"]["dependencies"]}
    for name, need in named.items():
        assert sorted(need.removeprefix(name).split(",")) == sorted(own[name].removeprefix(name).split(","))


@pytest.mark.parametrize("word", WORDS)
def test_the_entry_point_is_the_class(packages, word):
    folder = packages / f"my_{word}"
    ((group, claims),) = project(folder)["entry-points"].items()
    assert group.removeprefix("interestlab.") in {kind.registry.kind for kind in scaffold.KINDS if kind.word == word}
    module, _, name = claims[f"my_{word}"].partition(":")
    tree = ast.parse((folder / "src" / f"{module.replace('.', '/')}.py").read_text("utf-8"))
    assert [node.name for node in tree.body if isinstance(node, ast.ClassDef)] == [name]


def test_the_workflow_runs_the_tests(packages):
    workflow = yaml.safe_load((packages / "my_source" / ".github" / "workflows" / "test.yml").read_text("utf-8"))
    assert "pytest" in [step.get("run") for step in workflow["jobs"]["test"]["steps"]]


def test_every_template_is_used_and_packaged():
    templates = {file.name for file in scaffold.TEMPLATES.iterdir() if file.is_file()}
    assert templates == {name for kind in scaffold.KINDS for name in scaffold.template_paths(kind)}
    shipped = PYPROJECT["tool"]["setuptools"]["package-data"]["interestlab"]
    assert any(fnmatch("scaffold/templates/gitignore", pattern) for pattern in shipped)


@pytest.mark.parametrize(("kind", "word"), [(k.registry.kind, k.word) for k in scaffold.KINDS])
def test_plural_kinds_are_accepted(tmp_path, kind, word):
    assert (scaffold.write(kind, "some_plugin", tmp_path) / "src" / "some_plugin" / f"{word}.py").exists()


def test_a_name_that_contains_a_placeholder(tmp_path):
    text = read_files(scaffold.write("dynamics", "my_plugin_my_kind", tmp_path))["pyproject.toml"]
    assert 'my_plugin_my_kind = "my_plugin_my_kind.dynamics:MyPluginMyKind"' in text
    assert 'name = "my-plugin-my-kind"' in text


@pytest.mark.parametrize(
    ("word", "name", "message"),
    [
        ("dynamic", "mine", "'dynamic' is not a kind of plugin; the kinds are encoder, fusion, dynamics, objective, source."),
        ("dynamics", "my-dynamics", "'my-dynamics' cannot be the name of a plugin"),
        ("dynamics", "2fast", "'2fast' cannot be the name of a plugin"),
        ("dynamics", "_mine", "'_mine' cannot be the name of a plugin"),
        ("dynamics", "mine_", "'mine_' cannot be the name of a plugin"),
        ("dynamics", "兴趣", "cannot be the name of a plugin"),
        ("dynamics", "../mine", "cannot be the name of a plugin"),
        ("dynamics", "", "cannot be the name of a plugin"),
        ("dynamics", "class", "'class' is a Python keyword"),
        ("dynamics", "ewma", "interestlab.dynamics already has a plugin 'ewma'"),
        ("source", "csv", "a module 'csv' already exists"),
        ("fusion", "torch", "a module 'torch' already exists"),
        ("source", "event_log", "the class name EventLog"),
        ("encoder", "encoder", "the class name Encoder"),
        ("objective", "batch", "the class name Batch"),
        ("objective", "candidates", "the class name Candidates"),
        ("dynamics", "dynamics_tests", "the class name DynamicsTests"),
        ("source", "EVENTS", "the class name EVENTS"),
        ("source", "source_tests", "the class name SourceTests"),
    ],
)
def test_errors_in_one_line(tmp_path, capsys, word, name, message):
    with pytest.raises(SystemExit) as exit_info:
        main(["plugins", "new", word, name, "--out", str(tmp_path / "out")])
    out, err = capsys.readouterr()
    assert (exit_info.value.code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_not_changed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("of mine")
    with pytest.raises(PluginError, match="already exists"):
        scaffold.write("dynamics", "mine", tmp_path)
    assert read_files(tmp_path) == {"mine/notes": "of mine"}


def test_printed_commands(tmp_path, capsys):
    main(["plugins", "new", "source", "receipts_of_mine", "--out", str(tmp_path)])
    steps = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    folder = tmp_path / "receipts_of_mine"
    assert steps[:3] == [
        f"pip install -e '{folder}[test]'",
        f"pytest {folder}",
        'interestlab plugins check receipts_of_mine --init_args=\'{"path": "events.csv"}\'',
    ]
    assert all(step in (folder / "README.md").read_text("utf-8") for step in steps[2:])


def test_writing_imports_no_torch(tmp_path):
    code = (
        "import sys; from interestlab.cli.main import main;"
        f"main(['plugins', 'new', 'dynamics', 'mine', '--out', {str(tmp_path)!r}]);"
        "print([m for m in ('torch', 'polars', 'jinja2') if m in sys.modules])"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.splitlines()[-1] == "[]"
