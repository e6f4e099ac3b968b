"""What the times of the events say."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.contract import Encoder
from interestlab.data.time_features import COLUMNS, add_time_features

SECONDS = st.integers(1, 4_102_444_799)


class Index(Encoder):
    fields = ("event.hour",)

    def forward(self, inputs):
        return inputs.values[:, None].float()


def clock(users, times, **columns):
    frame = pl.LazyFrame({"user": pl.Series(users, dtype=pl.UInt32), "timestamp": times, **columns})
    return add_time_features(frame).collect()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(SECONDS, min_size=1, max_size=5).map(sorted), min_size=1, max_size=4))
def test_every_event_has_its_hour_weekday_and_time_away(histories):
    users = [u for u, history in enumerate(histories) for _ in history]
    found = clock(users, [t for history in histories for t in history])
    expected = []
    for history in histories:
        for before, now in zip([None, *history], history, strict=False):
            when = dt.datetime.fromtimestamp(now, dt.UTC)
            away = None if before is None else (1 + now - before).bit_length() - 1
            expected.append((when.hour, when.isoweekday(), away))
    assert found.select(*COLUMNS).rows() == expected
    assert all(value is None or value < size for row in expected for value, size in zip(row, (24, 8, 32), strict=True))


def test_powers_of_two_are_not_missed():
    times = [1, *(1 + sum(2**k - 1 for k in range(n + 1)) for n in range(31))]
    assert clock([0] * 32, times)["elapsed"].to_list() == [None, *range(31)]


def test_a_column_of_the_source_stays():
    found = clock([0, 0], [1, 2], hour=["dawn", None])
    assert found["hour"].to_list() == ["dawn", None]
    assert found["elapsed"].to_list() == [None, 1]


@pytest.mark.parametrize(("name", "size"), COLUMNS.items())
def test_they_are_fields_of_every_log(data, name, size):
    made = data()
    assert made.cardinalities[f"event.{name}"] == size
    found = made.feature(Index(), f"event.{name}")
    assert len(found.codes) == made.log.meta["events"]
    assert 0 < found.size <= size
    first = made.log.offsets[:-1]
    assert (found.codes[first] == -1).all() == (name == "elapsed")


def test_nothing_of_it_is_kept_or_named(data):
    made = data()
    assert not set(COLUMNS) & set(pl.read_parquet_schema(made.log.folder / "events.parquet"))
    assert "hour" not in (made.log.folder / "meta.json").read_text()


def test_it_knows_nothing_of_what_comes_after(data):
    whole, cut = data(["u,a,1", "u,b,2", "u,c,9"]), data(["u,a,1", "u,b,2"])
    columns = list(COLUMNS)
    assert whole.log.events.select(columns).collect().rows()[:2] == cut.log.events.select(columns).collect().rows()
