"""Breaks good files of every format, and configs, in thousands of ways, and says what became of each: ``python fuzz.py``.

What may come of a file is a log, or a refusal of one line. Where single lines were broken, every other row must be in the log,
and all rows are kept or in quarantine.
"""

import argparse
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

sys.path.insert(0, str(Path(__file__).parent))

import broken_configs
import polars as pl
from formats import FORMATS, packed, parquet
from mutations import anything, line

from interestlab.contract import DataError, EventLog
from interestlab.data.logstore import Recipe, open_log
from interestlab.data.validate import Checked, validate
from interestlab_sources import lines

LIMIT = 5
"""Seconds that a file may take."""

SMALL = {"_BLOCK": 1 << 14, "LONGEST": 1 << 18}
"""Bytes that are read at once, and of the longest line: so few that small files reach them."""

KINDS = (*FORMATS, "parquet", "config")


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
    source, times, rows = (typed if kind == "parquet" else written)(kind, rng, folder, local)
    try:
        log = source.read()
        read = EventLog(*(None if f is None else f.collect().lazy() for f in (log.events, log.items, log.rejected)))
        checked = validate(read)
        figures["rows in"] += checked.rows
        figures["rows kept"] += checked.events.height + checked.items.height
        figures["rows quarantined"] += checked.bad.height
        account(read, checked, times, rows)
        if number % 3 == 0:  # writing the store takes longer than all before
            open_log(source, Recipe(), folder / "cache", max_bad_fraction=1)
    except DataError as err:
        if local and times:
            raise Lost(f"refused although {len(times)} rows are good: {err}") from err
        if "\n" in str(err) or not str(err):
            raise AssertionError(f"not one line: {err}") from err
        figures["refusals"] += 1
    else:
        figures["logs"] += 1
    figures["with single lines broken"] += local


def written(kind: str, rng: random.Random, folder: Path, local: bool):
    """A broken file of lines: what reads it, the times of its good rows, and how many rows it has."""
    form = FORMATS[kind]
    parts = [[*head, *rows] for head, rows in zip(form.header, form.lines(rng), strict=True)]
    good = parts[0][len(form.header[0]) :]
    names = [form.events, form.items]
    which = int(form.items is not None and rng.random() < 0.25)
    times: list[int] | None = None
    rows = None
    if local:
        head = len(form.header[which])
        changed = set(rng.sample(range(head, len(parts[which])), rng.randint(1, 5)))
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
        gone = {n - head for n in changed} if which == 0 else set()
        times = [time_of(n) for n in range(len(good)) if n not in gone]
        if which == 0:
            rows = sum(bool(text.strip()) for text in new[head:])
    raws = [packed(name, part) if name else b"" for name, part in zip(names, parts, strict=True)]
    if not local:
        raws[which] = anything(rng, raws[which])
    for name, raw in zip(names, raws, strict=True):
        if name:
            (folder / name).write_bytes(raw)
    return form.source(folder), times, rows


def typed(kind: str, rng: random.Random, folder: Path, local: bool):
    """A Parquet file with broken rows, or broken anywhere."""
    from interestlab_sources.files import Files

    events, items, times, rows = parquet(rng)
    if not local:
        events = anything(rng, events)
    (folder / "events.parquet").write_bytes(events)
    (folder / "items.parquet").write_bytes(items)
    source = Files(str(folder / "events.parquet"), str(folder / "items.parquet"))
    return source, times if local else None, rows if local else None


def time_of(number: int) -> int:
    """The time of a good row, which no other has."""
    from formats import FIRST

    return FIRST + number


def account(log: EventLog, checked: Checked, times: list[int] | None, rows: int | None) -> None:
    """Compare what was read with what was written.

    Raises:
        Lost: where a good row is not there, or rows are not all accounted for.
    """
    kept = checked.events.height + checked.items.height
    if checked.rows != kept + checked.bad.height:
        raise Lost(f"{checked.rows} rows are not {kept} kept and {checked.bad.height} quarantined")
    if times is not None and (missing := set(times) - set(checked.events["timestamp"].to_list())):
        raise Lost(f"{len(missing)} good rows are not in the log: {checked.bad.head(5).rows()}")
    if rows is not None:
        events = log.events.collect()
        rejected = pl.DataFrame(schema={"file": pl.String}) if log.rejected is None else log.rejected.collect()
        place = events["file"][0] if events.height else None
        found = events.height + (rejected.height if place is None else rejected.filter(pl.col("file") == place).height)
        if found != rows:
            raise Lost(f"{rows} rows were in the file, {found} came out")


def alarm(*_: object) -> None:
    """What the clock does."""
    raise Hang(f"over {LIMIT} seconds")


def child(kind: str, seed: int, first: int, last: int, told: Path) -> None:
    """Files ``first`` to ``last`` of one kind, in this process; what became of them is written after each."""
    resource.setrlimit(resource.RLIMIT_AS, (24 << 30, 24 << 30))
    signal.signal(signal.SIGALRM, alarm)
    for name, size in SMALL.items():
        setattr(lines, name, size)
    figures: Counter[str] = Counter()
    failures: list[str] = []
    os.environ["POLARS_MAX_THREADS"] = "1"
    room = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for number in range(first, last):
        told.write_text(json.dumps({"next": number + 1, "figures": figures, "failures": failures}))
        with tempfile.TemporaryDirectory(dir=room) as name:
            signal.alarm(LIMIT)
            began = time.perf_counter()
            try:
                once(kind, number, seed, Path(name), figures)
            except KeyboardInterrupt:
                raise
            except BaseException as err:
                failures.append(f"{kind} {number}: {type(err).__name__}: {' '.join(str(err).split())[:300]}")
            signal.alarm(0)
            figures["slowest, ms"] = max(figures["slowest, ms"], int(1000 * (time.perf_counter() - began)))
        figures["files"] += 1
    told.write_text(json.dumps({"next": last, "figures": figures, "failures": failures}))


def all_of(kind: str, seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """All files of one kind, in processes of their own: a crash is a failure of the file at hand, and the next goes on."""
    figures: Counter[str] = Counter()
    failures: list[str] = []
    first = 0
    with tempfile.TemporaryDirectory() as name:
        told = Path(name) / "told.json"
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
                str(told),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            held = json.loads(told.read_text()) if told.exists() else {"next": count, "figures": {}, "failures": []}
            for key, value in held["figures"].items():
                figures[key] = max(figures[key], value) if key.startswith("slowest") else figures[key] + value
            failures += held["failures"]
            if done.returncode:
                failures.append(f"{kind} {held['next'] - 1}: the process died with {done.returncode}: {done.stderr[-300:]}")
            first = held["next"]
    return figures, failures


def main() -> None:
    """Print the figures; exit with 1 where a file failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1400, help="files of each format; of configs a third as many")
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
        figures, failed = all_of(kind, options.seed, max(1, options.count // (3 if kind == "config" else 1)))
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
