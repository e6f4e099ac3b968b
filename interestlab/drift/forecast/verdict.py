"""Decide which dynamics are drift-aware, by a rule applied to the table of a forecast."""

import polars as pl

from interestlab.drift.forecast.bench import FROZEN, RANDOM_ENCODER, SHUFFLED_LABELS, SHUFFLED_ORDER
from interestlab.stats.intervals import t_interval

SEEDS = 3
"""Smallest number of seeds per dynamics."""

BEATS = {
    ("", "gain_persistence"): "beats persistence",
    ("", "gain_ewma"): "beats the EWMA",
    (SHUFFLED_ORDER, "loss_added"): "needs the order of the events",
    (RANDOM_ENCODER, "loss_added"): "needs what the encoder knows",
    (FROZEN, "loss_added"): "needs the events after the training cut",
}
"""Differences that must be positive, by control and metric, and the criterion that each decides."""

SCHEMA = {"dynamics": pl.String(), "criterion": pl.String(), "passed": pl.Boolean(), "reason": pl.String()}


def verdict(table: pl.DataFrame) -> pl.DataFrame:
    """Decide which dynamics are drift-aware: they beat persistence and EWMA and pass all controls on three or more seeds.

    A difference counts if two 95% intervals are above 0: the bootstrap interval over users of its mean over the seeds, and
    Student's interval over the seeds. With shuffled labels, the gain over the model's own mean forecast must not be positive
    by that rule; otherwise information leaks.

    Args:
        table: result of :func:`interestlab.drift.forecast.forecast`.

    Returns:
        For each dynamics the criteria and, last, ``drift-aware``: ``dynamics``, ``criterion``, ``passed``, ``reason``.
    """
    rows: list[tuple[str, str, bool, str]] = []
    for name in table["dynamics"].drop_nulls().unique(maintain_order=True):
        own = table.filter(pl.col("dynamics") == name, pl.col("forecaster") == "model", pl.col("horizon") == 1)
        seeds = own.filter(pl.col("run").is_not_null())["seed"].n_unique()
        criteria = [("three seeds", seeds >= SEEDS, f"{seeds} of at least {SEEDS} seeds")]
        for (control, metric), criterion in BEATS.items():
            criteria.append((criterion, *is_positive(own, control, metric)))
        leaks, reason = is_positive(own, SHUFFLED_LABELS, "gain_own_mean")
        missing = reason == MISSING
        criteria.append(("shuffled labels give no gain", not leaks and not missing, reason))
        failed = [criterion for criterion, passed, _ in criteria if not passed]
        criteria.append(("drift-aware", not failed, f"fails: {', '.join(failed)}" if failed else "passes every criterion"))
        rows += [(name, *criterion) for criterion in criteria]
    return pl.DataFrame(rows, SCHEMA, orient="row")


MISSING = "was not measured"


def is_positive(own: pl.DataFrame, control: str, metric: str) -> tuple[bool, str]:
    """Test whether a difference is positive over users and over seeds.

    Args:
        own: rows of one dynamics.
        control: control of the rows to test.
        metric: metric of the rows to test.

    Returns:
        Whether it is positive, and a sentence with the estimate and its intervals.
    """
    rows = own.filter(pl.col("control") == control, pl.col("metric") == metric)
    each = rows.filter(pl.col("run").is_not_null()).unique("seed", maintain_order=True)["value"].drop_nulls().to_list()
    mean = rows.filter(pl.col("run").is_null())
    if not each:
        return False, MISSING
    if len(each) < 2 or not mean.height:
        return False, f"{each[0]:+.4f} nats, from one seed"
    estimate, (low, high) = t_interval(each), mean.select("low", "high").row(0)
    assert estimate.half_width is not None
    reason = f"{estimate.mean:+.4f} nats; over users {low:+.4f} to {high:+.4f}, over seeds ± {estimate.half_width:.4f}"
    return low > 0 and estimate.mean > estimate.half_width, reason
