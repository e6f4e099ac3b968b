"""Groups of users by how often their target occurs in training: cold, rare and frequent targets."""

import math
from collections.abc import Mapping

import numpy as np

TARGET_GROUPS: Mapping[str, tuple[int, float]] = {"cold": (0, 0), "rare": (1, 3), "frequent": (4, math.inf)}
"""By name, the smallest and the largest number of training events of the target. Every number is in exactly one group."""


def group_masks(target_counts: np.ndarray) -> dict[str, np.ndarray]:
    """Assign users to the groups.

    Args:
        target_counts: ``[users]`` number of training events of each user's target.

    Returns:
        Name of the group -> ``[users]`` bool.
    """
    return {name: (target_counts >= low) & (target_counts <= high) for name, (low, high) in TARGET_GROUPS.items()}


def split_by_group(values: Mapping[str, np.ndarray], target_counts: np.ndarray) -> dict[str, np.ndarray]:
    """Select the metrics of the users of each group.

    Args:
        values: metric name -> ``[users]``.
        target_counts: ``[users]`` number of training events of each user's target.

    Returns:
        ``GROUP/METRIC`` -> values of the users of that group; a group without users is left out.
    """
    masks = group_masks(target_counts)
    return {f"{group}/{name}": v[mask] for group, mask in masks.items() if mask.any() for name, v in values.items()}


def describe_group(name: str) -> str:
    """Describe a group for a table.

    Args:
        name: one of :data:`TARGET_GROUPS`.

    Returns:
        For instance ``rare: 1–3``.
    """
    low, high = TARGET_GROUPS[name]
    return f"{name}: {low}{'' if low == high else '+' if high == math.inf else f'–{high}'}"
