"""Damage valid files of every format, and configs, in thousands of ways, and count the outcomes: ``python fuzz.py``.

A file must give a log, or be rejected in one line. If only single lines were damaged, every other row must be in the log,
and all rows must be used or in quarantine.
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
from formats import FIRST, FORMATS, file_bytes, parquet
from mutations import damage_anywhere, damage_line

from interestlab.contract import EventLog, Source
from interestlab.data.event_store import PreparationSettings, open_event_store
from interestlab.data.validate import ValidatedLog, validate
from interestlab.errors import DataError
from interestlab_sources import lines
from interestlab_sources.files import Files

LIMIT = 5
"""Maximum seconds per file."""

SMALL = {"_READ_SIZE": 1 << 14, "BLOCK": 1 << 14, "LONGEST": 1 << 18}
"""Limits in bytes of a read, a block of lines and the longest line, small enough for small files to reach them."""

COUNT = 1250
"""Number of files per format; there are a third as many configs."""

KINDS = (*FORMATS, "parquet", "config")


class ExpectedRows(NamedTuple):
    """Rows that must be in the log of a file of which single lines were damaged.

    Attributes:
        times: distinct times of the valid events.
        items: ids of the valid items.
        rows: file and number of rows, of the events and, if there are any, of the items.
    """

    times: set[int]
    items: set[str]
    rows: list[tuple[Path, int]]


class Lost(AssertionError):
    """A valid row is not in the log, or the numbers of rows do not add up."""


class Hang(BaseException):
    """A file took too long."""


def check_one_file(kind: str, number: int, seed: int, folder: Path, figures: Counter[str]) -> None:
    """Damage one file, read it, and count the outcome.

    Raises:
        Exception: if the outcome is neither a log nor a rejection in one line.
    """
    rng = random.Random(f"{kind} {seed} {number}")
    if kind == "config":
        broken_configs.check_one_config(rng, folder, figures)
        return
    single_lines = rng.random() < 0.5
    source, expected = (damaged_parquet_file if kind == "parquet" else damaged_lines_file)(kind, rng, folder, single_lines)
    try:
        log = source.read()
        read = EventLog(*(None if f is None else f.collect().lazy() for f in (log.events, log.items, log.rejected)))
        checked = validate(read)
        figures["rows in"] += checked.num_rows
        figures["rows kept"] += checked.events.height + checked.items.height
        figures["rows quarantined"] += checked.quarantine.height
        check_rows(read, checked, expected)
        if number % 3 == 0:  # writing the store takes longer than the steps above
            open_event_store(source, PreparationSettings(), folder / "cache", max_bad_fraction=1)
    except DataError as err:
        if expected and expected.times:
            raise Lost(f"refused although {len(expected.times)} rows are valid: {err}") from err
        if "\n" in str(err) or not str(err):
            raise AssertionError(f"not one line: {err}") from err
        figures["refusals"] += 1
    else:
        figures["logs"] += 1
    figures["with single damaged lines"] += single_lines


def damaged_lines_file(kind: str, rng: random.Random, folder: Path, single_lines: bool) -> tuple[Source, ExpectedRows | None]:
    """Write a damaged file of lines; return its source and the rows that must be in its log."""
    file_format = FORMATS[kind]
    parts = [[*head, *rows] for head, rows in zip(file_format.header, file_format.lines(rng), strict=True)]
    heads = [len(head) for head in file_format.header]
    files = [folder / name for name in (file_format.events, file_format.items) if name]
    part_index = int(file_format.items is not None and rng.random() < 0.25)
    expected = None
    if single_lines:
        undamaged = [set(range(len(part) - head)) for part, head in zip(parts, heads, strict=True)]
        changed = set(rng.sample(range(heads[part_index], len(parts[part_index])), rng.randint(1, 5)))
        undamaged[part_index] -= {n - heads[part_index] for n in changed}
        new: list[bytes] = []
        for n, text in enumerate(parts[part_index]):
            choice = rng.randrange(6) if n in changed else -1
            if choice == 0:
                continue
            if choice == 1:
                new += [text, text]
            elif choice == 2:
                new += [text, b""]
            elif choice > 2:
                new.append(damage_line(rng, text, file_format.separator, quotes=not file_format.spans))
            else:
                new.append(text)
        parts[part_index] = new
        rows = [sum(bool(text.strip()) for text in part[head:]) for part, head in zip(parts, heads, strict=True)]
        expected = ExpectedRows(
            {FIRST + n for n in undamaged[0]}, {f"i{n}" for n in undamaged[1]}, list(zip(files, rows, strict=False))
        )
    raws = [file_bytes(file.name, part) for file, part in zip(files, parts, strict=False)]
    if not single_lines:
        raws[part_index] = damage_anywhere(rng, raws[part_index])
    for file, raw in zip(files, raws, strict=True):
        file.write_bytes(raw)
    return file_format.source(folder), expected


def damaged_parquet_file(kind: str, rng: random.Random, folder: Path, single_lines: bool) -> tuple[Source, ExpectedRows | None]:
    """Write a Parquet file with damaged rows, or damaged anywhere; return its source and the rows that must be in its log."""
    files = folder / "events.parquet", folder / "items.parquet"
    *raws, expected = parquet(rng, files)
    if not single_lines:
        raws[0] = damage_anywhere(rng, raws[0])
    for file, raw in zip(files, raws, strict=True):
        file.write_bytes(raw)
    return Files(*map(str, files)), ExpectedRows(*expected) if single_lines else None


def check_rows(log: EventLog, checked: ValidatedLog, expected: ExpectedRows | None) -> None:
    """Compare the rows that were read with those that were written.

    Raises:
        Lost: if a valid row is missing, or the numbers of rows do not add up.
    """
    used = checked.events.height + checked.items.height
    if checked.num_rows != used + checked.quarantine.height:
        raise Lost(f"{checked.num_rows} rows are not {used} kept and {checked.quarantine.height} quarantined")
    if expected is None:
        return
    missing = expected.times - set(checked.events["timestamp"]), expected.items - set(checked.items["item_id"])
    if any(missing):
        raise Lost(
            f"{len(missing[0])} valid events and {len(missing[1])} items are missing: {checked.quarantine.head(5).rows()}"
        )
    frames = [None if f is None else f.select("file").collect() for f in (log.events, log.items, log.rejected)]
    for (file, rows), frame in zip(expected.rows, frames, strict=False):
        num_read = sum((part["file"] == str(file)).sum() for part in (frame, frames[2]) if part is not None)
        if num_read != rows:
            raise Lost(f"{rows} rows were in {file.name}, {num_read} were read")


def raise_hang(*_: object) -> None:
    """Raise on the alarm signal."""
    raise Hang(f"over {LIMIT} seconds")


def check_range(kind: str, seed: int, first: int, last: int, result: Path) -> None:
    """Check files ``first`` to ``last`` of one kind in this process; write the outcomes to ``result`` after each."""
    resource.setrlimit(resource.RLIMIT_AS, (24 << 30, 24 << 30))
    signal.signal(signal.SIGALRM, raise_hang)
    for name, size in SMALL.items():
        setattr(lines, name, size)
    figures: Counter[str] = Counter()
    failures: list[str] = []
    memory_folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for number in range(first, last):
        result.write_text(json.dumps({"next": number + 1, "figures": figures, "failures": failures}))
        with tempfile.TemporaryDirectory(dir=memory_folder) as name:
            signal.alarm(LIMIT)
            faulthandler.dump_traceback_later(2 * LIMIT, exit=True)  # if native code holds the interpreter lock
            start = time.perf_counter()
            try:
                check_one_file(kind, number, seed, Path(name), figures)
            except KeyboardInterrupt:
                raise
            except BaseException as err:
                failures.append(f"{kind} {number}: {type(err).__name__}: {' '.join(str(err).split())[:300]}")
            signal.alarm(0)
            faulthandler.cancel_dump_traceback_later()
            figures["slowest, ms"] = max(figures["slowest, ms"], int(1000 * (time.perf_counter() - start)))
        figures["files"] += 1
    result.write_text(json.dumps({"next": last, "figures": figures, "failures": failures}))


def check_kind(kind: str, seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """Check all files of one kind in subprocesses: a crash is a failure of the current file, and the next ones continue.

    Args:
        kind: one of :data:`KINDS`.
        seed: seed of the damage.
        count: number of files per format.
    """
    count = max(1, count // (3 if kind == "config" else 1))
    figures: Counter[str] = Counter()
    failures: list[str] = []
    first = 0
    with tempfile.TemporaryDirectory() as name:
        result = Path(name) / "outcomes.json"
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
            completed = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
            state = json.loads(result.read_text()) if result.exists() else {"next": count, "figures": {}, "failures": []}
            for key, value in state["figures"].items():
                figures[key] = max(figures[key], value) if key.startswith("slowest") else figures[key] + value
            failures += state["failures"]
            if completed.returncode:
                failures.append(
                    f"{kind} {state['next'] - 1}: the process died with {completed.returncode}: {completed.stderr[-300:]}"
                )
            first = state["next"]
    return figures, failures


def main() -> None:
    """Print the figures; exit with status 1 if a file failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="files per format; a third as many configs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--range", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        check_range(options.child, options.seed, int(options.range[0]), int(options.range[1]), Path(options.range[2]))
        return
    start = time.perf_counter()
    total: Counter[str] = Counter()
    failures: list[str] = []
    columns = ("files", "logs", "refusals", "rows in", "rows kept", "rows quarantined", "slowest, ms")
    print(f"{'':9}" + "".join(f"{name:>18}" for name in (*columns, "failures")))
    for kind in options.only:
        figures, failed = check_kind(kind, options.seed, options.count)
        print(f"{kind:9}" + "".join(f"{figures[name]:18,}" for name in columns) + f"{len(failed):18,}", flush=True)
        for name in columns[:-1]:
            total[name] += figures[name]
        failures += failed
    print(f"{'all':9}" + "".join(f"{total[name]:18,}" for name in columns[:-1]) + f"{'':18}{len(failures):18,}")
    print(f"{time.perf_counter() - start:.0f} s, seed {options.seed}")
    print("\n".join(failures[:40]))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
