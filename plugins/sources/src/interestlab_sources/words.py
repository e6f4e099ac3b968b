"""Vocabulary of the simulated shop, in English and Chinese."""

from importlib.resources import files
from typing import Any, NamedTuple

import yaml


class Words(NamedTuple):
    """A category in one language.

    Attributes:
        brands: brand names.
        traits: adjectives in front of a noun.
        praise: remarks in positive reviews.
        blame: remarks in negative reviews.
        nouns: products of each leaf, in the order of :attr:`Category.leaves`.
    """

    brands: list[str]
    traits: list[str]
    praise: list[str]
    blame: list[str]
    nouns: list[list[str]]


class Category(NamedTuple):
    """A category, its subcategories (leaves), and its words in both languages."""

    name: str
    leaves: list[str]
    english: Words
    chinese: Words


def _category(name: str, leaves: list[str], english: dict[str, Any], chinese: dict[str, Any]) -> Category:
    return Category(name, leaves, Words(**english), Words(**chinese))


CATEGORIES = [_category(**entry) for entry in yaml.safe_load((files(__package__) / "words.yaml").read_text("utf-8"))]

LEAVES = 4
"""Subcategories of each category."""
