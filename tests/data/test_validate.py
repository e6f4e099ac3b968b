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


def checked(events, items=None, rejected=None):
    frames = [None if f is None else pl.DataFrame(f).lazy() for f in (events, items, rejected)]
    return validate(EventLog(*frames))


def one(**columns):
    return {"user_id": ["u"], "item_id": ["i"], "timestamp": [1_500_000_000]} | {k: [v] for k, v in columns.items()}


@settings(deadline=None, max_examples=60)
@given(EVENTS, ITEMS, st.integers(0, 2))
def test_no_row_is_lost(events, items, rejected):
    names = ["user_id", "item_id", "timestamp", "rating", "position", "event"]
    found = validate(
        EventLog(
            events=pl.LazyFrame(events, schema=dict.fromkeys(names, pl.String), orient="row"),
            items=pl.LazyFrame(items, schema={"item_id": pl.String, "price": pl.String}, orient="row"),
            rejected=pl.LazyFrame({"file": ["f"] * rejected, "line": [1] * rejected, "reason": ["odd"] * rejected}),
        )
    )
    assert found.num_rows == len(events) + len(items) + rejected
    assert found.events.height + found.items.height + found.quarantine.height == found.num_rows
    assert found.quarantine["reason"].null_count() == 0
    kept = found.events
    assert kept.select(pl.col("user_id", "item_id", "timestamp", "event").null_count()).row(0) == (0, 0, 0, 0)
    assert kept["timestamp"].is_between(1, 4_102_444_799).all()
    assert (kept["user_id"] != "").all()
    assert kept["rating"].drop_nulls().is_finite().all()
    assert found.items["price"].drop_nulls().is_finite().all()
    assert found.items["item_id"].is_unique().all()
    # A number that was given is kept or quarantined; it does not turn into null.
    sound = [(r, p) for u, i, _, r, p, _ in events if (u or "").strip() and (i or "").strip()]
    assert kept["rating"].null_count() <= sum(r is None for r, _ in sound)
    assert kept["position"].null_count() <= sum(p is None for _, p in sound)


def test_types_of_the_common_schema():
    found = checked(one(user_id=7, item_id=8, timestamp="1500000000", rating="4", position="3", colour="red"))
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
    assert dict(found.events.schema) == schema
    row = {"user_id": "7", "item_id": "8", "timestamp": 1_500_000_000, "event": "interaction", "rating": 4.0}
    assert found.events.row(0, named=True) == row | {"text": None, "position": 3, "colour": "red"}
    assert dict(found.items.schema)["price"] == pl.Float32
    assert found.items.height == 0


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"user_id": None}, "user_id is missing"),
        ({"item_id": "  "}, "item_id is missing"),
        ({"timestamp": None}, "timestamp is missing"),
        ({"timestamp": "soon"}, "timestamp is not a number of seconds: soon"),
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
    found = checked(one(**columns))
    assert found.events.is_empty()
    assert pl.Series([found.quarantine["reason"][0]]).str.contains(reason).all(), found.quarantine["reason"][0]


def test_the_first_reason_is_told():
    found = checked(one(user_id=None, timestamp="x"))
    assert found.quarantine["reason"].to_list() == ["user_id is missing"]


@pytest.mark.parametrize(
    "moment",
    [dt.datetime(2020, 1, 2, 3, 4, 5), dt.datetime(2020, 1, 2, 3, 4, 5, 999_000, dt.UTC)],
)
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_datetime_columns(moment, unit):
    frame = one(timestamp=moment)
    events = pl.DataFrame(frame).with_columns(pl.col("timestamp").dt.cast_time_unit(unit))
    expected = int(moment.replace(tzinfo=dt.UTC).timestamp())
    assert checked(events).events["timestamp"].to_list() == [expected]


def test_time_zones_count():
    zone = dt.timezone(dt.timedelta(hours=8))
    moment = pl.Series([dt.datetime(2020, 1, 2, tzinfo=zone)]).dt.convert_time_zone("Asia/Shanghai")
    assert checked(pl.DataFrame(one()).with_columns(timestamp=moment)).events["timestamp"].to_list() == [1_577_894_400]


def test_date_columns():
    assert checked(one(timestamp=dt.date(2020, 1, 1))).events["timestamp"].to_list() == [1_577_836_800]


def test_repeated_items():
    found = checked(one(), {"item_id": ["x", " x", "y", "x "], "title": ["1", "2", "3", "4"]})
    assert found.items.select("item_id", "title").rows() == [("x", "1"), ("y", "3")]
    assert found.quarantine["line"].to_list() == [2, 4]
    assert "is a duplicate" in found.quarantine["reason"][0]


def test_bad_rows_say_where_they_came_from():
    found = checked(one(user_id="", file="a.csv", line=17), rejected={"file": ["b"], "line": [3], "reason": ["no JSON"]})
    assert found.quarantine.rows() == [("b", 3, "no JSON"), ("a.csv", 17, "user_id is missing")]


def test_without_lines_rows_are_counted_from_one():
    frame = {"user_id": ["u", None], "item_id": ["i", "i"], "timestamp": [5, 5]}
    assert checked(frame).quarantine["line"].to_list() == [2]


def test_a_column_called_reason_is_kept():
    assert checked(one(reason="broken")).events["reason"].to_list() == ["broken"]


@pytest.mark.parametrize("name", ["user_id", "item_id", "timestamp"])
def test_missing_column(name):
    frame = one(extra=1)
    del frame[name]
    with pytest.raises(DataError, match=rf"the events have no column {name}; they have: .*extra"):
        checked(frame)


def test_missing_item_column():
    with pytest.raises(DataError, match="the items have no column item_id"):
        checked(one(), {"asin": ["x"]})


@pytest.mark.parametrize("name", ["user", "item", "row"])
def test_reserved_columns(name):
    with pytest.raises(DataError, match=f"the events have a column {name}, .*rename"):
        checked(one(**{name: "x"}))


@pytest.mark.parametrize("name", ["timestamp", "text", "rating"])
def test_lists_where_one_value_is_wanted(name):
    with pytest.raises(DataError, match=f"lists or structs in {name}"):
        checked(one(**{name: ["x"]}))
