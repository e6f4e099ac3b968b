"""Blocks parsed by Polars give the same rows as the exact readers, which parse irregular blocks."""

import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from interestlab.contract import EventLog
from interestlab.errors import DataError
from interestlab_sources import delimited, fast_parser, lines, quoted_csv
from interestlab_sources.fast_parser import parse_block
from interestlab_sources.files import Files
from interestlab_sources.recbole import RecBole
from interestlab_sources.taobao import Taobao

NAMES = ("a", "b", "c")
QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FORMATS = {
    "csv": (Files, ",", b"user_id,item_id,timestamp\n"),
    "tsv": (Files, "\t", b"user_id\titem_id\ttimestamp\n"),
    "inter": (RecBole, "\t", b"user_id:token\titem_id:token\ttimestamp:float\n"),
    "tao": (Taobao, ",", b""),
}


def read(name: str, raw: bytes) -> tuple[EventLog | None, int]:
    """Read a file, and count the blocks that Polars parsed."""
    parsed = 0

    def spy(*args, **kwargs):
        nonlocal parsed
        block = parse_block(*args, **kwargs)
        parsed += block is not None
        return block

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{name}"
        path.write_bytes(raw)
        with mock.patch.object(quoted_csv, "parse_block", spy), mock.patch.object(delimited, "parse_block", spy):
            try:
                log = FORMATS[name][0](str(path)).read()
            except DataError:
                return None, parsed
            return EventLog(*(None if f is None else f.collect() for f in (log.events, log.items, log.rejected))), parsed


def read_exactly(name: str, raw: bytes) -> EventLog | None:
    with mock.patch(f"{__name__}.parse_block", return_value=None):
        return read(name, raw)[0]


def assert_equal(name: str, raw: bytes) -> int:
    """Compare both ways of reading, and return the number of blocks that Polars parsed."""
    fast, parsed = read(name, raw)
    exact = read_exactly(name, raw)
    assert (fast is None) == (exact is None)
    if fast is None or exact is None:
        return parsed
    columns = sorted(fast.events.columns)
    assert columns == sorted(exact.events.columns)
    for left, right in ((fast.events, exact.events), (fast.rejected, exact.rejected)):
        columns = sorted(left.columns)
        drop = [c for c in columns if c == "file"]
        assert left.select(columns).drop(drop).sort("line").equals(right.select(columns).drop(drop).sort("line"))
    return parsed


def csv_rows(separator: str) -> st.SearchStrategy[bytes]:
    """Generate mostly regular rows: plain and quoted cells, both line endings, and some irregular bytes."""
    sep = separator.encode()
    plain = st.sampled_from([b"u", b"1", b"", b" ", b"\xc3\xa9", b"x y", b"'"])
    quoted = st.sampled_from([b'""', b'"u"', b'"a' + sep + b'b"', b'"a\nb"', b'"a""b"', b'"a\r\nb"', b'" "', b'""""', b'"\n"'])
    irregular = st.sampled_from(
        [b'"', b'a"b', b'"a"b', b' "a"', b'"a" ', b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xef\xbb\xbfu", b"\x0b"]
    )
    cell = st.one_of(plain, plain, plain, quoted, quoted, irregular)
    regular = st.one_of(plain, plain, quoted)
    row = st.one_of(
        st.lists(regular, min_size=3, max_size=3),
        st.lists(regular, min_size=3, max_size=3),
        st.lists(plain, min_size=5, max_size=5),
        st.lists(cell, min_size=0, max_size=5),
    ).map(sep.join)
    return st.lists(st.tuples(row, st.sampled_from([b"\n", b"\n", b"\r\n", b"\n\n", b""])).map(b"".join), max_size=10).map(
        b"".join
    )


@pytest.mark.parametrize("name", FORMATS)
def test_polars_and_the_exact_readers_agree(name, monkeypatch):
    _, separator, header = FORMATS[name]

    @QUICK
    @given(csv_rows(separator), st.sampled_from([1, 12, 40, 1 << 20]))
    @example(b'"a\nb"' + separator.encode() * 2 + b"\n", 1)
    @example(b"\xef\xbb\xbfu" + separator.encode() * 2 + b"\n", 1)
    @example(separator.encode() * 2 + b"\n" + b"u" + separator.encode() * 2 + b"\n", 1)
    def check_rows(raw: bytes, size: int) -> None:
        monkeypatch.setattr(lines, "BLOCK", size)
        monkeypatch.setattr(lines, "_READ_SIZE", 8)
        monkeypatch.setattr(quoted_csv, "EXACT_BYTES", size // 3)
        monkeypatch.setattr(delimited, "EXACT_BYTES", size // 3)
        assert_equal(name, header + raw)

    check_rows()


@pytest.mark.parametrize("name", FORMATS)
def test_regular_files_are_parsed_by_polars(name):
    _, separator, header = FORMATS[name]
    width = 5 if name == "tao" else 3
    row = separator.join(["u", "1", "2", "pv", "4"][:width]).encode()
    assert assert_equal(name, header + (row + b"\n") * 50) == 1
    assert assert_equal(name, header + (row + b"\r\n") * 50) == 1


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_quoted_fields_are_parsed_by_polars(ending):
    row = b'u,"a, ""b""\n\nc",""' + ending
    assert assert_equal("csv", FORMATS["csv"][2] + row * 50) == 1


def test_a_bad_row_leaves_the_others_to_polars(monkeypatch):
    monkeypatch.setattr(quoted_csv, "EXACT_BYTES", 20)
    rows = [b"u,i,1\n"] * 200
    rows[100] = b"u,i\n"
    content = FORMATS["csv"][2] + b"".join(rows)
    assert assert_equal("csv", content) == 2


@pytest.mark.parametrize(
    "block",
    [
        b"a,b\n",
        b"a,b,c,d\n",
        b"a,b,c\rd,e,f\n",
        b"a,b,c\r\r\n",
        b"a,b,\0\n",
        b"a,b,\xff\n",
        b"\xef\xbb\xbfa,b,c\n",
        b'a,"b"x,c\n',
        b'a,x"b",c\n',
        b'a,b,"c\n',
        b"a,b,c",
        b"",
    ],
)
def test_irregular_blocks_are_left_to_the_exact_reader(block):
    assert parse_block(1, block, ",", NAMES, quoted=True) is None


def test_blank_rows_of_tabs_are_left_to_the_exact_reader():
    assert parse_block(1, b" \t\t\na\tb\tc\n", "\t", NAMES, quoted=True) is None
    assert parse_block(1, b"a\tb\tc\n \t\t\n", "\t", NAMES, quoted=True).frame.height == 1
    assert parse_block(1, b"a\tb\tc\n \t\tc\n", "\t", NAMES, quoted=True).frame.height == 2


def test_too_long_fields_are_left_to_the_exact_reader(monkeypatch):
    monkeypatch.setattr(fast_parser, "LONGEST_FIELD", 10)
    assert parse_block(1, b"a,b,c\n", ",", NAMES, quoted=True) is not None
    assert parse_block(1, b"a,b,cccccccccc\n", ",", NAMES, quoted=True) is None


@pytest.mark.parametrize(
    "irregular",
    [b"e,f\n", b"\n", b"e,f,g\rh\n", b"e,\0,g\n", b"e,\xff,g\n", b'e,"f"f,g\n', b'e,f"f"f,g\n', b'e,f,"g\n', b"e,f,g\r\r\n"],
)
def test_rows_before_an_irregular_record_are_parsed(irregular):
    parsed = parse_block(1, b'a,"b",c\r\nd,d,d\n' + irregular + b"h,h,h\n", ",", NAMES, quoted=True)
    assert parsed is not None
    assert parsed.frame.rows() == [("a", "b", "c", 1), ("d", "d", "d", 2)]


def test_line_numbers_and_the_unfinished_record():
    parsed = parse_block(7, b'a,b,"c\nd"\ne,,"f"\ng,"h', ",", NAMES, quoted=True)
    assert parsed is not None
    assert parsed.frame.rows() == [("a", "b", "c\nd", 7), ("e", None, "f", 9)]
    assert parsed.size == len(b'a,b,"c\nd"\ne,,"f"\n')
    assert parse_block(1, b'a,"b,c\n', ",", NAMES, quoted=False).frame.rows() == [("a", '"b', "c", 1)]
