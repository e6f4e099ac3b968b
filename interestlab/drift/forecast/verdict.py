"""Decide which dynamics are drift-aware, by a rule applied to the table of a forecast."""

import polars as pl

from interestlab.drift.forecast.bench import FROZEN, RANDOM_ENCODER, SHUFFLED_LABELS, SHUFFLED_ORDER
from interestlab.stats.intervals import t_interval

SEEDS = 3
"""Smallest number of seeds: with fewer, other seeds may contradict."""

BEATS = {
    ("", "gain_persistence"): "beats persistence",
    ("", "gain_ewma"): "beats the EWMA",
    (SHUFFLED_ORDER, "loss_added"): "needs the order of the events",
    (RANDOM_ENCODER, "loss_added"): "needs what the encoder knows",
    (FROZEN, "loss_added"): "needs the events after the training cut",
}
"""Differences that must be positive, by control and metric."""

SCHEMA = {"dynamics": pl.String(), "criterion": pl.String(), "passed": pl.Boolean(), "reason": pl.String()}


def verdict(table: pl.DataFrame) -> pl.DataFrame:
    """Apply the rule: a drift-aware dynamics beats persistence and EWMA and passes the controls, over three seeds or more.

    A difference counts if neither the choice of users nor the seeds explain it: the bootstrap interval
    over users of its mean over the seeds, and Student's interval over the seeds, both lie above 0. With shuffled labels the
    gain over the model's
    own mean forecast must not be positive by that rule, else information leaks.

    Args:
        table: of :func:`interestlab.drift.forecast.forecast`.

    Returns:
        For each dynamics the criteria and, last, ``drift-aware``: ``dynamics``, ``criterion``, ``passed``, ``reason``.
    """
    rows: list[tuple[str, str, bool, str]] = []
    for name in table["dynamics"].drop_nulls().unique(maintain_order=True):
        own = table.filter(pl.col("dynamics") == name, pl.col("forecaster") == "model", pl.col("horizon") == 1)
        seeds = own.filter(pl.col("run").is_not_null())["seed"].n_unique()
        found = [("three seeds", seeds >= SEEDS, f"{seeds} of at least {SEEDS} seeds")]
        for (control, metric), criterion in BEATS.items():
            found.append((criterion, *above(own, control, metric)))
        leaks, told = above(own, SHUFFLED_LABELS, "gain_own_mean")
        missing = told == MISSING
        found.append(("shuffled labels tell nothing", not leaks and not missing, told))
        failed = [criterion for criterion, passed, _ in found if not passed]
        found.append(("drift-aware", not failed, f"fails: {', '.join(failed)}" if failed else "every criterion is met"))
        rows += [(name, *one) for one in found]
    return pl.DataFrame(rows, SCHEMA, orient="row")


MISSING = "was not measured"


def above(own: pl.DataFrame, control: str, metric: str) -> tuple[bool, str]:
    """Test whether a difference is positive over users and over seeds.

    Args:
        own: rows of one dynamics.
        control: of the rows.
        metric: the difference.

    Returns:
        Whether it is, and its figures in words.
    """
    rows = own.filter(pl.col("control") == control, pl.col("metric") == metric)
    each = rows.filter(pl.col("run").is_not_null()).unique("seed", maintain_order=True)["value"].drop_nulls().to_list()
    mean = rows.filter(pl.col("run").is_null())
    if not each:
        return False, MISSING
    if len(each) < 2 or not mean.height:
        return False, f"{each[0]:+.4f} nats, of one seed"
    estimate, (low, high) = t_interval(each), mean.select("low", "high").row(0)
    assert estimate.half_width is not None
    told = f"{estimate.mean:+.4f} nats; over users {low:+.4f} to {high:+.4f}, over seeds ± {estimate.half_width:.4f}"
    return low > 0 and estimate.mean > estimate.half_width, told
