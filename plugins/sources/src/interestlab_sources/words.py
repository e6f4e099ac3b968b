"""The vocabulary of the simulated shop, in English and Chinese."""

from importlib.resources import files
from typing import Any, NamedTuple

import yaml


class Words(NamedTuple):
    """A category in one language.

    Attributes:
        brands: makers.
        traits: adjectives before a noun.
        praise: what a happy reviewer says of such a thing.
        blame: what an unhappy one says.
        nouns: things of each leaf, in the order of :attr:`Category.leaves`.
    """

    brands: list[str]
    traits: list[str]
    praise: list[str]
    blame: list[str]
    nouns: list[list[str]]


class Category(NamedTuple):
    """A category of the shop, its subcategories, and the words of both languages."""

    name: str
    leaves: list[str]
    english: Words
    chinese: Words


def _category(name: str, leaves: list[str], english: dict[str, Any], chinese: dict[str, Any]) -> Category:
    return Category(name, leaves, Words(**english), Words(**chinese))


CATEGORIES = [_category(**told) for told in yaml.safe_load((files(__package__) / "words.yaml").read_text("utf-8"))]

LEAVES = 4
"""Subcategories of each category."""
