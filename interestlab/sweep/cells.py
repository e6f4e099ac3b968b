"""How the numbers of a comparison are written, in the page and in the Markdown table."""

import re
from collections.abc import Sequence

from interestlab.stats.intervals import Estimate
from interestlab.sweep.compare import Comparison, Configuration

COST_NAMES = {
    "trainable_parameters": "trainable parameters",
    "seconds_per_epoch": "seconds an epoch",
    "peak_memory_mb": "peak memory, MiB",
    "tpme": "TPME",
}
NONE = "–"


def short(metric: str) -> str:
    """A metric's name as a heading: that of the test without its part."""
    return metric.removeprefix("test/")


def count(value: float) -> str:
    """A number to three digits, as 22.7 M."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def estimate(value: Estimate | None) -> str:
    """A mean and its interval."""
    return NONE if value is None else str(value)


def signed(value: float) -> str:
    """A difference."""
    return f"{value:+.4f}"


def p_value(value: float) -> str:
    """A p-value, which is never 0."""
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def seeds(c: Configuration) -> str:
    """How many of the planned trials were measured."""
    return str(c.done) if c.done == c.trials else f"{c.done} of {c.trials}"


def trainable(c: Configuration) -> str:
    """Trainable parameters, and their share of all."""
    if "trainable_parameters" not in c.costs:
        return NONE
    share = c.costs["trainable_parameters"] / c.costs["parameters"] if c.costs.get("parameters") else None
    return count(c.costs["trainable_parameters"]) + ("" if share is None else f" ({share:.2%})")


def cost(c: Configuration, name: str) -> str:
    """Seconds or memory."""
    value = c.costs.get(name)
    return NONE if value is None else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def efficiency(c: Configuration) -> str:
    """TPME."""
    return NONE if c.tpme is None else f"{c.tpme:.3f}"


def on_front(c: Configuration) -> str:
    """The costs by which it is on the Pareto front."""
    if not c.front:
        return NONE
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
        row += [trainable(c), cost(c, "seconds_per_epoch"), cost(c, "peak_memory_mb"), efficiency(c), on_front(c)]
        rows.append(row)
    told = ", ".join(f"{key}={value}" for key, value in comparison.fingerprint.items()).replace("`", "'")
    return "\n".join(line(row) for row in rows) + (f"\n\nFingerprint: `{told}`\n" if told else "\n")


def difference(c: Configuration, metric: str) -> list[str]:
    """The cells of a difference to the baseline."""
    if c.is_baseline:
        return ["baseline", NONE, NONE, NONE]
    if metric not in c.differences:
        return [NONE] * 4
    d = c.differences[metric]
    half = NONE if d.seeds.half_width is None else f"± {d.seeds.half_width:.4f}"
    mean = f"**{signed(d.seeds.mean)}**" if d.clear else signed(d.seeds.mean)
    return [mean, f"{signed(d.low)} to {signed(d.high)}", half, p_value(d.p_holm)]


def line(cells: Sequence[str]) -> str:
    """A row of a Markdown table, whatever its cells hold."""
    return "| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", "\\|") for cell in cells) + " |"
