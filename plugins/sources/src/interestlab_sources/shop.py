"""The simulated shop: items with texts, popularity and companion items."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from interestlab_sources.words import CATEGORIES, LEAVES

Ints = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Bools = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass(frozen=True)
class Shop:
    """The items, ordered by leaf.

    Attributes:
        frame: ``item_id``, ``title``, ``description``, ``brand``, ``category``, ``price``.
        leaf: ``[I]`` leaf of each item; leaf ``l`` belongs to category ``l // LEAVES``.
        noun: ``[I]`` index of its noun among those of the leaf.
        companion: ``[I]`` the item of the same leaf that users often view next.
        cumulative: ``[I]`` cumulative popularity, Zipf within each leaf; leaf ``l`` spans ``(l, l + 1]``.
    """

    frame: pl.DataFrame
    leaf: Ints
    noun: Ints
    companion: Ints
    cumulative: Floats

    def sample_items(self, leaf: Ints, uniform: Floats) -> Ints:
        """Sample an item of each given leaf by popularity.

        Args:
            leaf: ``[n]`` leaves.
            uniform: ``[n]`` uniform random numbers in [0, 1).

        Returns:
            ``[n]`` items.
        """
        last = np.searchsorted(self.leaf, leaf, side="right") - 1
        return np.minimum(np.searchsorted(self.cumulative, leaf + uniform, side="right"), last)


def open_shop(rng: np.random.Generator, items: int, categories: int, chinese: float) -> Shop:
    """Create a shop.

    Args:
        rng: random generator.
        items: number of items.
        categories: number of categories, the first of the vocabulary.
        chinese: share of items with Chinese titles.
    """
    leaves = categories * LEAVES
    leaf = np.sort(np.arange(items) % leaves)
    noun, companion = np.zeros_like(leaf), np.zeros_like(leaf)
    weight = np.zeros(items)
    rows: list[dict[str, object]] = []
    in_chinese = rng.random(items) < chinese
    for index in range(leaves):
        members = np.flatnonzero(leaf == index)
        popularity = 1 / rng.permutation(np.arange(1, members.size + 1))
        weight[members] = popularity / popularity.sum()
        ring = rng.permutation(members)
        companion[ring] = np.roll(ring, 1)
        combinations = rng.permutation(4 * 5 * 4)  # brands, traits, nouns: titles are distinct until all are used
        for position, item in enumerate(members):
            again, which = divmod(position, combinations.size)
            brand, rest = divmod(int(combinations[which]), 5 * 4)
            trait, noun[item] = divmod(rest, 4)
            row = _item(index, bool(in_chinese[item]), brand, trait, int(noun[item]), again)
            price = round(float(np.exp(rng.normal(3.2 + 0.1 * (index % 7), 0.6))), 2)
            rows.append({"item_id": f"i{item + 1:05}", **row, "price": price})
    frame = pl.DataFrame(rows, schema_overrides={"price": pl.Float32})
    return Shop(frame, leaf, noun, companion, np.cumsum(weight))


def leaf_path(leaf: int) -> str:
    """Return ``category > leaf``, as in the column ``category`` of the items.

    Args:
        leaf: its index.
    """
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
    return " ".join(word[:1].upper() + word[1:] for word in words.split())  # str.title() would change GPS to Gps
