import gzip
import tracemalloc
from pathlib import Path

import polars as pl
import pytest

from interestlab.errors import DataError
from interestlab_sources import lines, spool
from interestlab_sources.lines import numbered_lines
from interestlab_sources.paths import check_readable
from interestlab_sources.table import Table


def read(path: str) -> tuple[list[tuple[int, bytes]], list[tuple[int, str]]]:
    rejected: list[tuple[int, str]] = []
    return list(numbered_lines(Path(path), lambda line, why: rejected.append((line, why)))), rejected


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["a.txt", "a.gz"])
def test_gzip_is_recognised_by_its_bytes(write, zipped, name):
    assert read(write(name, "a\n\nb", zipped)) == ([(1, b"a"), (2, b""), (3, b"b")], [])


def test_byte_order_mark(write):
    assert read(write("a", b"\xef\xbb\xbfa\nb\n"))[0] == [(1, b"a"), (2, b"b")]
    assert read(write("a", b"\xef\xbb\xbfa"))[0] == [(1, b"a")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 18])
def test_lines_do_not_depend_on_the_blocks(write, monkeypatch, size):
    monkeypatch.setattr(lines, "BLOCK", size)
    monkeypatch.setattr(lines, "_READ_SIZE", size)
    content = b"\xef\xbb\xbfone\r\n\ntwo two two\nthree"
    assert [line for _, line in read(write("a", content))[0]] == [b"one\r", b"", b"two two two", b"three"]


def test_lines_before_a_break_in_gzip_are_read(write):
    content = "".join(f"line {i * 7919 % 10007}\n" for i in range(30_000)).encode()
    compressed = gzip.compress(content)
    numbered, rejected = read(write("a.gz", compressed[: len(compressed) // 2]))
    assert len(numbered) > 10_000
    assert [line for _, line in numbered] == content.splitlines()[: len(numbered)]
    assert [line for line, _ in rejected] == [len(numbered) + 1]
    assert "truncated or corrupted" in rejected[0][1]


@pytest.mark.parametrize(("end", "after"), [(b"", []), (b"\n", []), (b"\n\n", [(3, b"")]), (b"\nb\nc", [(3, b"b"), (4, b"c")])])
@pytest.mark.parametrize("size", [1, 5, 64])
def test_a_too_long_line_is_rejected(write, monkeypatch, size, end, after):
    monkeypatch.setattr(lines, "BLOCK", size)
    monkeypatch.setattr(lines, "_READ_SIZE", size)
    monkeypatch.setattr(lines, "LONGEST", 100)
    numbered, rejected = read(write("a.gz", gzip.compress(b"a\n" + b"x" * 1000 + end)))
    assert numbered == [(1, b"a"), *after]
    assert rejected == [(2, "line longer than 0 MiB")]
    assert read(write("b", b"y" * 100 + b"\n"))[1] == []
    assert read(write("c", b"y" * 101 + b"\nz"))[0] == [(2, b"z")]


def test_a_small_gzip_of_one_long_line_does_not_fill_the_memory(write):
    path = write("a.gz", gzip.compress(bytes(300 << 20), 1))
    tracemalloc.start()
    numbered, rejected = read(path)
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()
    assert (numbered, rejected) == ([], [(1, "line longer than 64 MiB")])


def test_lines_of_gzip_with_a_wrong_checksum_are_read(write):
    broken = bytearray(gzip.compress(b"a\nb\n"))
    broken[-8] ^= 255
    numbered, rejected = read(write("a.gz", bytes(broken)))
    assert [line for _, line in numbered] == [b"a", b"b"]
    assert [line for line, _ in rejected] == [3]


def test_gzip_with_several_members(write):
    assert len(read(write("a.gz", gzip.compress(b"a\n") + gzip.compress(b"b\n")))[0]) == 2


@pytest.mark.parametrize("path", ["nowhere.csv", "", ".", "a\0b", "~nobody-of-this-name/x", "x" * 5000])
def test_paths_that_are_not_files(path):
    with pytest.raises(DataError):
        check_readable(path)


def test_paths_with_spaces_unicode_and_home(write, tmp_path, monkeypatch):
    write("my data/购物 [1].csv", "a")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert check_readable("~/my data/购物 [1].csv").is_file()


def test_empty_file(write):
    with pytest.raises(DataError, match="is empty"):
        check_readable(write("a.csv", ""))


def test_rows_beyond_the_memory_limit_are_stored_on_disk_in_order(monkeypatch, tmp_path):
    monkeypatch.setattr(spool, "MEMORY_LIMIT", 100)
    table = Table(tmp_path / "a")
    for i in range(50):
        table.add([i], {"a" if i % 2 else "b": [str(i)]})
    assert table._rows._files
    rows = table.rows().collect()
    assert rows["line"].to_list() == list(range(50))
    assert rows.select(pl.coalesce("a", "b")).to_series().to_list() == [str(i) for i in range(50)]


def test_progress_shows_only_for_long_reads_on_a_terminal(write, monkeypatch, capsys):
    monkeypatch.setattr("interestlab_sources.progress.DELAY", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    read(write("big.json", "a\n" * 10))
    assert "reading big.json" in capsys.readouterr().err
    monkeypatch.setattr("interestlab_sources.progress.DELAY", 60.0)
    read(write("big.json", "a\n" * 10))
    assert capsys.readouterr().err == ""
