"""For any bytes, only DataError is raised, and every line that is not blank is a row or is rejected."""

import csv
import gzip
import io
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from interestlab.contract import EventLog, Source
from interestlab.errors import DataError
from interestlab_sources import lines
from interestlab_sources.amazon import Amazon
from interestlab_sources.files import Files
from interestlab_sources.recbole import RecBole
from interestlab_sources.taobao import Taobao

FORMATS = {
    "json": (Amazon, b"", b'{"reviewerID":"u","asin":"i","unixReviewTime":1}'),
    "jsonl": (Files, b"", b'{"user_id":"u","item_id":"i","timestamp":1}'),
    "csv": (Files, b"user_id,item_id,timestamp\n", b"u,i,1"),
    "tsv": (Files, b"user_id\titem_id\ttimestamp\n", b"u\ti\t1"),
    "tao": (Taobao, b"", b"u,i,1,pv,2"),
    "inter": (RecBole, b"user_id:token\titem_id:token\ttimestamp:float\n", b"u\ti\t1"),
}
QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(lines, "CHUNK", 3)
    monkeypatch.setattr(lines, "BLOCK", 24)
    monkeypatch.setattr(lines, "_READ_SIZE", 16)


def content(good: bytes, quotes: bool) -> st.SearchStrategy[bytes]:
    """Generate lines that are valid, nearly valid, or arbitrary."""
    alphabet = b"u,i\t1 \r\0{}[]:'\\\xff\xc3\xa9" + (b'"' if quotes else b"")
    arbitrary = st.lists(st.sampled_from([alphabet[i : i + 1] for i in range(len(alphabet))]), max_size=12).map(b"".join)
    truncated = st.integers(0, len(good)).map(lambda n: good[:n])
    line = st.one_of(st.just(good), arbitrary, truncated, st.binary(max_size=12).filter(lambda b: quotes or b'"' not in b))
    return st.lists(line, max_size=12).map(b"\n".join)


def read(name: str, raw: bytes) -> EventLog | None:
    source: type[Source] = FORMATS[name][0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{name}"
        path.write_bytes(raw)
        try:
            log = source(str(path)).read()
        except DataError:
            return None
        return EventLog(*(None if f is None else f.collect() for f in (log.events, log.items, log.rejected)))


def rows(log: EventLog) -> int:
    return log.events.height + log.rejected.height


def filled_lines(raw: bytes) -> list[int]:
    return [n for n, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1) if line.strip()]


@pytest.mark.parametrize("name", FORMATS)
def test_every_line_is_accounted_for(name):
    _, header, good = FORMATS[name]

    @QUICK
    @example(b"\r\t")  # Python's csv takes a lone carriage return for the end of a record
    @given(content(good, quotes=name not in ("csv", "tsv")))
    def check(raw: bytes) -> None:
        raw = header + good + b"\n" + raw  # a valid line first, so that the file is never refused
        log = read(name, raw)
        assert log is not None
        line_numbers = [*log.events["line"], *log.rejected["line"]]
        assert sorted(line_numbers) == filled_lines(raw)[1 if header else 0 :]
        assert set(log.rejected["reason"].to_list()).isdisjoint({None, ""})

    check()


@pytest.mark.parametrize("name", FORMATS)
def test_arbitrary_bytes(name):
    @QUICK
    @given(st.one_of(st.binary(max_size=200), content(FORMATS[name][2], quotes=True)))
    @example(b"\x1f\x8b")
    @example(b"\xff\xfeu\0,\0i\0")
    @example(b"\n")
    def check(raw: bytes) -> None:
        log = read(name, raw)
        if log is not None and not raw.startswith(b"\x1f\x8b") and b'"' not in raw:
            assert rows(log) == len(filled_lines(raw)) - bool(FORMATS[name][1])

    check()


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8)


@QUICK
@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=20))
def test_csv_written_by_python_is_read_back(records):
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("user_id", "item_id", "timestamp"), *records])
    log = read("csv", out.getvalue().encode())
    assert log is not None
    assert log.rejected.is_empty()
    assert log.events.select("user_id", "item_id", "timestamp").rows() == [tuple(c or None for c in r) for r in records]


@pytest.mark.parametrize("name", FORMATS)
def test_lines_before_a_break_in_gzip_are_read(name, monkeypatch):
    monkeypatch.setattr(lines, "CHUNK", 900)
    monkeypatch.setattr(lines, "BLOCK", 4096)
    _, header, good = FORMATS[name]
    compressed = gzip.compress(header + (good + b"\n") * 2000, compresslevel=0)

    @QUICK
    @given(st.integers(len(header) + 400, len(compressed) - 1), st.sampled_from(["cut", "flip"]))
    def check(position: int, damage: str) -> None:
        raw = (
            compressed[:position]
            if damage == "cut"
            else compressed[:position] + bytes([compressed[position] ^ 255]) + compressed[position + 1 :]
        )
        log = read(name, raw)
        assert log is not None
        broken = log.rejected.filter(log.rejected["reason"].str.contains("truncated or corrupted"))
        assert broken.height == 1
        assert rows(log) == broken["line"][0] - bool(header)
        if damage == "cut":
            decompressed = zlib.decompressobj(31).decompress(raw)
            assert log.events.height == decompressed.count(b"\n") - bool(header)

    check()
