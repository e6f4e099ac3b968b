"""Whether a dynamics may be called drift-aware: a rule, applied to the table of a forecast."""

import polars as pl

from interestlab.drift.forecast.bench import FROZEN, RANDOM_ENCODER, SHUFFLED_LABELS, SHUFFLED_ORDER
from interestlab.stats.intervals import t_interval

SEEDS = 3
"""Below, other seeds may say otherwise."""

BEATS = {
    ("", "gain_persistence"): "beats persistence",
    ("", "gain_ewma"): "beats the EWMA",
    (SHUFFLED_ORDER, "loss_added"): "needs the order of the events",
    (RANDOM_ENCODER, "loss_added"): "needs what the encoder knows",
    (FROZEN, "loss_added"): "needs the events after the training cut",
}
"""Differences that must be above 0."""

SCHEMA = {"dynamics": pl.String(), "criterion": pl.String(), "passed": pl.Boolean(), "reason": pl.String()}


def verdict(table: pl.DataFrame) -> pl.DataFrame:
    """A dynamics is drift-aware if it beats persistence and EWMA and passes the controls, over at least three seeds.

    A difference counts where neither other users nor other seeds explain it: the bootstrap interval over users of its mean over
    the seeds, and Student's interval over the seeds, both lie above 0. With shuffled labels the gain over the model's
    own mean forecast must not be above 0 by that rule, else something leaks.

    Args:
        table: of :func:`interestlab.drift.forecast.forecast`.

    Returns:
        for each dynamics the criteria and, last, ``drift-aware``: ``dynamics``, ``criterion``, ``passed``, ``reason``.
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
    """Whether a difference is above 0 for other users and other seeds alike, and what it is."""
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
