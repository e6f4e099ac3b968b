"""How the numbers of a comparison are written, in the page and in the Markdown table."""

from interestlab.reporting.labels import markdown_row
from interestlab.reporting.number_formats import MISSING, decimal, p_value, si_prefix, signed, three_digits
from interestlab.stats.intervals import Estimate
from interestlab.sweep.compare import Comparison, Configuration

COST_NAMES = {
    "trainable_parameters": "trainable parameters",
    "seconds_per_epoch": "seconds an epoch",
    "peak_memory_mb": "peak memory, MiB",
    "tpme": "TPME",
}


def short(metric: str) -> str:
    """A metric's name as a heading: that of the test without its part."""
    return metric.removeprefix("test/")


def estimate(value: Estimate | None) -> str:
    """A mean and its interval."""
    return MISSING if value is None else str(value)


def seeds(c: Configuration) -> str:
    """How many of the planned trials were measured."""
    return str(c.done) if c.done == c.trials else f"{c.done} of {c.trials}"


def trainable(c: Configuration) -> str:
    """Trainable parameters, and their share of all."""
    if "trainable_parameters" not in c.costs:
        return MISSING
    share = c.costs["trainable_parameters"] / c.costs["parameters"] if c.costs.get("parameters") else None
    return si_prefix(c.costs["trainable_parameters"]) + ("" if share is None else f" ({share:.2%})")


def on_front(c: Configuration) -> str:
    """The costs by which it is on the Pareto front."""
    if not c.front:
        return MISSING
    names = {"seconds_per_epoch": "time", "trainable_parameters": "parameters"}
    return " · ".join(names[cost] for cost, on in c.front.items() if on) or "dominated"


def markdown(comparison: Comparison) -> str:
    """The main table, as it is pasted into a page of results."""
    compared = [m for m in comparison.metrics if any(m in c.differences for c in comparison.configurations)]
    heads = [*comparison.axes, "seeds"]
    for metric in comparison.metrics:
        heads.append(short(metric))
        if metric in compared:
            heads += [f"Δ {short(metric)}", "95% over users", "95% over seeds", "p (Holm)"]
    rows = [[*heads, "trainable parameters", "s/epoch", "peak MiB", "TPME", "Pareto front"]]
    rows.append(["---"] * len(rows[0]))
    for c in comparison.configurations:
        row = [*c.labels.values(), seeds(c)]
        for metric in comparison.metrics:
            row.append(estimate(c.metrics.get(metric)))
            if metric in compared:
                row += difference(c, metric)
        row += [
            trainable(c),
            three_digits(c.costs.get("seconds_per_epoch")),
            three_digits(c.costs.get("peak_memory_mb")),
            decimal(c.tpme, 3),
            on_front(c),
        ]
        rows.append(row)
    told = ", ".join(f"{key}={value}" for key, value in comparison.fingerprint.items()).replace("`", "'")
    return "\n".join(markdown_row(row) for row in rows) + (f"\n\nFingerprint: `{told}`\n" if told else "\n")


def difference(c: Configuration, metric: str) -> list[str]:
    """The cells of a difference to the baseline."""
    if c.is_baseline:
        return ["baseline", MISSING, MISSING, MISSING]
    if metric not in c.differences:
        return [MISSING] * 4
    d = c.differences[metric]
    half = MISSING if d.seeds.half_width is None else f"± {d.seeds.half_width:.4f}"
    mean = f"**{signed(d.seeds.mean)}**" if d.clear else signed(d.seeds.mean)
    return [mean, f"{signed(d.low)} to {signed(d.high)}", half, p_value(d.p_holm)]
