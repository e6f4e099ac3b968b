"""Ratings and texts of the simulated reviews."""

import numpy as np

from interestlab_sources.shop import Bools, Ints, Shop
from interestlab_sources.shoppers import EVENTS
from interestlab_sources.words import CATEGORIES, LEAVES

_RATINGS = np.array([0.05, 0.07, 0.13, 0.30, 0.45])

_ENGLISH = (
    ["Not happy with this {noun}.", "I expected more from the {noun}.", "Sent the {noun} back."],
    ["Love this {noun}.", "Exactly the {noun} I was looking for.", "Second {noun} I buy here."],
)
_CHINESE = (
    ["这款{noun}不太满意。", "对{noun}有点失望。", "{noun}已经退货了。"],
    ["这款{noun}很喜欢。", "正是我想要的{noun}。", "第二次买{noun}了。"],
)


def write_reviews(
    rng: np.random.Generator, shop: Shop, item: Ints, event: Ints, chinese: Bools
) -> tuple[list[int | None], list[str | None]]:
    """Sample a rating (1 to 5) and a text for each review.

    Args:
        rng: random generator.
        shop: the items.
        item: ``[E]`` item of each event.
        event: ``[E]`` index into the event types.
        chinese: ``[E]`` whether the user writes Chinese.

    Returns:
        Ratings and texts of all events, None for those that are not reviews.
    """
    ratings: list[int | None] = [None] * item.size
    texts: list[str | None] = [None] * item.size
    reviews = np.flatnonzero(event == EVENTS.index("review"))
    stars = rng.choice(5, size=reviews.size, p=_RATINGS) + 1
    picks = rng.integers(12, size=(reviews.size, 3))  # 12 is a multiple of every list's length
    for at, rating, pick in zip(reviews, stars, picks, strict=True):
        ratings[at] = int(rating)
        texts[at] = _review(shop, int(item[at]), bool(chinese[at]), int(rating) > 3, pick)
    return ratings, texts


def _review(shop: Shop, item: int, chinese: bool, happy: bool, pick: Ints) -> str:
    category, leaf = divmod(int(shop.leaf[item]), LEAVES)
    words = CATEGORIES[category].chinese if chinese else CATEGORIES[category].english
    openings = (_CHINESE if chinese else _ENGLISH)[happy]
    remarks = words.praise if happy else words.blame
    opening: str = openings[pick[0] % len(openings)].format(noun=words.nouns[leaf][shop.noun[item]])
    chosen = list(dict.fromkeys(remarks[p % len(remarks)] for p in pick[1:]))
    return opening + ("，".join(chosen) + "。" if chinese else f" {', '.join(chosen).capitalize()}.")
