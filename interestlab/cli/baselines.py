"""Measure untrained recommenders on a log: popularity, co-occurrence counts, EASE; with the --data options of fit."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from interestlab.baselines import CooccurrenceSettings, EaseSettings
from interestlab.baselines.measurement import Measurement, measure
from interestlab.baselines.tables import format_fingerprint, group_table
from interestlab.config.parser import CommandParser
from interestlab.data.datamodule import InterestData
from interestlab.reporting.number_formats import three_digits
from interestlab.utils.argument_checks import require_at_least
from interestlab.utils.atomic_files import write_text_atomic
from interestlab.utils.output_folders import default_folder

DESCRIPTION = "Measure recommenders without training: popularity, decayed co-occurrence counts, and EASE."
PREFIXES = {"validation": "val/", "test": "test/"}


def run(args: list[str]) -> None:
    """Measure every baseline, print the tables, and write ``baselines.json``.

    Args:
        args: the options.
    """
    parser = baselines_parser()
    options = parser.instantiate(parser.parse_args(args))
    require_at_least(1, k=min(options.ks, default=0))
    data, split = options.data, options.split
    results = dict(measure(data, split, options.ks, options.cooccurrence, options.ease))
    out = options.out or default_folder("baselines")
    out.mkdir(parents=True, exist_ok=True)
    settings = {name: vars(options[name]) for name in ("cooccurrence", "ease")}
    content = as_json(results, PREFIXES[split], {"fingerprint": data.fingerprint, "split": split, "settings": settings})
    write_text_atomic(out / "baselines.json", json.dumps(content, indent=1, ensure_ascii=False))
    print_results(results, data.fingerprint, split)
    print(f"written: {out / 'baselines.json'}")


def baselines_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = CommandParser("interestlab baselines", description=DESCRIPTION, config_keys=("data",))
    parser.add_argument("-c", "--config", action="config", help="a config of `fit`; only its data is read")
    parser.add_argument("--split", type=Literal["test", "validation"], default="test", help="the targets to rank")
    parser.add_argument("--ks", type=list[int], default=[5, 10, 20], help="cut-offs k of recall, NDCG and MRR")
    parser.add_argument("--out", type=Path | None, help="folder of baselines.json (default runs/TIME-baselines)")
    parser.add_class_arguments(CooccurrenceSettings, "cooccurrence")
    parser.add_class_arguments(EaseSettings, "ease")
    parser.add_class_arguments(InterestData, "data")
    return parser


def as_json(results: Mapping[str, Measurement | str], prefix: str, header: dict[str, Any]) -> dict[str, Any]:
    """Return the content of ``baselines.json``.

    Args:
        results: measurement of each baseline, or the reason why it was skipped.
        prefix: prefix of the metrics, ``val/`` or ``test/``.
        header: further entries.
    """
    baselines: dict[str, Any] = {}
    for name, result in results.items():
        if isinstance(result, str):
            baselines[name] = {"skipped": result}
        else:
            costs = ("build_seconds", "rank_seconds", "num_bytes")
            baselines[name] = result.summary.as_json(prefix) | {cost: getattr(result, cost) for cost in costs}
    return header | {"baselines": baselines}


def print_results(results: Mapping[str, Measurement | str], fingerprint: Mapping[str, Any], split: str) -> None:
    """Print the metrics and costs of each baseline, and its metrics by group of targets.

    Args:
        results: measurement of each baseline, or the reason why it was skipped.
        fingerprint: settings that decide whether metrics can be compared.
        split: name of the split.
    """
    measured = {name: result for name, result in results.items() if isinstance(result, Measurement)}
    metrics = [name for name in next(iter(measured.values())).summary.means if "/" not in name]
    table = Table("metric", *measured, title=f"{split} split: mean over users, 95% interval", caption_justify="left")
    table.caption = format_fingerprint(fingerprint)
    for metric in metrics:
        summaries = (result.summary for result in measured.values())
        table.add_row(metric, *("{:.4f}\n{:.4f} to {:.4f}".format(s.means[metric], *s.intervals[metric]) for s in summaries))
    table.add_section()
    for name, unit in {"build_seconds": "seconds to build", "rank_seconds": "seconds to rank"}.items():
        table.add_row(unit, *(three_digits(getattr(result, name)) for result in measured.values()))
    table.add_row("size, MiB", *(three_digits(result.num_bytes / 2**20) for result in measured.values()))
    console = Console()
    console.print(table)
    console.print(group_table({name: result.summary for name, result in measured.items()}))
    for name, result in results.items():
        if isinstance(result, str):
            console.print(f"{name} was skipped: {result}")
