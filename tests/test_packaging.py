"""The six distributions agree on version, licence and metadata."""

import tomllib
from pathlib import Path

import pytest

import interestlab

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(ROOT.glob("plugins/*/pyproject.toml"))


def project(file: Path) -> dict:
    return tomllib.loads(file.read_text("utf-8"))["project"]


def test_there_are_five_plugin_distributions():
    assert [file.parent.name for file in PLUGINS] == ["dynamics", "encoders", "fusion", "objectives", "sources"]


@pytest.mark.parametrize("file", PLUGINS, ids=lambda file: file.parent.name)
def test_a_plugin_has_the_version_and_licence_of_the_core(file):
    plugin, core = project(file), project(ROOT / "pyproject.toml")
    assert plugin["version"] == interestlab.__version__
    for key in ("license", "license-files", "authors", "classifiers", "requires-python"):
        assert plugin[key] == core[key], key
    assert plugin["urls"].keys() == core["urls"].keys()
    assert (file.parent / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("file", PLUGINS, ids=lambda file: file.parent.name)
def test_a_plugin_needs_this_series_of_the_core(file):
    major, minor = map(int, interestlab.__version__.split(".")[:2])
    assert f"interestlab>={major}.{minor},<{major}.{minor + 1}" in project(file)["dependencies"]


def test_the_extra_all_brings_every_plugin():
    extras = project(ROOT / "pyproject.toml")["optional-dependencies"]
    assert sorted(extras["parts"]) == [project(file)["name"] for file in PLUGINS]
    assert "parts" in extras["all"][0]
