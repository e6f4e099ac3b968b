"""Quality against cost: TPME, which combines three costs in one number, and the Pareto front."""

from collections.abc import Mapping, Sequence

TPME_WEIGHTS = {"seconds_per_epoch": 0.45, "trainable_parameters": 0.1, "peak_memory_mb": 0.45}
"""The weights of the paper's authors, who value training speed and memory most."""


def tpme(costs: Sequence[Mapping[str, float]]) -> list[float | None]:
    """Compute training-time, parameter and memory efficiency; lower is better, 0 is the cheapest in all three costs.

    ``TPME_i = Σ_c α_c (c_i - min c) / (max c - min c)`` over the three costs c of :data:`TPME_WEIGHTS`; a cost that is the
    same for all counts 0 (Fu et al., IISAN, SIGIR 2024, arXiv 2404.02059). Minimum and maximum are those of the compared set:
    adding a model to it can change every value.

    Args:
        costs: cost of each model, by name.

    Returns:
        One value per model, 0 to 1; None if one of the three costs is unknown, which also removes the model from the set.
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


def pareto_front(quality: Sequence[float], cost: Sequence[float]) -> list[bool]:
    """Return which points are on the Pareto front: no other is at least as good and as cheap, and strictly better in one.

    Args:
        quality: quality of each point, higher is better.
        cost: cost of each point, lower is better.

    Returns:
        One boolean per point.
    """
    points = list(zip(quality, cost, strict=True))
    return [not any(q >= own and c <= paid and (q, c) != (own, paid) for q, c in points) for own, paid in points]
