"""Items and events that are given by hand -> vectors, as the model makes them of those in its log."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from numbers import Real
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from interestlab.batch import Inputs
from interestlab.data import time_features
from interestlab.data.datamodule import InterestData
from interestlab.data.fields import join_columns, parse_field
from interestlab.data.text_cleaning import clean_text_columns
from interestlab.data.validate import DEFAULT_EVENT, LATEST_TIMESTAMP, RESERVED_COLUMNS
from interestlab.errors import DataError
from interestlab.model.backbone import InterestBackbone
from interestlab.model.frozen import FrozenModel
from interestlab.model.streams import Stream

Event = str | Mapping[str, Any]
Moment = float | datetime

TEXTS = 64
"""Texts that are encoded at once."""

NAMES = ("user_id", "item_id", "timestamp", "words")
"""What an event can tell beside the columns of the log; ``words`` stand in each text of the item that it does not tell."""


class EventFeaturizer:
    """Reads events that are mappings of columns.

    Args:
        model: whose streams are filled.
        data: whose columns, cleaning and values are meant.
        catalogue: ``[N, D]`` the items of the log.
    """

    def __init__(self, backbone: InterestBackbone, frozen: FrozenModel, data: InterestData) -> None:
        self.backbone, self.frozen, self.data = backbone, frozen, data
        self._indices = {item: index for index, item in enumerate(data.log.items["item_id"])}
        # As they lie on disk: what follows from a time is not told, unless the source told it.
        events = pl.scan_parquet(data.log.folder / "events.parquet", glob=False).collect_schema()
        self._schemas = {"item": dict(data.log.items.schema), "event": dict(events)}
        columns = [c for schema in self._schemas.values() for c in schema if c not in RESERVED_COLUMNS]
        self._known = dict.fromkeys((*NAMES, *columns))
        self._values = cache(self._values_of)

    def mappings(self, events: Sequence[Event], plain: str) -> list[Mapping[str, Any]]:
        """Events as mappings; a plain string is the value of the key ``plain``.

        Raises:
            DataError: they are no list of events, or one has a key that would be read by nobody.
        """
        if isinstance(events, str | Mapping):
            raise DataError("a history is a list of events, and a single event is none; write [event].")
        told = [{plain: event} if isinstance(event, str) else event for event in events]
        for event in told:
            if not isinstance(event, Mapping):
                raise DataError(f"an event is a mapping or a string, not {event!r}.")
            if unknown := [str(key) for key in event if key not in self._known]:
                raise DataError(f"the log has no column {', '.join(unknown)}; an event can tell {', '.join(self._known)}.")
        return told

    def index(self, event: Mapping[str, Any]) -> int | None:
        """Which item of the catalogue an event is of; None where it is of none."""
        return self._indices.get(identity(event) or "")

    def items(self, events: Sequence[Mapping[str, Any]]) -> Tensor:
        """``[n, D]`` the item of each event.

        Raises:
            DataError: nothing that the model reads of an item is known of one.
        """
        indices = [self.index(event) for event in events]
        new = [event for event, index in zip(events, indices, strict=True) if index is None]
        out = self.frozen.items[[index or 0 for index in indices]]
        if new:
            place = torch.tensor([index is None for index in indices])
            out[place] = self._new_items(new)
        return out

    def events(self, events: Sequence[Mapping[str, Any]], since: int | None) -> Tensor:
        """``[n, D]`` each event as the dynamics reads it.

        Args:
            events: in their order.
            since: time of the event before the first, unix seconds.

        Raises:
            DataError: nothing that the model reads of an item is known of one.
        """
        items = self.items(events)
        if not self.backbone.event_streams:
            return items
        frame = self._frame("event", events, since)
        return self.frozen.fuse_events(items, {s.name: self._encode(s, frame) for s in self.backbone.event_streams})

    def _new_items(self, events: Sequence[Mapping[str, Any]]) -> Tensor:
        frame = self._frame("item", events)
        streams = {s.name: self._encode(s, frame) for s in self.backbone.item_streams}
        known = torch.stack([present for _, present in streams.values()]).any(0)
        if not known.all():
            event = dict(events[int((~known).nonzero()[0])])
            fields = ", ".join(s.field for s in self.backbone.item_streams)
            raise DataError(f"the model can read nothing of {event}: it is not in the catalogue; the model reads {fields}.")
        return self.backbone.fuse_items(streams).to(self.frozen.items.dtype)

    def _frame(self, side: str, events: Sequence[Mapping[str, Any]], since: int | None = None) -> pl.DataFrame:
        """The columns of one side, of the types and as clean as in the log; null where an event has no such column."""
        schema = self._schemas[side]
        read = [s for s in self.backbone.streams if s.side == side]
        types = {c: schema[c] for s in read for c in parse_field(s.field)[1] if c in schema}
        told = {c: column(c, [event.get(c) for event in events], t) for c, t in types.items()}
        if side == "event":
            follows = clocked([seconds(event.get("timestamp")) for event in events], since).to_dict()
        else:
            words = column("words", [event.get("words") for event in events], pl.String())
            follows = {"id": pl.Series([identity(event) for event in events], dtype=pl.String), "words": words}
        frame = pl.DataFrame(follows | told)
        if side == "event" and "event" in told:
            frame = frame.with_columns(pl.col("event").fill_null(DEFAULT_EVENT))
        return clean_text_columns(frame, self.data.preparation.clean, exclude=("id",))

    def _encode(self, stream: Stream, frame: pl.DataFrame) -> tuple[Tensor, Tensor]:
        """Vectors of a stream ``[n, dim]``, and which rows have a value ``[n]``."""
        _, columns = parse_field(stream.field)
        joined = join_columns(columns)
        encoder = self.backbone.encoder_of(stream)
        if encoder.preprocess_key and stream.side == "item" and all(frame.schema[c] == pl.String for c in columns):
            joined = joined.fill_null(pl.col("words"))
        texts = frame.select(joined.alias("text"))["text"].to_list()
        if encoder.preprocess_key is None:
            codes = [self._values(stream.name).get(text, -1) for text in texts]
            place = np.flatnonzero(np.array(codes) >= 0)
            found = [encoder(Inputs(torch.tensor([codes[i] for i in place])))] if len(place) else []
        else:
            said = [i for i, text in enumerate(texts) if text]
            rows = dict(zip(said, encoder.preprocess([texts[i] for i in said]) if said else [], strict=True))
            place = np.array([i for i in said if len(rows[i])], np.int64)
            parts = (place[first : first + TEXTS] for first in range(0, len(place), TEXTS))
            found = [encoder(padded([rows[i] for i in part])) for part in parts]
        present = torch.zeros(len(texts), dtype=torch.bool)
        present[torch.from_numpy(place)] = True
        out = torch.zeros(len(texts), self.backbone.dim, dtype=self.backbone.dtype)
        if found:
            out[present] = self.backbone.project(stream, torch.cat(found))
        return out, present

    def _values_of(self, name: str) -> dict[str, int]:
        """The code of each value that the log has of a stream."""
        held = pl.read_parquet(self.backbone.features[name].folder / "values.parquet", glob=False)["value"]
        return {value: code for code, value in enumerate(held)}


def padded(rows: Sequence[np.ndarray]) -> Inputs:
    """Prepared rows, padded to the longest among them."""
    held = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    return Inputs(held, torch.tensor([len(row) for row in rows]))


def identity(event: Mapping[str, Any]) -> str | None:
    """The id of an event's item, as a log keeps it."""
    given = event.get("item_id")
    return None if given is None else str(given).strip()


def column(name: str, values: list[Any], dtype: pl.DataType) -> pl.Series:
    """Values of events in the type that the log has.

    Raises:
        DataError: one is of another type.
    """
    try:
        return pl.Series(name, values, dtype=dtype, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError) as err:
        raise DataError(f"an event has a {name} of the wrong type: {str(err).splitlines()[0]}") from err


def clocked(times: Sequence[int | None], since: int | None) -> pl.DataFrame:
    """What the times of events say, each beside the last one known before it.

    Args:
        times: of the events, in their order.
        since: of the event before the first.
    """
    pairs: list[int | None] = []
    for time in times:
        # A clock that was set back counts as no time, as it does for a dynamics.
        pairs += [since if since is None or time is None else min(since, time), time]
        since = since if time is None else time
    frame = pl.LazyFrame({"user": np.arange(len(pairs)) // 2, "timestamp": pl.Series(pairs, dtype=pl.Int64)})
    return time_features.add_time_features(frame).collect().gather_every(2, 1)


def seconds(moment: Moment | None) -> int | None:
    """A moment in whole unix seconds; one without a time zone is UTC, as times of a log are.

    Raises:
        DataError: it is no moment from 1970 to 2100.
    """
    if moment is None:
        return None
    told = moment
    if isinstance(moment, datetime):
        told = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not isinstance(told, Real) or not 0 < told < LATEST_TIMESTAMP:
        raise DataError(f"a moment is unix seconds or a datetime, from 1970 to 2100, not {moment!r}.")
    return int(told)
