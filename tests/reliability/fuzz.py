"""Breaks good files of every format, and configs, in thousands of ways, and says what became of each: ``python fuzz.py``.

What may come of a file is a log, or a refusal of one line. Where single lines were broken, every other row must be in the log,
and all rows are kept or in quarantine.
"""

import argparse
import faulthandler
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import broken_configs
from formats import FIRST, FORMATS, packed, parquet
from mutations import anything, line

from interestlab.contract import EventLog, Source
from interestlab.data.event_store import PreparationSettings, open_event_store
from interestlab.data.validate import ValidatedLog, validate
from interestlab.errors import DataError
from interestlab_sources import lines
from interestlab_sources.files import Files

LIMIT = 5
"""Seconds that a file may take."""

SMALL = {"_READ_SIZE": 1 << 14, "BLOCK": 1 << 14, "LONGEST": 1 << 18}
"""Sizes in bytes of a read, of a block of lines and of the longest line: small, so that small files reach them."""

COUNT = 1250
"""Files of each format; of configs a third as many."""

KINDS = (*FORMATS, "parquet", "config")


class Good(NamedTuple):
    """What must be in a log of a file of which single lines were broken.

    Attributes:
        times: of the good events, each of which has its own.
        items: ids of the good items.
        rows: file of the events, and of the items where there are some, and how many rows are in it.
    """

    times: set[int]
    items: set[str]
    rows: list[tuple[Path, int]]


class Lost(AssertionError):
    """A good row is not in the log, or rows do not add up."""


class Hang(BaseException):
    """A file took too long."""


def once(kind: str, number: int, seed: int, folder: Path, figures: Counter[str]) -> None:
    """Break one file, read it, and count what came of it.

    Raises:
        Exception: whatever is neither a log nor a refusal of one line.
    """
    rng = random.Random(f"{kind} {seed} {number}")
    if kind == "config":
        broken_configs.once(rng, folder, figures)
        return
    local = rng.random() < 0.5
    source, good = (typed if kind == "parquet" else written)(kind, rng, folder, local)
    try:
        log = source.read()
        read = EventLog(*(None if f is None else f.collect().lazy() for f in (log.events, log.items, log.rejected)))
        checked = validate(read)
        figures["rows in"] += checked.num_rows
        figures["rows kept"] += checked.events.height + checked.items.height
        figures["rows quarantined"] += checked.quarantine.height
        account(read, checked, good)
        if number % 3 == 0:  # writing the store takes longer than all before
            open_event_store(source, PreparationSettings(), folder / "cache", max_bad_fraction=1)
    except DataError as err:
        if good and good.times:
            raise Lost(f"refused although {len(good.times)} rows are good: {err}") from err
        if "\n" in str(err) or not str(err):
            raise AssertionError(f"not one line: {err}") from err
        figures["refusals"] += 1
    else:
        figures["logs"] += 1
    figures["with single lines broken"] += local


def written(kind: str, rng: random.Random, folder: Path, local: bool) -> tuple[Source, Good | None]:
    """A broken file of lines: what reads it, and what must come of it."""
    form = FORMATS[kind]
    parts = [[*head, *rows] for head, rows in zip(form.header, form.lines(rng), strict=True)]
    heads = [len(head) for head in form.header]
    files = [folder / name for name in (form.events, form.items) if name]
    which = int(form.items is not None and rng.random() < 0.25)
    good = None
    if local:
        unbroken = [set(range(len(part) - head)) for part, head in zip(parts, heads, strict=True)]
        changed = set(rng.sample(range(heads[which], len(parts[which])), rng.randint(1, 5)))
        unbroken[which] -= {n - heads[which] for n in changed}
        new: list[bytes] = []
        for n, text in enumerate(parts[which]):
            how = rng.randrange(6) if n in changed else -1
            if how == 0:
                continue
            if how == 1:
                new += [text, text]
            elif how == 2:
                new += [text, b""]
            elif how > 2:
                new.append(line(rng, text, form.separator, quotes=not form.spans))
            else:
                new.append(text)
        parts[which] = new
        rows = [sum(bool(text.strip()) for text in part[head:]) for part, head in zip(parts, heads, strict=True)]
        good = Good({FIRST + n for n in unbroken[0]}, {f"i{n}" for n in unbroken[1]}, list(zip(files, rows, strict=False)))
    raws = [packed(file.name, part) for file, part in zip(files, parts, strict=False)]
    if not local:
        raws[which] = anything(rng, raws[which])
    for file, raw in zip(files, raws, strict=True):
        file.write_bytes(raw)
    return form.source(folder), good


def typed(kind: str, rng: random.Random, folder: Path, local: bool) -> tuple[Source, Good | None]:
    """A Parquet file with broken rows, or broken anywhere."""
    files = folder / "events.parquet", folder / "items.parquet"
    *raws, good = parquet(rng, files)
    if not local:
        raws[0] = anything(rng, raws[0])
    for file, raw in zip(files, raws, strict=True):
        file.write_bytes(raw)
    return Files(*map(str, files)), Good(*good) if local else None


def account(log: EventLog, checked: ValidatedLog, good: Good | None) -> None:
    """Compare what was read with what was written.

    Raises:
        Lost: where a good row is not there, or rows are not all accounted for.
    """
    kept = checked.events.height + checked.items.height
    if checked.num_rows != kept + checked.quarantine.height:
        raise Lost(f"{checked.num_rows} rows are not {kept} kept and {checked.quarantine.height} quarantined")
    if good is None:
        return
    missing = good.times - set(checked.events["timestamp"]), good.items - set(checked.items["item_id"])
    if any(missing):
        raise Lost(
            f"{len(missing[0])} good events and {len(missing[1])} items are not there: {checked.quarantine.head(5).rows()}"
        )
    frames = [None if f is None else f.select("file").collect() for f in (log.events, log.items, log.rejected)]
    for (file, rows), frame in zip(good.rows, frames, strict=False):
        found = sum((part["file"] == str(file)).sum() for part in (frame, frames[2]) if part is not None)
        if found != rows:
            raise Lost(f"{rows} rows were in {file.name}, {found} came out")


def alarm(*_: object) -> None:
    """What the clock does."""
    raise Hang(f"over {LIMIT} seconds")


def child(kind: str, seed: int, first: int, last: int, result: Path) -> None:
    """Files ``first`` to ``last`` of one kind, in this process; what became of them is written after each."""
    resource.setrlimit(resource.RLIMIT_AS, (24 << 30, 24 << 30))
    signal.signal(signal.SIGALRM, alarm)
    for name, size in SMALL.items():
        setattr(lines, name, size)
    figures: Counter[str] = Counter()
    failures: list[str] = []
    room = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for number in range(first, last):
        result.write_text(json.dumps({"next": number + 1, "figures": figures, "failures": failures}))
        with tempfile.TemporaryDirectory(dir=room) as name:
            signal.alarm(LIMIT)
            faulthandler.dump_traceback_later(2 * LIMIT, exit=True)  # where native code holds the interpreter
            began = time.perf_counter()
            try:
                once(kind, number, seed, Path(name), figures)
            except KeyboardInterrupt:
                raise
            except BaseException as err:
                failures.append(f"{kind} {number}: {type(err).__name__}: {' '.join(str(err).split())[:300]}")
            signal.alarm(0)
            faulthandler.cancel_dump_traceback_later()
            figures["slowest, ms"] = max(figures["slowest, ms"], int(1000 * (time.perf_counter() - began)))
        figures["files"] += 1
    result.write_text(json.dumps({"next": last, "figures": figures, "failures": failures}))


def all_of(kind: str, seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """All files of one kind, in processes of their own: a crash is a failure of the file at hand, and the next goes on.

    Args:
        kind: one of :data:`KINDS`.
        seed: of the breaks.
        count: as of a format.
    """
    count = max(1, count // (3 if kind == "config" else 1))
    figures: Counter[str] = Counter()
    failures: list[str] = []
    first = 0
    with tempfile.TemporaryDirectory() as name:
        result = Path(name) / "told.json"
        while first < count:
            command = [
                sys.executable,
                __file__,
                "--child",
                kind,
                "--seed",
                str(seed),
                "--range",
                str(first),
                str(count),
                str(result),
            ]
            result.unlink(missing_ok=True)
            env = os.environ | {"POLARS_MAX_THREADS": "1"}  # read when Polars is imported
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
            state = json.loads(result.read_text()) if result.exists() else {"next": count, "figures": {}, "failures": []}
            for key, value in state["figures"].items():
                figures[key] = max(figures[key], value) if key.startswith("slowest") else figures[key] + value
            failures += state["failures"]
            if done.returncode:
                failures.append(f"{kind} {state['next'] - 1}: the process died with {done.returncode}: {done.stderr[-300:]}")
            first = state["next"]
    return figures, failures


def main() -> None:
    """Print the figures; exit with 1 where a file failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="files of each format; of configs a third as many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--range", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.seed, int(options.range[0]), int(options.range[1]), Path(options.range[2]))
        return
    began = time.perf_counter()
    total: Counter[str] = Counter()
    failures: list[str] = []
    columns = ("files", "logs", "refusals", "rows in", "rows kept", "rows quarantined", "slowest, ms")
    print(f"{'':9}" + "".join(f"{name:>18}" for name in (*columns, "failures")))
    for kind in options.only:
        figures, failed = all_of(kind, options.seed, options.count)
        print(f"{kind:9}" + "".join(f"{figures[name]:18,}" for name in columns) + f"{len(failed):18,}", flush=True)
        for name in columns[:-1]:
            total[name] += figures[name]
        failures += failed
    print(f"{'all':9}" + "".join(f"{total[name]:18,}" for name in columns[:-1]) + f"{'':18}{len(failures):18,}")
    print(f"{time.perf_counter() - began:.0f} s, seed {options.seed}")
    print("\n".join(failures[:40]))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
