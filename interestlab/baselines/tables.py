"""Tables of metrics: a model and its baselines side by side, for all users and by group of targets."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from interestlab.metrics import MetricSummary
from interestlab.metrics.groups import TARGET_GROUPS, describe_group

GROUP_METRICS = ("recall@", "ndcg@")
"""Metrics that the table of the groups shows."""


def metrics_table(
    means: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    baselines: Mapping[str, MetricSummary],
    fingerprint: Mapping[str, Any],
    prefix: str,
) -> Table:
    """Return the table of a model's metrics over all users.

    Args:
        means: mean of each metric, by its name with the prefix; metrics of groups are left out.
        intervals: 95% interval of each mean, by its name without the prefix.
        baselines: metrics of each baseline.
        fingerprint: settings that decide whether the metrics can be compared with those of another run.
        prefix: prefix of the names, ``val/`` or ``test/``.
    """
    caption = format_fingerprint(fingerprint)
    table = Table("metric", "mean", "95% interval", *baselines, caption=caption, caption_justify="left")
    for name in sorted(means, key=_name_and_cutoff):
        metric, value = name.removeprefix(prefix), means[name]
        if metric.partition("/")[0] in TARGET_GROUPS:
            continue
        low, high = intervals.get(metric, (float("nan"),) * 2)
        others = (summary.means.get(metric) for summary in baselines.values())
        cells = ("" if other is None else f"{other:.4f}" for other in others)
        table.add_row(name, f"{value:.4f}", f"{low:.4f} to {high:.4f}", *cells)
    return table


def _name_and_cutoff(metric: str) -> tuple[str, int, str]:
    name, _, k = metric.partition("@")
    return name, len(k), k  # 5 before 10


def group_table(summaries: Mapping[str, MetricSummary]) -> Table:
    """Return the table of the metrics by how often the target occurs in training.

    Args:
        summaries: metrics of each ranking, such as the model and its baselines; of the same users.
    """
    first = next(iter(summaries.values()))
    metrics = [name for name in first.means if name.startswith(GROUP_METRICS)]
    metrics.sort(key=lambda name: (not name.startswith("recall"), int(name.partition("@")[2])))
    headings = (name.replace("@", "\n@") for name in metrics)
    table = Table("target", "ranking", *headings, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.caption = "by number of training events of the target"
    for column in table.columns[:2]:
        column.no_wrap = True
    for group, users in first.group_users.items():
        cells_of_group = [describe_group(group), f"{users:,} users", *[""] * len(summaries)]
        for i, (name, summary) in enumerate(summaries.items()):
            values = (summary.means.get(f"{group}/{metric}") for metric in metrics)
            cells = ("–" if value is None else f"{value:.4f}" for value in values)
            table.add_row(cells_of_group[i], name, *cells, end_section=i == len(summaries) - 1)
    return table


def format_fingerprint(fingerprint: Mapping[str, Any]) -> str:
    """Return a fingerprint as one line.

    Args:
        fingerprint: settings that decide whether metrics can be compared.
    """
    return " · ".join(f"{key}={value}" for key, value in fingerprint.items())
