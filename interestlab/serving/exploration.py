"""Insert random items into lists, with the probability of each choice, for off-policy evaluation."""

import random
from collections.abc import Callable

from interestlab.serving.index import Ranked


def explore(
    ranked: Ranked, k: int, share: float, draw: Callable[[], int], eligible: int, source: random.Random
) -> list[tuple[int, float]]:
    """Choose a list place by place, and return each item with the probability that it was chosen, given those before it.

    In each place stands, with probability ``share``, an item that is drawn uniformly from the eligible items that are not in
    the list yet; otherwise the best of these. So the probability of the best is ``1 - share + share / n`` with n such
    items, and that of any other ``share / n``.

    Args:
        ranked: the best items, at least ``k`` if there are so many eligible ones.
        k: number of places.
        share: probability of a random item in a place.
        draw: returns an eligible item, each with the same probability.
        eligible: number of eligible items.
        source: source of randomness.
    """
    chosen: dict[int, float] = {}
    for _ in range(min(k, eligible)):
        left = eligible - len(chosen)
        best = next(position for position, _ in ranked if position not in chosen)
        position = best
        if share and source.random() < share:
            position = draw()
            while position in chosen:
                position = draw()
        chosen[position] = (1 - share) * (position == best) + share / left
    return list(chosen.items())


def uniform_draw(size: int, is_excluded: Callable[[int], bool], source: random.Random) -> Callable[[], int]:
    """Return a function that draws an item which is not excluded.

    Args:
        size: number of items.
        is_excluded: whether an item is excluded.
        source: source of randomness.
    """

    def draw() -> int:
        while True:
            position = source.randrange(size)
            if not is_excluded(position):
                return position

    return draw
