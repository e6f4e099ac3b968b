"""The results of a replay as JSON and as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from interestlab.replay.measure import Row
from interestlab.reporting.number_formats import MISSING, p_value, percent
from interestlab.stats.bootstrap import bootstrap_mean_interval, paired_bootstrap


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the content of ``replay.json``: means over users with 95% intervals, and differences from the first row.

    Args:
        rows: at least one.
    """
    content: dict[str, Any] = {}
    for row in rows:
        content[row.name] = {"with_state": row.with_state, "behind": row.behind}
        for metric, values in row.metrics.items():
            difference = values - rows[0].metrics[metric]
            low, high, p = paired_bootstrap(difference)
            content[row.name][metric] = {
                "mean": float(values.mean()),
                "ci95": list(bootstrap_mean_interval(values)),
                "difference": float(difference.mean()),
                "difference_ci95": [low, high],
                "p": p,
            }
    return content


def table(content: Mapping[str, Any], k: int) -> Table:
    """Return the table of a cut-off.

    Args:
        content: of :func:`as_json`.
        k: the cut-off.
    """
    first, metrics = next(iter(content)), (f"recall@{k}", f"ndcg@{k}")
    out = Table("states refreshed", *metrics, f"Δ ndcg@{k}", "p", "without\nstate", "behind", padding=(0, 1, 0, 0))
    out.columns[0].no_wrap = True
    out.caption = f"95% intervals over users, differences from states refreshed {first}"
    for name, values in content.items():
        cells = ["{:.4f}\n{:.4f} to {:.4f}".format(values[m]["mean"], *values[m]["ci95"]) for m in metrics]
        delta = values[metrics[1]]
        change = "{:+.4f}\n{:+.4f} to {:+.4f}".format(delta["difference"], *delta["difference_ci95"])
        compared = [MISSING, MISSING] if name == first else [change, p_value(delta["p"])]
        shares = (None if values["with_state"] is None else 1 - values["with_state"], values["behind"])
        out.add_row(name, *cells, *compared, *(percent(share) for share in shares))
    return out
