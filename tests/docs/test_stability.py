"""Each public name of the contract has a stability level."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEVEL = re.compile(r"^Stability: (stable|provisional|internal)\.$", re.MULTILINE)


def names(module):
    """Return the public names of a module: its ``__all__``, else all names defined in it."""
    namespace = importlib.import_module(module)
    own = [n for n, v in vars(namespace).items() if not n.startswith("_") and getattr(v, "__module__", None) == module]
    return {name: getattr(namespace, name) for name in getattr(namespace, "__all__", own)}


PUBLIC = [
    (m, n)
    for m in ("interestlab.contract", "interestlab.batch", "interestlab.step", "interestlab.errors", "interestlab.testing")
    for n in names(m)
]


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_every_public_name_has_a_stability_level(module, name):
    value = names(module)[name]
    assert len(LEVEL.findall(inspect.cleandoc(value.__doc__))) == 1


def test_state_has_a_stability_level():
    assert LEVEL.search((ROOT / "interestlab" / "contract.py").read_text("utf-8").partition("State = Any")[2][:300])


def test_the_stability_page_defines_each_level():
    page = (ROOT / "docs" / "stability.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == {"stable", "provisional", "internal"}
