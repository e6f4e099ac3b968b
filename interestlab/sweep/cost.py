"""What quality costs: one number for three costs, and who is on the front."""

from collections.abc import Mapping, Sequence

TPME_WEIGHTS = {"seconds_per_epoch": 0.45, "trainable_parameters": 0.1, "peak_memory_mb": 0.45}
"""The weights of the paper's authors, who care for training speed and memory most."""


def tpme(costs: Sequence[Mapping[str, float]]) -> list[float | None]:
    """Training-time, parameter and memory efficiency, from 0 (cheapest in all three) to 1: lower is better.

    ``TPME_i = Σ_c α_c (c_i - min c) / (max c - min c)`` over the three costs c of :data:`TPME_WEIGHTS`; a cost that all
    have alike counts 0 (Fu et al., IISAN, SIGIR 2024, arXiv 2404.02059). Minimum and maximum are of the set that is
    compared: with another model in it, every value changes.

    Returns:
        one value each; None where one of the three costs is not known, which also leaves that model out of the set.
    """
    known = [c for c in costs if c.keys() >= TPME_WEIGHTS.keys()]
    if not known:
        return [None] * len(costs)
    least = {name: min(c[name] for c in known) for name in TPME_WEIGHTS}
    range_ = {name: max(c[name] for c in known) - least[name] for name in TPME_WEIGHTS}
    return [
        sum(weight * (c[name] - least[name]) / (range_[name] or 1) for name, weight in TPME_WEIGHTS.items())
        if c.keys() >= TPME_WEIGHTS.keys()
        else None
        for c in costs
    ]


def front(quality: Sequence[float], cost: Sequence[float]) -> list[bool]:
    """Whether each is on the Pareto front: no other is at least as good and at least as cheap, and better in one."""
    points = list(zip(quality, cost, strict=True))
    return [not any(q >= mine and c <= paid and (q, c) != (mine, paid) for q, c in points) for mine, paid in points]
