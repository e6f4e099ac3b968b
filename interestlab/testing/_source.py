"""The promises of :class:`interestlab.contract.Source`."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import polars as pl

from interestlab.contract import EventLog, Source
from interestlab.data.validate import OPTIONAL_COLUMNS, RESERVED_COLUMNS, validate
from interestlab.errors import DataError
from interestlab.testing._checks import Checks, ContractError, require

REQUIRED = {"events": ("user_id", "item_id", "timestamp"), "items": ("item_id",), "rejected": ("file", "line", "reason")}
TAKEN = {"events": RESERVED_COLUMNS, "items": ("id",)}


class SourceChecks(Checks[Source]):
    """A source under test, on files that are there.

    Stability: provisional.
    """

    kind = Source

    def frames(self) -> Mapping[str, pl.LazyFrame]:
        """What a source reads, by name, without what it does not give."""
        log = self.fresh().read()
        require(isinstance(log, EventLog), f"read gives {type(log).__name__}, not an EventLog")
        found = {field.name: getattr(log, field.name) for field in fields(log)}
        for name, frame in found.items():
            optional = frame is None and name != "events"
            kind = f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
            require(optional or isinstance(frame, pl.LazyFrame), f"{name} is a {kind}, not a polars.LazyFrame")
        return {name: frame for name, frame in found.items() if frame is not None}

    def check_version(self) -> None:
        """``version`` is a whole number from 1 on, of the class."""
        version = self.plugin.version
        require(type(version) is int and version >= 1, f"version is {version!r}")

    def check_files(self) -> None:
        """``files`` names files that are there, the same ones before and after they are read."""
        source = self.fresh()
        before = source.files()
        require(isinstance(before, list), f"files gives {type(before).__name__}, not a list")
        for file in before:
            require(isinstance(file, Path), f"files gives {file!r}, which is no Path")
            require(file.is_file(), f"files gives {file}, which is no file that is there")
        source.read()
        require(source.files() == before, "files gives others once they are read")

    def check_frames(self) -> None:
        """``read`` gives an EventLog of lazy Polars frames."""
        self.frames()

    def check_columns(self) -> None:
        """The frames have the columns that no log can do without, and none whose name is taken."""
        for name, frame in self.frames().items():
            columns = frame.collect_schema().names()
            missing = [column for column in REQUIRED.get(name, ()) if column not in columns]
            require(not missing, f"the {name} have no column {', '.join(missing)}; they have {', '.join(columns)}")
            taken = [column for column in TAKEN.get(name, ()) if column in columns]
            require(not taken, f"the {name} have a column {', '.join(taken)}, a name that is taken")

    def check_types(self) -> None:
        """Ids are texts or whole numbers, times are texts, numbers or dates, and no column of the schema holds lists."""
        for name, frame in self.frames().items():
            if name not in ("events", "items"):
                continue
            for column, dtype in frame.collect_schema().items():
                text = dtype in (pl.String, pl.Categorical, pl.Enum)
                if column in ("user_id", "item_id"):
                    good = text or dtype.is_integer()
                elif column == "timestamp" and name == "events":
                    good = text or dtype.is_numeric() or dtype in (pl.Date, pl.Datetime)
                else:
                    good = not (dtype.is_nested() and column in OPTIONAL_COLUMNS)
                require(good, f"{column} of the {name} is {dtype}")

    def check_rows(self) -> None:
        """Some events are good: their ids are there, and their times are unix seconds of 1970 to 2100."""
        try:
            checked = validate(self.fresh().read())
        except DataError as err:
            raise ContractError(str(err)) from err
        first = f"; the first: {checked.quarantine['reason'][0]}" if checked.quarantine.height else ""
        require(checked.events.height > 0, f"no event is good{first}")

    def check_again(self) -> None:
        """Reading twice gives equal frames."""
        first, second = self.frames(), self.frames()
        require(set(first) == set(second), f"read gives {', '.join(first)}, and then {', '.join(second)}")
        for name, frame in first.items():
            require(frame.collect().equals(second[name].collect()), f"the {name} differ when they are read again")

    def check_missing(self) -> None:
        """An argument that is a file is among ``files``: where it is not there, they name it, or raise a DataError."""
        for name, value in self.construct().spec["init_args"].items():
            if not (isinstance(value, str) and Path(value).expanduser().is_file()):
                continue
            try:
                named = self.plugin(**self.init_args | {name: f"{value}.missing"}).files()
            except DataError:
                continue
            except Exception as err:
                raise ContractError(f"files raises {type(err).__name__} where {name} is not there: {err}") from err
            require(any(not file.exists() for file in named), f"{name} is a file that files does not name")
