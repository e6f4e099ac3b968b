"""Replay the test window of a run in order, with user states that are refreshed at each event, at intervals, or never."""

import json
from pathlib import Path

from rich.console import Console

from interestlab.baselines.tables import format_fingerprint
from interestlab.config.arguments import extract
from interestlab.config.parser import CommandParser
from interestlab.errors import DataError
from interestlab.inference.trajectory import ModelView
from interestlab.replay.events import ReplayedEvents
from interestlab.replay.measure import measure
from interestlab.replay.report import as_json, table
from interestlab.training.open_run import open_run
from interestlab.utils.atomic_files import write_text_atomic


def run(args: list[str]) -> None:
    """Replay, print the table, and write ``replay.json``.

    Args:
        args: the folder of the run, and options; those of the data override the run's.
    """
    data_options, rest = extract(args, prefix="--data.")
    parser = CommandParser("interestlab replay", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run with --data.split=global_time")
    parser.add_argument("--refresh_seconds", type=list[int], default=[3_600, 86_400], help="intervals, beside each event")
    parser.add_argument("--ks", type=list[int], default=[10], help="cut-offs k of recall, NDCG and MRR")
    parser.add_argument("--out", type=Path | None, help="folder of replay.json (default RUN/replay)")
    options = parser.parse_args(rest)
    if min(options.ks, default=0) < 1:
        raise DataError("--ks needs at least one cut-off, and all must be at least 1.")
    if min(options.refresh_seconds, default=0) < 0:
        raise DataError("--refresh_seconds must not be negative; 0 refreshes at each event.")
    model, data = open_run(options.run, overrides=[f"{option}={value}" for option, value in data_options])
    events = ReplayedEvents.of(data)
    out = options.out or options.run / "replay"
    out.mkdir(parents=True, exist_ok=True)
    rows = measure(ModelView.from_model(model, data), events, sorted({0, *options.refresh_seconds}), options.ks)
    content = as_json(rows)
    header = {"fingerprint": data.fingerprint, "events": len(events.rows), "users": len(set(events.users.tolist()))}
    write_text_atomic(out / "replay.json", json.dumps(header | {"refreshed": content}, indent=1, ensure_ascii=False))
    console = Console()
    for k in options.ks:
        console.print(table(content, k))
    print(f"{header['events']:,} events of {header['users']:,} users. {format_fingerprint(data.fingerprint)}")
    print(f"written: {out / 'replay.json'}")
