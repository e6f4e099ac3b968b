from pathlib import Path

import pytest

from interestlab.errors import DataError
from interestlab_sources.recbole import RecBole

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t2\t4.0\t881250949\n3\t4\t\t881250950\n"
ITEM = "item_id:token\tmovie_title:token_seq\tclass:token_seq\trelease_year:token\n2\tToy Story\tAnimation Comedy\t1995\n"


def test_folder_with_items(write):
    path = Path(write("ml tiny/ml tiny.inter", INTER))
    write("ml tiny/ml tiny.item", ITEM)
    write("ml tiny/ml tiny.user", "not read")
    source = RecBole(str(path.parent))
    assert [p.suffix for p in source.files()] == [".inter", ".item"]
    log = source.read()
    assert log.events.collect().select("user_id", "item_id", "rating", "timestamp", "line").rows() == [
        ("1", "2", "4.0", "881250949", 2),
        ("3", "4", None, "881250950", 3),
    ]
    assert log.items.collect().drop("file", "line").rows(named=True) == [
        {"item_id": "2", "title": "Toy Story", "category": "Animation Comedy", "release_year": "1995"}
    ]
    assert RecBole(str(path)).read().events.collect().height == 2


def test_other_names_are_mapped(write):
    path = write("a.inter", "uid:token\tsong:token\tat:float\tstars:float\nu\ts\t1\t5\n")
    events = RecBole(path, columns={"user_id": "uid", "item_id": "song", "timestamp": "at"}).read().events.collect()
    assert events.row(0, named=True) | {"file": ""} == {
        "user_id": "u", "item_id": "s", "timestamp": "1", "rating": "5", "file": "", "line": 2,
    }  # fmt: skip
    with pytest.raises(DataError, match="did you mean 'uid'"):
        RecBole(path, columns={"user_id": "uidd"}).read()
    with pytest.raises(DataError, match="no column user_id or item_id"):
        RecBole(path).read()


def test_bad_lines(write):
    log = RecBole(write("a.inter", INTER.encode() + b"1\t2\n\n\xff\t1\t2\t3\n5\t6\t7\t8\r\n")).read()
    assert log.rejected.collect().select("line", "reason").sort("line").rows() == [
        (4, "2 fields, not 4"),
        (6, "not UTF-8 at byte 1"),
    ]
    assert log.events.collect().tail(1).select("timestamp", "line").rows() == [("8", 7)]


@pytest.mark.parametrize(
    "header",
    ["user_id\titem_id\ttimestamp", "user_id:int\titem_id:token", b"\xff:token", "a:token\ta:token", ":token", "\n"],
)
def test_no_header(write, header):
    with pytest.raises(DataError):
        RecBole(write("a.inter", header + (b"\n1" if isinstance(header, bytes) else "\n1"))).read()


def test_header_only(write):
    with pytest.raises(DataError, match="no rows"):
        RecBole(write("a.inter", INTER.partition("\n")[0])).read()


def test_choice_of_the_file_in_a_folder(write, tmp_path):
    with pytest.raises(DataError, match=r"no \.inter file"):
        RecBole(str(tmp_path)).files()
    write("x.inter", INTER)
    assert RecBole(str(tmp_path)).read().events.collect().height == 2
    write("y.inter", INTER)
    with pytest.raises(DataError, match=r"several \.inter files"):
        RecBole(str(tmp_path)).files()
    with pytest.raises(DataError, match="no such file"):
        RecBole(str(tmp_path / "z")).files()
