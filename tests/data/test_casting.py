"""For any column type, each row is in the log or in quarantine."""

import datetime as dt

import polars as pl
import pytest

from interestlab.contract import EventLog, Source
from interestlab.data.event_store import PreparationSettings, open_event_store
from interestlab.data.fields import field_codes
from interestlab.data.validate import validate
from interestlab.errors import DataError

ROWS = 4
DIGITS = [str(1_600_000_000 + n) for n in range(ROWS)]
FAR = 1_600_000_000_000_000_000
TYPES = {
    "bytes": pl.Series([b"a", b"\xff", b"\xfe", b"b"]),
    "digits": pl.Series([text.encode() for text in DIGITS]),
    "categorical": pl.Series(DIGITS, dtype=pl.Categorical),
    "enum": pl.Series(DIGITS, dtype=pl.Enum(DIGITS)),
    "time": pl.Series([dt.time(1, 2, n) for n in range(ROWS)]),
    "duration": pl.Series([dt.timedelta(seconds=n) for n in range(ROWS)]),
    "date": pl.Series([dt.date(2020, 1, 1 + n) for n in range(ROWS)]),
    "far date": pl.Series([2**31 - 1, 1, None, -(2**31)], dtype=pl.Int32).cast(pl.Date),
    "far": pl.Series([FAR, 1_600_000_000_000, None, -FAR]).cast(pl.Datetime("ms")),
    "far, with a zone": pl.Series([2**62] * ROWS).cast(pl.Datetime("us", "Asia/Tokyo")),
    "nothing": pl.Series([None] * ROWS),
}
EVENTS = pl.DataFrame(
    {"user_id": ["u", "v", "w", "x"], "item_id": ["a", "b", "a", "b"], "timestamp": [1_600_000_000] * ROWS}
    | {"rating": [1.0] * ROWS, "position": [3] * ROWS, "event": ["view"] * ROWS, "text": ["ok"] * ROWS, "extra": ["x"] * ROWS}
)
ITEMS = pl.DataFrame({"item_id": ["a", "b", "c", "d"], "title": ["t"] * ROWS, "price": [1.5] * ROWS, "extra": ["x"] * ROWS})


class TypedSource(Source):
    """Provides events with a further column of one type.

    Args:
        name: key of the type in ``TYPES``.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self):
        return EventLog(events=EVENTS.with_columns(TYPES[self.name].alias("extra")).lazy())


def read(events=EVENTS, items=ITEMS):
    return validate(EventLog(events=events.lazy(), items=items.lazy()))


@pytest.mark.parametrize("name", TYPES)
def test_every_row_is_used_or_in_quarantine(name):
    for frame, side in ((EVENTS, "events"), (ITEMS, "items")):
        for column in frame.columns:
            validated = read(**{side: frame.with_columns(TYPES[name].alias(column))})
            assert (
                validated.events.height + validated.items.height + validated.quarantine.height == validated.num_rows == 2 * ROWS
            ), column


def test_values_after_casting():
    times = EVENTS.drop("extra").with_columns(extra=TYPES["duration"], timestamp=TYPES["digits"], user_id=TYPES["bytes"])
    validated = read(times)
    assert validated.events.select("user_id", "timestamp", "extra").rows() == [
        ("a", 1_600_000_000, "PT0S"),
        ("b", 1_600_000_003, "PT3S"),
    ]
    assert validated.quarantine["reason"].to_list() == ["user_id is not UTF-8"] * 2
    validated = read(EVENTS.with_columns(timestamp=TYPES["far"]))
    assert (
        validated.quarantine["reason"]
        .str.contains(r"^timestamp (1600000000000000000 is outside|is missing|-1600000000000000000 is outside)")
        .all()
    )
    assert validated.events["timestamp"].to_list() == [1_600_000_000]
    assert read(EVENTS.with_columns(extra=TYPES["date"])).events["extra"].dtype == pl.Date
    far = read(EVENTS.with_columns(extra=TYPES["far date"])).events["extra"]
    times = read(items=ITEMS.with_columns(timestamp=TYPES["far"])).items["timestamp"]
    assert times.to_list() == [str(FAR), "2020-09-13 12:26:40.000", None, str(-FAR)]
    assert far.to_list() == [str(2**31 - 1), "1970-01-02", None, str(-(2**31))]


@pytest.mark.parametrize("name", TYPES)
def test_an_extra_column_is_a_field_or_an_error(name, tmp_path):
    log = open_event_store(TypedSource(name), PreparationSettings(), tmp_path / "cache", max_bad_fraction=0)
    if name == "bytes":
        with pytest.raises(DataError, match=r"the events have no column extra; they have"):
            field_codes(log, "event.extra", tmp_path / "cache")
    else:
        assert field_codes(log, "event.extra", tmp_path / "cache").size == TYPES[name].n_unique() - (
            TYPES[name].null_count() > 0
        )


def test_python_objects_are_rejected():
    with pytest.raises(DataError, match=r"^the events have Python objects in extra; give text, numbers or dates\.$"):
        read(EVENTS.with_columns(pl.Series("extra", [object()] * ROWS, dtype=pl.Object)))
