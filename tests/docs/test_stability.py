"""Each public name of the contract has a level, and the page of the contract shows it."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEVEL = re.compile(r"^Stability: (stable|provisional|internal)\.$", re.MULTILINE)


def names(module):
    """Public names that a module makes or hands on: its ``__all__``, else what is defined in it."""
    held = importlib.import_module(module)
    own = [n for n, v in vars(held).items() if not n.startswith("_") and getattr(v, "__module__", None) == module]
    return {name: getattr(held, name) for name in getattr(held, "__all__", own)}


PUBLIC = [
    (m, n)
    for m in ("interestlab.contract", "interestlab.batch", "interestlab.step", "interestlab.errors", "interestlab.testing")
    for n in names(m)
]


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_every_public_name_has_a_level(module, name):
    value = names(module)[name]
    assert len(LEVEL.findall(inspect.cleandoc(value.__doc__))) == 1


def test_the_state_has_one_too():
    assert LEVEL.search((ROOT / "interestlab" / "contract.py").read_text("utf-8").partition("State = Any")[2][:300])


def test_the_page_says_what_each_level_promises():
    page = (ROOT / "docs" / "stability.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == {"stable", "provisional", "internal"}
