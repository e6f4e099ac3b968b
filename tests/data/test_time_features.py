"""Columns computed from the timestamps."""

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


def compute(users, times, **columns):
    frame = pl.LazyFrame({"user": pl.Series(users, dtype=pl.UInt32), "timestamp": times, **columns})
    return add_time_features(frame).collect()


@settings(deadline=None)
@given(st.lists(st.lists(SECONDS, min_size=1, max_size=5).map(sorted), min_size=1, max_size=4))
def test_hour_weekday_and_elapsed(histories):
    users = [u for u, history in enumerate(histories) for _ in history]
    features = compute(users, [t for history in histories for t in history])
    expected = []
    for history in histories:
        for before, now in zip([None, *history], history, strict=False):
            time = dt.datetime.fromtimestamp(now, dt.UTC)
            elapsed = None if before is None else (1 + now - before).bit_length() - 1
            expected.append((time.hour, time.isoweekday(), elapsed))
    assert features.select(*COLUMNS).rows() == expected
    assert all(value is None or value < size for row in expected for value, size in zip(row, (24, 8, 32), strict=True))


def test_elapsed_is_exact_at_powers_of_two():
    times = [1, *(1 + sum(2**k - 1 for k in range(n + 1)) for n in range(31))]
    assert compute([0] * 32, times)["elapsed"].to_list() == [None, *range(31)]


def test_a_column_of_the_source_is_not_replaced():
    features = compute([0, 0], [1, 2], hour=["dawn", None])
    assert features["hour"].to_list() == ["dawn", None]
    assert features["elapsed"].to_list() == [None, 1]


@pytest.mark.parametrize(("name", "size"), COLUMNS.items())
def test_every_log_has_time_fields(data, name, size):
    module = data()
    assert module.cardinalities[f"event.{name}"] == size
    feature = module.feature(Index(), f"event.{name}")
    assert len(feature.codes) == module.log.meta["events"]
    assert 0 < feature.size <= size
    first = module.log.offsets[:-1]
    assert (feature.codes[first] == -1).all() == (name == "elapsed")


def test_time_features_are_not_stored(data):
    module = data()
    assert not set(COLUMNS) & set(pl.read_parquet_schema(module.log.folder / "events.parquet"))
    assert "hour" not in (module.log.folder / "meta.json").read_text()


def test_time_features_do_not_depend_on_later_events(data):
    full, truncated = data(["u,a,1", "u,b,2", "u,c,9"]), data(["u,a,1", "u,b,2"])
    columns = list(COLUMNS)
    assert full.log.events.select(columns).collect().rows()[:2] == truncated.log.events.select(columns).collect().rows()
