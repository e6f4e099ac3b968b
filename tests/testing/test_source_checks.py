"""Sources that break one promise each, and the checks that catch them."""

from pathlib import Path

import polars as pl
import pytest

from interestlab.contract import EventLog, Source
from interestlab.errors import DataError
from interestlab.testing import SourceTests, check_plugin, checks_for

LOG = "user_id,item_id,timestamp\nann,lamp,1700000000\nbob,desk,1700000009\n,desk,1700000010\n"


@pytest.fixture(autouse=True)
def log(tmp_path, request):
    """A file of events, which the class of tests is told of."""
    path = tmp_path / "events.csv"
    path.write_text(LOG)
    if request.instance:
        request.instance.init_args = {"path": str(path)}
    return str(path)


class CSV(Source):
    """Satisfies the contract.

    Args:
        path: the events.
    """

    def __init__(self, path: str):
        self.path = path

    def files(self):
        return [Path(self.path)]

    def frame(self):
        return pl.scan_csv(self.path)

    def read(self):
        return EventLog(self.frame(), items=self.frame().select("item_id").unique("item_id"), truth=self.frame())


class TestCSV(SourceTests):
    plugin = CSV


class Made(Source):
    """Needs no file."""

    def read(self):
        return EventLog(pl.LazyFrame({"user_id": ["u"], "item_id": [1], "timestamp": [1_700_000_000.0]}))


class TestMade(SourceTests):
    plugin = Made

    @pytest.fixture(autouse=True)
    def _no_file(self, log):
        self.init_args = {}


class VersionOfText(CSV):
    version = "1.0"


class NamesNoFolder(CSV):
    def files(self):
        return [*super().files(), Path(self.path).parent]


class NamesTexts(CSV):
    def files(self):
        return [self.path]


class NamesNothing(CSV):
    def files(self):
        return []


class FailsOtherwise(CSV):
    def files(self):
        with Path(self.path).open():
            return super().files()


class NamesOnceRead(CSV):
    """What it reads is known only afterwards."""

    seen = False

    def files(self):
        return super().files() * (1 + self.seen)

    def read(self):
        self.seen = True
        return super().read()


class Eager(CSV):
    def read(self):
        return EventLog(pl.read_csv(self.path))


class Pandas(CSV):
    """As pandas names its own."""

    def read(self):
        return EventLog(type("DataFrame", (), {"__module__": "pandas.core.frame"})())


class Tuple(CSV):
    def read(self):
        return self.frame(), None


class OtherNames(CSV):
    def frame(self):
        return super().frame().rename({"user_id": "customer"})


class TakenNames(CSV):
    def read(self):
        return EventLog(self.frame().with_columns(row=1))


class TakenNameOfItems(CSV):
    def read(self):
        return EventLog(self.frame(), self.frame().select("item_id", id="item_id"))


class RejectsWithoutReason(CSV):
    def read(self):
        return EventLog(self.frame(), rejected=pl.LazyFrame({"line": [3]}))


class IdsAsFloats(CSV):
    def frame(self):
        return super().frame().with_columns(item_id=pl.col("item_id").rank())


class ListsOfIds(CSV):
    def frame(self):
        return super().frame().with_columns(item_id=pl.concat_list("item_id"))


class Milliseconds(CSV):
    def frame(self):
        return super().frame().with_columns(timestamp=pl.col("timestamp") * 1000)


class Durations(CSV):
    def frame(self):
        return super().frame().with_columns(timestamp=pl.duration(seconds="timestamp"))


class Shuffled(CSV):
    """In another order each time."""

    reads = 0

    def frame(self):
        Shuffled.reads += 1
        return super().frame().with_columns(line=pl.lit(Shuffled.reads))


class TruthOnce(CSV):
    reads = 0

    def read(self):
        TruthOnce.reads += 1
        return EventLog(self.frame(), truth=self.frame() if TruthOnce.reads % 2 else None)


class Untyped(CSV):
    """Args without a type.

    Args:
        path: the events.
    """

    def __init__(self, path):
        super().__init__(path)


CAUGHT = {
    VersionOfText: {"version"},
    NamesNoFolder: {"files"},
    NamesTexts: {"files", "missing_files"},
    NamesNothing: {"missing_files"},
    FailsOtherwise: {"missing_files"},
    NamesOnceRead: {"files"},
    Eager: {"frames", "columns", "types", "valid_rows", "determinism"},
    Pandas: {"frames", "columns", "types", "valid_rows", "determinism"},
    Tuple: {"frames", "columns", "types", "valid_rows", "determinism"},
    OtherNames: {"columns", "valid_rows"},
    TakenNames: {"columns", "valid_rows"},
    TakenNameOfItems: {"columns", "valid_rows"},
    RejectsWithoutReason: {"columns", "valid_rows"},
    IdsAsFloats: {"types"},
    ListsOfIds: {"types", "valid_rows"},
    Milliseconds: {"valid_rows"},
    Durations: {"types", "valid_rows"},
    Shuffled: {"determinism"},
    TruthOnce: {"determinism"},
    Untyped: {"arguments"},
}


def broken(plugin, path):
    return {outcome.check: outcome.message for outcome in check_plugin(plugin, {"path": path}) if outcome.status == "failed"}


@pytest.mark.parametrize("plugin", CAUGHT)
def test_caught_by_the_right_checks(plugin, log):
    found = broken(plugin, log)
    assert set(found) == CAUGHT[plugin], found


def test_another_library_is_named(log):
    assert broken(Pandas, log)["frames"] == "events is a pandas.DataFrame; it must be a polars.LazyFrame"
    assert broken(Eager, log)["frames"] == "events is a polars.DataFrame; it must be a polars.LazyFrame"


def test_why_no_event_is_good(log):
    assert "it must be in unix seconds" in broken(Milliseconds, log)["valid_rows"]


def test_a_data_error_of_a_missing_file_will_do(log):
    class Tells(CSV):
        def files(self):
            raise DataError("no such file")

    assert "missing_files" not in broken(Tells, log)


def test_every_check_can_fail():
    own = {name for name, check in checks_for(Source).items() if check.__qualname__.startswith("SourceChecks.")}
    assert own <= set.union(*CAUGHT.values())
