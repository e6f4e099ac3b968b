import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.contract import EventLog
from interestlab.data.validate import validate
from interestlab.errors import DataError

IDS = st.sampled_from(["a", "b", " a ", "", "  ", None, "用户"])
TIMES = st.one_of(
    st.none(),
    st.integers(-5, 4_200_000_000).map(str),
    st.sampled_from(["", "abc", "nan", "inf", "-inf", "1e12", "1500000000000", "1e400", "2020-01-01", "9" * 30, "0", "1.5"]),
)
NUMBERS = st.sampled_from([None, "1", "4.5", "five", "", "nan", "-inf", "1e39", "1e400"])
EVENTS = st.lists(st.tuples(IDS, IDS, TIMES, NUMBERS, NUMBERS, st.sampled_from([None, "view", "buy"])), max_size=8)
ITEMS = st.lists(st.tuples(IDS, NUMBERS), max_size=8)


def run(events, items=None, rejected=None):
    frames = [None if f is None else pl.DataFrame(f).lazy() for f in (events, items, rejected)]
    return validate(EventLog(*frames))


def row(**columns):
    return {"user_id": ["u"], "item_id": ["i"], "timestamp": [1_500_000_000]} | {k: [v] for k, v in columns.items()}


@settings(deadline=None)
@given(EVENTS, ITEMS, st.integers(0, 2))
def test_every_row_is_used_or_in_quarantine(events, items, rejected):
    names = ["user_id", "item_id", "timestamp", "rating", "position", "event"]
    validated = validate(
        EventLog(
            events=pl.LazyFrame(events, schema=dict.fromkeys(names, pl.String), orient="row"),
            items=pl.LazyFrame(items, schema={"item_id": pl.String, "price": pl.String}, orient="row"),
            rejected=pl.LazyFrame({"file": ["f"] * rejected, "line": [1] * rejected, "reason": ["odd"] * rejected}),
        )
    )
    assert validated.num_rows == len(events) + len(items) + rejected
    assert validated.events.height + validated.items.height + validated.quarantine.height == validated.num_rows
    assert validated.quarantine["reason"].null_count() == 0
    valid = validated.events
    assert valid.select(pl.col("user_id", "item_id", "timestamp", "event").null_count()).row(0) == (0, 0, 0, 0)
    assert valid["timestamp"].is_between(1, 4_102_444_799).all()
    assert (valid["user_id"] != "").all()
    assert valid["rating"].drop_nulls().is_finite().all()
    assert validated.items["price"].drop_nulls().is_finite().all()
    assert validated.items["item_id"].is_unique().all()
    # A number is either used or quarantined; it does not become null.
    with_ids = [(r, p) for u, i, _, r, p, _ in events if (u or "").strip() and (i or "").strip()]
    assert valid["rating"].null_count() <= sum(r is None for r, _ in with_ids)
    assert valid["position"].null_count() <= sum(p is None for _, p in with_ids)


def test_types_of_the_common_schema():
    validated = run(row(user_id=7, item_id=8, timestamp="1500000000", rating="4", position="3", colour="red"))
    schema = {
        "user_id": pl.String,
        "item_id": pl.String,
        "timestamp": pl.Int64,
        "event": pl.String,
        "rating": pl.Float32,
        "text": pl.String,
        "position": pl.Int64,
        "colour": pl.String,
    }
    assert dict(validated.events.schema) == schema
    expected = {"user_id": "7", "item_id": "8", "timestamp": 1_500_000_000, "event": "interaction", "rating": 4.0}
    assert validated.events.row(0, named=True) == expected | {"text": None, "position": 3, "colour": "red"}
    assert dict(validated.items.schema)["price"] == pl.Float32
    assert validated.items.height == 0


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"user_id": None}, "user_id is missing"),
        ({"item_id": "  "}, "item_id is missing"),
        ({"timestamp": None}, "timestamp is missing"),
        ({"timestamp": "soon"}, "timestamp is not a number of seconds: soon"),
        ({"timestamp": "2024-03-01T12:00"}, "timestamp 2024-03-01T12:00 is a date; convert it to unix seconds"),
        ({"timestamp": 1_500_000_000_000}, "timestamp 1500000000000 is outside 1970 to 2100 .it must be in unix seconds."),
        ({"timestamp": 0}, "timestamp 0 is outside"),
        ({"timestamp": dt.date(1960, 1, 1)}, "timestamp 1960-01-01 is outside"),
        ({"rating": "five"}, "rating is not a number: five"),
        ({"rating": 1e39}, "rating is not a number: 1"),
        ({"position": "first"}, "position is not a number: first"),
        ({"rating": "x" * 500}, "rating is not a number: x{40}$"),
    ],
)
def test_the_reason_names_the_value(columns, reason):
    validated = run(row(**columns))
    assert validated.events.is_empty()
    assert pl.Series([validated.quarantine["reason"][0]]).str.contains(reason).all(), validated.quarantine["reason"][0]


def test_the_first_reason_is_reported():
    validated = run(row(user_id=None, timestamp="x"))
    assert validated.quarantine["reason"].to_list() == ["user_id is missing"]


@pytest.mark.parametrize(
    "time",
    [dt.datetime(2020, 1, 2, 3, 4, 5), dt.datetime(2020, 1, 2, 3, 4, 5, 999_000, dt.UTC)],
)
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_datetime_columns(time, unit):
    frame = row(timestamp=time)
    events = pl.DataFrame(frame).with_columns(pl.col("timestamp").dt.cast_time_unit(unit))
    expected = int(time.replace(tzinfo=dt.UTC).timestamp())
    assert run(events).events["timestamp"].to_list() == [expected]


def test_time_zones():
    zone = dt.timezone(dt.timedelta(hours=8))
    time = pl.Series([dt.datetime(2020, 1, 2, tzinfo=zone)]).dt.convert_time_zone("Asia/Shanghai")
    assert run(pl.DataFrame(row()).with_columns(timestamp=time)).events["timestamp"].to_list() == [1_577_894_400]


def test_date_columns():
    assert run(row(timestamp=dt.date(2020, 1, 1))).events["timestamp"].to_list() == [1_577_836_800]


def test_duplicate_items():
    validated = run(row(), {"item_id": ["x", " x", "y", "x "], "title": ["1", "2", "3", "4"]})
    assert validated.items.select("item_id", "title").rows() == [("x", "1"), ("y", "3")]
    assert validated.quarantine["line"].to_list() == [2, 4]
    assert "is a duplicate" in validated.quarantine["reason"][0]


def test_quarantine_names_file_and_line():
    validated = run(row(user_id="", file="a.csv", line=17), rejected={"file": ["b"], "line": [3], "reason": ["no JSON"]})
    assert validated.quarantine.rows() == [("b", 3, "no JSON"), ("a.csv", 17, "user_id is missing")]


def test_without_line_column_rows_are_numbered_from_one():
    frame = {"user_id": ["u", None], "item_id": ["i", "i"], "timestamp": [5, 5]}
    assert run(frame).quarantine["line"].to_list() == [2]


def test_a_column_called_reason_is_not_dropped():
    assert run(row(reason="broken")).events["reason"].to_list() == ["broken"]


@pytest.mark.parametrize("name", ["user_id", "item_id", "timestamp"])
def test_missing_column(name):
    frame = row(extra=1)
    del frame[name]
    with pytest.raises(DataError, match=rf"the events have no column {name}; they have: .*extra"):
        run(frame)


def test_missing_item_column():
    with pytest.raises(DataError, match="the items have no column item_id"):
        run(row(), {"asin": ["x"]})


@pytest.mark.parametrize("name", ["user", "item", "row"])
def test_reserved_columns(name):
    with pytest.raises(DataError, match=f"the events have a column {name}, .*rename"):
        run(row(**{name: "x"}))


@pytest.mark.parametrize("name", ["timestamp", "text", "rating"])
def test_lists_in_schema_columns(name):
    with pytest.raises(DataError, match=f"lists or structs in {name}"):
        run(row(**{name: ["x"]}))
