"""Embed items and events that a caller gives as mappings, as the model embeds those of its log."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
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

CHUNK_TEXTS = 64
"""Number of texts that are encoded in one call."""

EXTRA_KEYS = ("user_id", "item_id", "timestamp", "words")
"""Keys of an event that are no columns of the log; ``words`` replace each text of the item that the event does not have."""


class EventFeaturizer:
    """Embeds events that are mappings of columns.

    Args:
        backbone: the trained backbone, with its fields attached.
        frozen: the same, frozen.
        data: the log, whose columns, text cleaning and values apply.
    """

    def __init__(self, backbone: InterestBackbone, frozen: FrozenModel, data: InterestData) -> None:
        self.backbone, self.frozen, self.data = backbone, frozen, data
        self._indices = {item: index for index, item in enumerate(data.catalogue["item_id"])}
        # The columns on disk: those that are derived from the timestamp cannot be given.
        events = pl.scan_parquet(data.log.folder / "events.parquet", glob=False).collect_schema()
        self.event_schema = dict(events)
        self._schemas = {"item": dict(data.log.items.schema), "event": self.event_schema}
        columns = [c for schema in self._schemas.values() for c in schema if c not in RESERVED_COLUMNS]
        self._keys = dict.fromkeys((*EXTRA_KEYS, *columns))

    def parse_events(self, events: Sequence[Event], plain: str) -> list[Mapping[str, Any]]:
        """Convert events to mappings and check their keys.

        Args:
            events: mappings or plain strings.
            plain: key that a plain string is the value of.

        Raises:
            DataError: ``events`` is not a list of events, or one has a key that is not a column of the log.
        """
        if isinstance(events, str | Mapping):
            raise DataError("a history is a list of events, not a single event; write [event].")
        parsed = [{plain: event} if isinstance(event, str) else event for event in events]
        for event in parsed:
            if not isinstance(event, Mapping):
                raise DataError(f"an event is a mapping or a string, not {event!r}.")
            if unknown := [str(key) for key in event if key not in self._keys]:
                raise DataError(f"the log has no column {', '.join(unknown)}; an event can have {', '.join(self._keys)}.")
        return parsed

    def find_item(self, event: Mapping[str, Any]) -> int | None:
        """Return the index of an event's item in the catalogue; None if it is not there.

        Args:
            event: the event.
        """
        return self._indices.get(read_item_id(event) or "")

    def embed_items(self, events: Sequence[Mapping[str, Any]]) -> Tensor:
        """Embed the item of each event.

        Args:
            events: n events.

        Returns:
            ``[n, D]``

        Raises:
            DataError: an item is not in the catalogue, and has nothing that the model can read.
        """
        indices = [self.find_item(event) for event in events]
        new = [event for event, index in zip(events, indices, strict=True) if index is None]
        out = self.frozen.items[[index or 0 for index in indices]]
        if new:
            is_new = torch.tensor([index is None for index in indices])
            out[is_new] = self._embed_new_items(new)
        return out

    def embed_events(self, events: Sequence[Mapping[str, Any]], since: int | None) -> Tensor:
        """Embed events as the dynamics reads them.

        Args:
            events: n events in order.
            since: unix seconds of the event before the first; None if unknown.

        Returns:
            ``[n, D]``

        Raises:
            DataError: an item is not in the catalogue, and has nothing that the model can read.
        """
        items = self.embed_items(events)
        if not self.backbone.event_streams:
            return items
        frame = self._make_frame("event", events, since)
        return self.frozen.fuse_events(items, {s.name: self._embed_stream(s, frame) for s in self.backbone.event_streams})

    def embed_value(self, stream: Stream, event: Mapping[str, Any], since: int | None) -> Tensor | None:
        """Embed the value that one event has in one event stream.

        Args:
            stream: the stream.
            event: the event.
            since: unix seconds of the event before; None if unknown.

        Returns:
            ``[D]``; None if the event has no value.

        Raises:
            DataError: a column has another type than in the log.
        """
        vectors, present = self._embed_stream(stream, self._make_frame("event", [event], since))
        return vectors[0] if present[0] else None

    def _embed_new_items(self, events: Sequence[Mapping[str, Any]]) -> Tensor:
        frame = self._make_frame("item", events)
        streams = {s.name: self._embed_stream(s, frame) for s in self.backbone.item_streams}
        readable = torch.stack([present for _, present in streams.values()]).any(0)
        if not readable.all():
            event = dict(events[int((~readable).nonzero()[0])])
            fields = ", ".join(s.field for s in self.backbone.item_streams)
            raise DataError(f"the model can read nothing of {event}: it is not in the catalogue; the model reads {fields}.")
        return self.backbone.fuse_items(streams).to(self.frozen.items.dtype)

    def _make_frame(self, side: str, events: Sequence[Mapping[str, Any]], since: int | None = None) -> pl.DataFrame:
        """Collect the columns of one side, typed and cleaned as in the log; null if an event does not have a column."""
        schema = self._schemas[side]
        streams = [s for s in self.backbone.streams if s.side == side]
        types = {c: schema[c] for s in streams for c in parse_field(s.field)[1] if c in schema}
        given = {c: make_column(c, [event.get(c) for event in events], t) for c, t in types.items()}
        if side == "event":
            extra = derive_time_features([to_unix_seconds(event.get("timestamp")) for event in events], since).to_dict()
        else:
            words = make_column("words", [event.get("words") for event in events], pl.String())
            extra = {"id": pl.Series([read_item_id(event) for event in events], dtype=pl.String), "words": words}
        frame = pl.DataFrame(extra | given)
        if side == "event" and "event" in given:
            frame = frame.with_columns(pl.col("event").fill_null(DEFAULT_EVENT))
        return clean_text_columns(frame, self.data.preparation.clean, exclude=("id",))

    def _embed_stream(self, stream: Stream, frame: pl.DataFrame) -> tuple[Tensor, Tensor]:
        """Return embeddings ``[n, D]`` of a stream, and ``[n]`` bool, which rows have a value."""
        _, columns = parse_field(stream.field)
        joined = join_columns(columns)
        encoder = self.backbone.encoder_of(stream)
        if encoder.preprocess_key and stream.side == "item" and all(frame.schema[c] == pl.String for c in columns):
            joined = joined.fill_null(pl.col("words"))
        texts = frame.select(joined.alias("text"))["text"].to_list()
        if encoder.preprocess_key is None:
            codes = [self.backbone.features[stream.name].value_codes.get(text, -1) for text in texts]
            rows = np.flatnonzero(np.array(codes) >= 0)
            vectors = [encoder(Inputs(torch.tensor([codes[i] for i in rows])))] if len(rows) else []
        else:
            given = [i for i, text in enumerate(texts) if text]
            tokens = dict(zip(given, encoder.preprocess([texts[i] for i in given]) if given else [], strict=True))
            rows = np.array([i for i in given if len(tokens[i])], np.int64)
            chunks = (rows[first : first + CHUNK_TEXTS] for first in range(0, len(rows), CHUNK_TEXTS))
            vectors = [encoder(pad_inputs([tokens[i] for i in chunk])) for chunk in chunks]
        present = torch.zeros(len(texts), dtype=torch.bool)
        present[torch.from_numpy(rows)] = True
        out = torch.zeros(len(texts), self.backbone.dim, dtype=self.backbone.dtype)
        if vectors:
            out[present] = self.backbone.project(stream, torch.cat(vectors))
        return out, present


def pad_inputs(rows: Sequence[np.ndarray]) -> Inputs:
    """Pad preprocessed values to the longest.

    Args:
        rows: U arrays ``[length, ...]``.

    Returns:
        Values ``[U, L, ...]`` and lengths ``[U]``.
    """
    values = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    return Inputs(values, torch.tensor([len(row) for row in rows]))


def read_item_id(event: Mapping[str, Any]) -> str | None:
    """Return the id of an event's item in the form that the log has; None if the event has none.

    Args:
        event: the event.
    """
    item_id = event.get("item_id")
    return None if item_id is None else str(item_id).strip()


def make_column(name: str, values: list[Any], dtype: pl.DataType) -> pl.Series:
    """Make a column of the type that the log has.

    Args:
        name: name of the column.
        values: one per event.
        dtype: the type.

    Raises:
        DataError: a value has another type.
    """
    try:
        return pl.Series(name, values, dtype=dtype, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError) as err:
        raise DataError(f"an event has a {name} of the wrong type: {str(err).splitlines()[0]}") from err


def derive_time_features(times: Sequence[int | None], since: int | None) -> pl.DataFrame:
    """Derive the time features of events, each from its own time and the last known time before it.

    Args:
        times: unix seconds of each event, in order; None if unknown.
        since: unix seconds of the event before the first; None if unknown.
    """
    pairs: list[int | None] = []
    for time in times:
        # A time before the previous one (a clock was set back) counts as no time passed, as it does for a dynamics.
        pairs += [since if since is None or time is None else min(since, time), time]
        since = since if time is None else time
    frame = pl.LazyFrame({"user": np.arange(len(pairs)) // 2, "timestamp": pl.Series(pairs, dtype=pl.Int64)})
    return time_features.add_time_features(frame).collect().gather_every(2, 1)


def to_unix_seconds(time: Moment | None) -> int | None:
    """Convert a time to integer unix seconds. A ``datetime`` without a time zone is UTC, as in a log.

    Args:
        time: unix seconds or a ``datetime``; None stays None.

    Raises:
        DataError: ``time`` is not between 1970 and 2100.
    """
    if time is None:
        return None
    value = time
    if isinstance(time, datetime):
        value = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    if not isinstance(value, Real) or not 0 < value < LATEST_TIMESTAMP:
        raise DataError(f"a time must be unix seconds or a datetime from 1970 to 2100, not {time!r}.")
    return int(value)
