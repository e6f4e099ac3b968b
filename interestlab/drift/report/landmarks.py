"""Where on the map a landmark's name stands, so that names cover each other least."""

from collections.abc import Sequence

SIDES = {"middle right": (1, 0), "middle left": (-1, 0), "top center": (0, 1), "bottom center": (0, -1)}
LETTER, LINE = 0.0105, 0.04
"""Width of a letter and height of a line, in parts of the figure."""


def sides(points: Sequence[tuple[float, float]], names: Sequence[str]) -> list[str]:
    """A side of :data:`SIDES` for each name, chosen one after the other: the first that covers least.

    Args:
        points: ``[n]`` places, in any unit.
        names: ``[n]`` as written.
    """
    low = [min(point[axis] for point in points) for axis in (0, 1)] if points else [0, 0]
    span = [max(1e-9, max(point[axis] for point in points) - low[axis]) for axis in (0, 1)] if points else [1, 1]
    unit = [tuple((point[axis] - low[axis]) / span[axis] for axis in (0, 1)) for point in points]
    spot = 0.015
    taken = [(x - spot, y - spot, x + spot, y + spot) for x, y in unit]
    out = []
    for (x, y), name in zip(unit, names, strict=True):
        wide = LETTER * len(name)
        boxes = {}
        for side, (dx, dy) in SIDES.items():
            left = x + dx * spot * 1.5 - (0 if dx > 0 else wide if dx < 0 else wide / 2)
            foot = y + dy * LINE - LINE / 2
            boxes[side] = (left, foot, left + wide, foot + LINE)
        best = min(SIDES, key=lambda side: sum(covered(boxes[side], other) for other in taken) + outside(boxes[side]))
        taken.append(boxes[best])
        out.append(best)
    return out


Box = tuple[float, float, float, float]


def covered(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    wide, high = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, high)


def outside(box: Box, margin: float = 0.08) -> float:
    """How much of a box the figure would cut."""
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return whole - covered(box, (-margin, -margin, 1 + margin, 1 + margin))
