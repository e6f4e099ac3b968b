"""The main table of a comparison: the text of its cells, and the table as Markdown."""

from interestlab.reporting.labels import markdown_row
from interestlab.reporting.number_formats import MISSING, decimal, p_value, si_prefix, signed, three_digits
from interestlab.stats.intervals import Estimate
from interestlab.sweep.comparison import Comparison, Configuration

COST_NAMES = {
    "trainable_parameters": "trainable parameters",
    "seconds_per_epoch": "seconds per epoch",
    "peak_memory_mb": "peak memory, MiB",
    "tpme": "TPME",
}


def short_name(metric: str) -> str:
    """Shorten the name of a test metric for a heading.

    Args:
        metric: such as ``test/recall@10``.

    Returns:
        The name without ``test/``; other splits keep their prefix.
    """
    return metric.removeprefix("test/")


def estimate(value: Estimate | None) -> str:
    """Format a mean with its interval.

    Args:
        value: None if nothing was measured.

    Returns:
        The text of a cell.
    """
    return MISSING if value is None else str(value)


def seeds(configuration: Configuration) -> str:
    """Format how many of the planned trials finished.

    Args:
        configuration: the configuration to describe.

    Returns:
        One number if all did, else ``2 of 3``.
    """
    c = configuration
    return str(c.done) if c.done == c.trials else f"{c.done} of {c.trials}"


def trainable_parameters(configuration: Configuration) -> str:
    """Format the number of trainable parameters and their share of all parameters.

    Args:
        configuration: the configuration to describe.

    Returns:
        The text of a cell.
    """
    costs = configuration.costs
    if "trainable_parameters" not in costs:
        return MISSING
    share = costs["trainable_parameters"] / costs["parameters"] if costs.get("parameters") else None
    return si_prefix(costs["trainable_parameters"]) + ("" if share is None else f" ({share:.2%})")


def pareto_fronts(configuration: Configuration) -> str:
    """List the costs for which a configuration is on the Pareto front.

    Args:
        configuration: the configuration to describe.

    Returns:
        The text of a cell.
    """
    if not configuration.on_front:
        return MISSING
    names = {"seconds_per_epoch": "time", "trainable_parameters": "parameters"}
    return " · ".join(names[cost] for cost, is_on in configuration.on_front.items() if is_on) or "dominated"


def difference(configuration: Configuration, metric: str) -> list[str]:
    """Format a difference to the baseline, in bold if it is significant.

    Args:
        configuration: the configuration to describe.
        metric: its name.

    Returns:
        Four cells: the difference, its interval over users, its interval over seeds, and the corrected p-value.
    """
    if configuration.is_baseline:
        return ["baseline", MISSING, MISSING, MISSING]
    if metric not in configuration.differences:
        return [MISSING] * 4
    d = configuration.differences[metric]
    half_width = MISSING if d.over_seeds.half_width is None else f"± {d.over_seeds.half_width:.4f}"
    mean = f"**{signed(d.over_seeds.mean)}**" if d.is_significant else signed(d.over_seeds.mean)
    return [mean, f"{signed(d.low)} to {signed(d.high)}", half_width, p_value(d.p_holm)]


def untrained_baselines(comparison: Comparison) -> str:
    """Describe the untrained baselines in one sentence.

    Args:
        comparison: comparison of a sweep.

    Returns:
        For instance ``Without training: popularity recall@10 0.0115; cooccurrence recall@10 0.0829.``; empty if unknown.
    """
    parts = [
        f"{name} " + ", ".join(f"{short_name(metric)} {value:.4f}" for metric, value in values.items())
        for name, values in comparison.untrained.items()
    ]
    return f"Without training: {'; '.join(parts)}." if parts else ""


def markdown_table(comparison: Comparison) -> str:
    """Write the main table for a page of results.

    Args:
        comparison: comparison of a sweep.

    Returns:
        Markdown, with the untrained baselines and the data fingerprint below the table.
    """
    tested = [m for m in comparison.metrics if any(m in c.differences for c in comparison.configurations)]
    heads = [*comparison.axes, "seeds"]
    for metric in comparison.metrics:
        heads.append(short_name(metric))
        if metric in tested:
            heads += [f"Δ {short_name(metric)}", "95% over users", "95% over seeds", "p (Holm)"]
    rows = [[*heads, "trainable parameters", "s/epoch", "peak MiB", "TPME", "Pareto front"]]
    rows.append(["---"] * len(rows[0]))
    for c in comparison.configurations:
        row = [*c.labels.values(), seeds(c)]
        for metric in comparison.metrics:
            row.append(estimate(c.metrics.get(metric)))
            if metric in tested:
                row += difference(c, metric)
        costs = [three_digits(c.costs.get(name)) for name in ("seconds_per_epoch", "peak_memory_mb")]
        rows.append([*row, trainable_parameters(c), *costs, decimal(c.tpme, 3), pareto_fronts(c)])
    fingerprint = ", ".join(f"{key}={value}" for key, value in comparison.fingerprint.items()).replace("`", "'")
    notes = [untrained_baselines(comparison), f"Fingerprint: `{fingerprint}`" if fingerprint else ""]
    return "\n\n".join(["\n".join(markdown_row(row) for row in rows), *filter(None, notes)]) + "\n"
