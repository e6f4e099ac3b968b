"""The checks of :class:`interestlab.contract.Source`."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import polars as pl

from interestlab.contract import EventLog, Source
from interestlab.data.validate import OPTIONAL_COLUMNS, RESERVED_COLUMNS, validate
from interestlab.errors import DataError
from interestlab.testing._checks import Checks, ContractError, require

REQUIRED = {"events": ("user_id", "item_id", "timestamp"), "items": ("item_id",), "rejected": ("file", "line", "reason")}
RESERVED = {"events": RESERVED_COLUMNS, "items": ("id",)}


class SourceChecks(Checks[Source]):
    """Checks of a source, which reads existing files.

    Stability: provisional.
    """

    kind = Source

    def frames(self) -> Mapping[str, pl.LazyFrame]:
        """Read the frames of the log by name, without those that are None."""
        log = self.fresh().read()
        require(isinstance(log, EventLog), f"read returns {type(log).__name__}; it must return an EventLog")
        frames = {field.name: getattr(log, field.name) for field in fields(log)}
        for name, frame in frames.items():
            optional = frame is None and name != "events"
            kind = f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
            require(optional or isinstance(frame, pl.LazyFrame), f"{name} is a {kind}; it must be a polars.LazyFrame")
        return {name: frame for name, frame in frames.items() if frame is not None}

    def check_version(self) -> None:
        """The class attribute ``version`` is an integer of at least 1."""
        version = self.plugin.version
        require(type(version) is int and version >= 1, f"version is {version!r}; it must be an integer of at least 1")

    def check_files(self) -> None:
        """``files`` returns existing files, and the same ones before and after reading."""
        source = self.fresh()
        before = source.files()
        require(isinstance(before, list), f"files returns {type(before).__name__}; it must return a list")
        for file in before:
            require(isinstance(file, Path), f"files returns {file!r}; every entry must be a Path")
            require(file.is_file(), f"files returns {file}, which is not an existing file")
        source.read()
        require(source.files() == before, "files returns other files after reading")

    def check_frames(self) -> None:
        """``read`` returns an EventLog of lazy Polars frames."""
        self.frames()

    def check_columns(self) -> None:
        """The frames have the required columns and no reserved ones."""
        for name, frame in self.frames().items():
            columns = frame.collect_schema().names()
            missing = [column for column in REQUIRED.get(name, ()) if column not in columns]
            require(not missing, f"the {name} have no column {', '.join(missing)}; they have {', '.join(columns)}")
            reserved = [column for column in RESERVED.get(name, ()) if column in columns]
            require(not reserved, f"the {name} have a column {', '.join(reserved)}, a reserved name; rename it")

    def check_types(self) -> None:
        """Ids are texts or integers, times are texts, numbers or dates, and no column of the schema contains lists."""
        for name, frame in self.frames().items():
            if name not in ("events", "items"):
                continue
            for column, dtype in frame.collect_schema().items():
                text = dtype in (pl.String, pl.Categorical, pl.Enum)
                if column in ("user_id", "item_id"):
                    valid = text or dtype.is_integer()
                elif column == "timestamp" and name == "events":
                    valid = text or dtype.is_numeric() or dtype in (pl.Date, pl.Datetime)
                else:
                    valid = not (dtype.is_nested() and column in OPTIONAL_COLUMNS)
                require(valid, f"column {column} of the {name} has the unsupported type {dtype}")

    def check_valid_rows(self) -> None:
        """Some events are valid: their ids are present, and their times are unix seconds between 1970 and 2100."""
        try:
            checked = validate(self.fresh().read())
        except DataError as err:
            raise ContractError(str(err)) from err
        first = f"; the first reason is: {checked.quarantine['reason'][0]}" if checked.quarantine.height else ""
        require(checked.events.height > 0, f"no event is valid{first}")

    def check_determinism(self) -> None:
        """Reading twice gives equal frames."""
        first, second = self.frames(), self.frames()
        require(set(first) == set(second), f"read returns {', '.join(first)} first and {', '.join(second)} the second time")
        for name, frame in first.items():
            require(
                frame.collect().equals(second[name].collect()),
                f"the {name} differ between two reads; sort them if their order varies",
            )

    def check_missing_files(self) -> None:
        """If a file argument does not exist, ``files`` contains it or raises a DataError."""
        for name, value in self.construct().spec["init_args"].items():
            if not (isinstance(value, str) and Path(value).expanduser().is_file()):
                continue
            try:
                named = self.plugin(**self.init_args | {name: f"{value}.missing"}).files()
            except DataError:
                continue
            except Exception as err:
                raise ContractError(
                    f"files raises {type(err).__name__} if {name} does not exist: {err}; raise a DataError"
                ) from err
            require(any(not file.exists() for file in named), f"the file argument {name} is missing in files")
