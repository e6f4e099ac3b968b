"""The simulated shop: items with words, popularity and companions."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from interestlab_sources.words import CATEGORIES, LEAVES

Ints = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Bools = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass(frozen=True)
class Shop:
    """The items, in the order of their leaves.

    Attributes:
        frame: ``item_id``, ``title``, ``description``, ``brand``, ``category``, ``price``.
        leaf: ``[I]`` leaf of each item; leaf ``l`` belongs to category ``l // LEAVES``.
        noun: ``[I]`` which of its leaf's nouns it is.
        companion: ``[I]`` the item of the same leaf that goes with it: what is looked at next.
        reach: ``[I]`` cumulative popularity, leaf ``l`` spanning ``(l, l + 1]``: Zipf within the leaf.
    """

    frame: pl.DataFrame
    leaf: Ints
    noun: Ints
    companion: Ints
    reach: Floats

    def draw(self, leaf: Ints, u: Floats) -> Ints:
        """An item of each of ``leaf`` by popularity, from ``u`` uniform in [0, 1)."""
        last = np.searchsorted(self.leaf, leaf, side="right") - 1
        return np.minimum(np.searchsorted(self.reach, leaf + u, side="right"), last)


def open_shop(rng: np.random.Generator, items: int, categories: int, chinese: float) -> Shop:
    """A shop of ``items`` items over the leaves of the first ``categories``, a share of them titled in Chinese."""
    leaves = categories * LEAVES
    leaf = np.sort(np.arange(items) % leaves)
    noun, companion = np.zeros_like(leaf), np.zeros_like(leaf)
    weight = np.zeros(items)
    rows: list[dict[str, object]] = []
    spoken = rng.random(items) < chinese
    for index in range(leaves):
        here = np.flatnonzero(leaf == index)
        popularity = 1 / rng.permutation(np.arange(1, here.size + 1))
        weight[here] = popularity / popularity.sum()
        ring = rng.permutation(here)
        companion[ring] = np.roll(ring, 1)
        combinations = rng.permutation(4 * 5 * 4)  # brands, traits, nouns: titles differ until all are used
        for place, item in enumerate(here):
            again, which = divmod(place, combinations.size)
            brand, rest = divmod(int(combinations[which]), 5 * 4)
            trait, noun[item] = divmod(rest, 4)
            row = _item(index, bool(spoken[item]), brand, trait, int(noun[item]), again)
            price = round(float(np.exp(rng.normal(3.2 + 0.1 * (index % 7), 0.6))), 2)
            rows.append({"item_id": f"i{item + 1:05}", **row, "price": price})
    frame = pl.DataFrame(rows, schema_overrides={"price": pl.Float32})
    return Shop(frame, leaf, noun, companion, np.cumsum(weight))


def leaf_path(leaf: int) -> str:
    """``category > leaf``, as in the items' column ``category``."""
    category = CATEGORIES[leaf // LEAVES]
    return f"{category.name} > {category.leaves[leaf % LEAVES]}"


def _item(leaf: int, chinese: bool, brand: int, trait: int, noun: int, again: int) -> dict[str, str]:
    category = CATEGORIES[leaf // LEAVES]
    words = category.chinese if chinese else category.english
    thing, maker, quality = words.nouns[leaf % LEAVES][noun], words.brands[brand], words.traits[trait]
    praise = words.praise[(brand + trait) % len(words.praise)]
    if chinese:
        title, description = f"{maker}{quality}{thing}", f"{quality}{thing}，{praise}。"
        edition = f" 第{again + 1}代"
    else:
        title, description = f"{maker} {_titled(quality)} {_titled(thing)}", f"{quality.capitalize()} {thing}: {praise}."
        edition = f" Mark {again + 1}"
    return {
        "title": title + (edition if again else ""),
        "description": description,
        "brand": maker,
        "category": leaf_path(leaf),
    }


def _titled(words: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in words.split())  # title() would make a GPS a Gps
