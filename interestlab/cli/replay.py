"""Replay the test window of a run in order, with user states that are refreshed at each event, at intervals, or never."""

import json
from pathlib import Path

from rich.console import Console

from interestlab.baselines.tables import format_fingerprint
from interestlab.config.arguments import extract
from interestlab.config.parser import CommandParser
from interestlab.inference.trajectory import ModelView
from interestlab.replay.events import ReplayedEvents
from interestlab.replay.measure import measure
from interestlab.replay.report import as_json, table
from interestlab.training.open_run import open_run
from interestlab.utils.argument_checks import require_at_least
from interestlab.utils.atomic_files import write_text_atomic


def run(args: list[str]) -> None:
    """Replay, print the table, and write ``replay.json``.

    Args:
        args: the folder of the run, and options; those of the data override the run's.
    """
    data_options, rest = extract(args, prefix="--data.")
    parser = CommandParser("interestlab replay", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run with --data.split=global_time")
    parser.add_argument("--refresh_seconds", type=list[int], default=[0, 3_600, 86_400], help="intervals; 0: at each event")
    parser.add_argument("--ks", type=list[int], default=[10], help="cut-offs k of recall, NDCG and MRR")
    parser.add_argument("--out", type=Path | None, help="folder of replay.json (default RUN/replay)")
    options = parser.parse_args(rest)
    require_at_least(1, k=min(options.ks, default=0), refresh_seconds=len(options.refresh_seconds))
    require_at_least(0, refresh_seconds=min(options.refresh_seconds))
    model, data = open_run(options.run, overrides=[f"{option}={value}" for option, value in data_options])
    events = ReplayedEvents.of(data)
    rows = measure(ModelView.from_model(model, data), events, options.refresh_seconds, options.ks)
    content, out = as_json(rows), options.out or options.run / "replay"
    out.mkdir(parents=True, exist_ok=True)
    header = {"fingerprint": data.fingerprint, "events": len(events.rows), "users": len(set(events.users.tolist()))}
    write_text_atomic(out / "replay.json", json.dumps(header | {"refreshed": content}, indent=1, ensure_ascii=False))
    console = Console()
    for k in options.ks:
        console.print(table(content, k))
    print(f"{header['events']:,} events of {header['users']:,} users. {format_fingerprint(data.fingerprint)}")
    print(f"written: {out / 'replay.json'}")
