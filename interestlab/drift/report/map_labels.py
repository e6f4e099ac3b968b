"""Place the names on the map so that they overlap as little as possible."""

from collections.abc import Sequence

SIDES = {"middle right": (1, 0), "middle left": (-1, 0), "top center": (0, 1), "bottom center": (0, -1)}
"""Plotly's text positions, and the direction from the point."""

LETTER, LINE, POINT = 0.0105, 0.04, 0.015
"""Width of a letter, height of a line and radius of a point, as shares of the figure."""

Box = tuple[float, float, float, float]
"""Left, bottom, right and top."""


def place_labels(points: Sequence[tuple[float, float]], names: Sequence[str]) -> list[str]:
    """Choose the side of each point for its name, one after the other: the side with the smallest overlap.

    Args:
        points: ``[n]`` coordinates in any unit.
        names: ``[n]`` names as written.

    Returns:
        ``[n]`` keys of :data:`SIDES`.
    """
    low = [min(point[axis] for point in points) for axis in (0, 1)] if points else [0, 0]
    extent = [max(1e-9, max(point[axis] for point in points) - low[axis]) for axis in (0, 1)] if points else [1, 1]
    unit = [tuple((point[axis] - low[axis]) / extent[axis] for axis in (0, 1)) for point in points]
    taken = [(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in unit]
    out = []
    for (x, y), name in zip(unit, names, strict=True):
        width = LETTER * len(name)
        boxes = {}
        for side, (dx, dy) in SIDES.items():
            left = x + dx * POINT * 1.5 - (0 if dx > 0 else width if dx < 0 else width / 2)
            bottom = y + dy * LINE - LINE / 2
            boxes[side] = (left, bottom, left + width, bottom + LINE)
        best = min(SIDES, key=lambda side: sum(overlap(boxes[side], other) for other in taken) + area_outside(boxes[side]))
        taken.append(boxes[best])
        out.append(best)
    return out


def overlap(one: Box, other: Box) -> float:
    """Compute the area that two boxes share.

    Args:
        one: a box.
        other: another box.

    Returns:
        Area.
    """
    width, height = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def area_outside(box: Box, margin: float = 0.08) -> float:
    """Compute the area of a box that lies outside the figure.

    Args:
        box: a box.
        margin: margin of the figure around the unit square.

    Returns:
        Area.
    """
    area = (box[2] - box[0]) * (box[3] - box[1])
    return area - overlap(box, (-margin, -margin, 1 + margin, 1 + margin))
