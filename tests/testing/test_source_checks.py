"""Sources that each break one promise, and the checks that fail on them."""

from pathlib import Path

import polars as pl
import pytest

from interestlab.contract import EventLog, Source
from interestlab.errors import DataError
from interestlab.testing import SourceTests, check_plugin, checks_for

LOG = "user_id,item_id,timestamp\nann,lamp,1700000000\nbob,desk,1700000009\n,desk,1700000010\n"


@pytest.fixture(autouse=True)
def log(tmp_path, request):
    """Write a file of events, and make it the argument of the test class."""
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


class InMemory(Source):
    """Needs no file."""

    def read(self):
        return EventLog(pl.LazyFrame({"user_id": ["u"], "item_id": [1], "timestamp": [1_700_000_000.0]}))


class TestInMemory(SourceTests):
    plugin = InMemory

    @pytest.fixture(autouse=True)
    def _no_file(self, log):
        self.init_args = {}


class VersionAsText(CSV):
    version = "1.0"


class ListsAFolder(CSV):
    def files(self):
        return [*super().files(), Path(self.path).parent]


class ListsStrings(CSV):
    def files(self):
        return [self.path]


class ListsNoFiles(CSV):
    def files(self):
        return []


class FailsWithAnOSError(CSV):
    def files(self):
        with Path(self.path).open():
            return super().files()


class ListsFilesAfterReading(CSV):
    """Its files are known only after reading."""

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
    """Returns an object whose type has the name of a pandas type."""

    def read(self):
        return EventLog(type("DataFrame", (), {"__module__": "pandas.core.frame"})())


class Tuple(CSV):
    def read(self):
        return self.frame(), None


class MissingColumn(CSV):
    def frame(self):
        return super().frame().rename({"user_id": "customer"})


class ReservedColumn(CSV):
    def read(self):
        return EventLog(self.frame().with_columns(row=1))


class ReservedItemColumn(CSV):
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


class ChangesOnEveryRead(CSV):
    """Returns other values on every read."""

    reads = 0

    def frame(self):
        ChangesOnEveryRead.reads += 1
        return super().frame().with_columns(line=pl.lit(ChangesOnEveryRead.reads))


class TruthOnEveryOtherRead(CSV):
    reads = 0

    def read(self):
        TruthOnEveryOtherRead.reads += 1
        return EventLog(self.frame(), truth=self.frame() if TruthOnEveryOtherRead.reads % 2 else None)


class Untyped(CSV):
    """Has an argument without a type.

    Args:
        path: the events.
    """

    def __init__(self, path):
        super().__init__(path)


CAUGHT = {
    VersionAsText: {"version"},
    ListsAFolder: {"files"},
    ListsStrings: {"files", "missing_files"},
    ListsNoFiles: {"missing_files"},
    FailsWithAnOSError: {"missing_files"},
    ListsFilesAfterReading: {"files"},
    Eager: {"frames", "columns", "types", "valid_rows", "determinism"},
    Pandas: {"frames", "columns", "types", "valid_rows", "determinism"},
    Tuple: {"frames", "columns", "types", "valid_rows", "determinism"},
    MissingColumn: {"columns", "valid_rows"},
    ReservedColumn: {"columns", "valid_rows"},
    ReservedItemColumn: {"columns", "valid_rows"},
    RejectsWithoutReason: {"columns", "valid_rows"},
    IdsAsFloats: {"types"},
    ListsOfIds: {"types", "valid_rows"},
    Milliseconds: {"valid_rows"},
    Durations: {"types", "valid_rows"},
    ChangesOnEveryRead: {"determinism"},
    TruthOnEveryOtherRead: {"determinism"},
    Untyped: {"arguments"},
}


def failed_checks(plugin, path):
    return {outcome.check: outcome.message for outcome in check_plugin(plugin, {"path": path}) if outcome.status == "failed"}


@pytest.mark.parametrize("plugin", CAUGHT)
def test_caught_by_the_right_checks(plugin, log):
    failures = failed_checks(plugin, log)
    assert set(failures) == CAUGHT[plugin], failures


def test_another_library_is_named(log):
    assert failed_checks(Pandas, log)["frames"] == "events is a pandas.DataFrame; it must be a polars.LazyFrame"
    assert failed_checks(Eager, log)["frames"] == "events is a polars.DataFrame; it must be a polars.LazyFrame"


def test_the_reason_for_invalid_rows_is_reported(log):
    assert "it must be in unix seconds" in failed_checks(Milliseconds, log)["valid_rows"]


def test_a_missing_file_may_raise_a_data_error(log):
    class RaisesDataError(CSV):
        def files(self):
            raise DataError("no such file")

    assert "missing_files" not in failed_checks(RaisesDataError, log)


def test_every_check_can_fail():
    own = {name for name, check in checks_for(Source).items() if check.__qualname__.startswith("SourceChecks.")}
    assert own <= set.union(*CAUGHT.values())
