import polars as pl

from interestlab_sources.taobao import Taobao

ROWS = "1,10,7,pv,1511544070\n1,11,8,buy,1511544071\n2,10,9,fav,1511544072\n2,12,7,cart,1511544073\n"


def test_behaviours_and_categories(write):
    path = write("User Behavior.csv", ROWS)
    log = Taobao(path).read()
    events = log.events.collect()
    assert events["event"].to_list() == ["view", "purchase", "favorite", "cart"]
    assert events.columns == ["user_id", "item_id", "event", "timestamp", "line", "file"]
    assert log.items.collect().select("item_id", "category", "line").rows() == [("10", "7", 1), ("11", "8", 2), ("12", "7", 4)]
    assert log.rejected.collect().is_empty()
    assert [str(p) for p in Taobao(path).files()] == [path]


def test_bad_lines(write):
    bad = b"1,2,3,pv\n1,2,3,pv,4,5\n\xff,2,3,pv,4\n\n1,\x00,3,pv,4\nx\n,,,,\n1,2,3,odd,4\r\n"
    log = Taobao(write("a.csv", ROWS.encode() + bad)).read()
    assert log.rejected.collect().select("line", "reason").sort("line").rows() == [
        (5, "4 fields, not 5"),
        (6, "6 fields, not 5"),
        (7, "not UTF-8 at byte 1"),
        (9, "contains a NUL byte"),
        (10, "1 fields, not 5"),
    ]
    tail = log.events.collect().tail(2)
    assert tail.select("line", "event", "timestamp").rows() == [(11, None, None), (12, "odd", "4")]


def test_garbage_only(write):
    log = Taobao(write("a.csv", "x\ny")).read()
    assert log.events.collect().is_empty()
    assert log.items.collect().is_empty()
    assert log.rejected.collect().height == 2


def test_first_rows_of_the_real_data(data, write):
    folder = data / "taobao_userbehavior_head"
    codes = {"view": "pv", "purchase": "buy", "favorite": "fav"}
    events = pl.read_parquet(folder / "interactions.parquet")
    written = events.select("user_id", "item_id", "category_id", pl.col("event").replace(codes), "timestamp")
    log = Taobao(write("a.csv", written.write_csv(include_header=False))).read()
    assert log.events.select("user_id", "item_id", "event").collect().equals(events.select("user_id", "item_id", "event"))
    assert log.items.collect().height == 55_368
