"""Read one event as the model does, without a data frame."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import torch
from torch import Tensor

from interestlab.data import time_features
from interestlab.data.fields import parse_field
from interestlab.data.validate import RESERVED_COLUMNS
from interestlab.errors import DataError
from interestlab.inference.featurize import EventFeaturizer
from interestlab.model.backbone import InterestBackbone
from interestlab.model.streams import Stream
from interestlab.serving.messages import AnyEvent, Value

MAX_REMEMBERED = 65_536
"""Largest number of values of one stream whose embeddings are remembered."""

OWN_FIELDS = ("event", "rating", "text")
"""Columns of an event with a key of their own; ``columns`` contains the others."""

SECONDS_PER_DAY = 86_400
FIRST_WEEKDAY = 4  # 1970-01-01 was a Thursday


StreamVectors = tuple[Tensor | None, ...]
"""By event stream, the embedding ``[D]`` of an event's value; None where it has none."""


def check_event_streams(backbone: InterestBackbone, schema: Mapping[str, pl.DataType]) -> None:
    """Check that a model reads only categories and numbers from events, and no texts.

    Args:
        backbone: the model.
        schema: columns of the events.

    Raises:
        DataError: it encodes texts of events.
    """
    texts = []
    for stream in backbone.event_streams:
        types = [schema[column] for column in parse_field(stream.field)[1] if column in schema]
        if backbone.encoder_of(stream).preprocess_key is not None and not all(t.is_numeric() for t in types):
            texts.append(stream.field)
    if texts:
        raise DataError(
            f"the run encodes texts of events ({', '.join(texts)}), which `serve` cannot do within the time of a request; "
            "serve a run whose event streams read categories or numbers, such as event.event or event.rating."
        )


class EventReader:
    """Embeds the values of an event's columns.

    The embedding of a value is computed by the reader of :class:`~interestlab.inference.recommender.Recommender`, which builds
    a data frame, and remembered. So the two agree by construction, and the frame is built once per value instead of once per
    event. The time features have few values but many inputs, so they are computed here.

    Args:
        featurizer: the reader that builds data frames.
        streams: the event streams of the model.
    """

    def __init__(self, featurizer: EventFeaturizer, streams: Sequence[Stream]) -> None:
        self.featurizer, self.streams = featurizer, streams
        columns = featurizer.event_schema.keys() - {*RESERVED_COLUMNS, "timestamp"}
        self.computed = frozenset(time_features.COLUMNS.keys() - columns)
        self.further_columns = sorted(columns - set(OWN_FIELDS))
        self.columns = [parse_field(stream.field)[1] for stream in self.streams]
        self.remembered: list[dict[tuple[Any, ...], Tensor | None]] = [{} for _ in self.streams]

    def embed(self, event: AnyEvent, since: int | None) -> StreamVectors:
        """Return the embedding of the event's value in each event stream.

        Args:
            event: the event.
            since: unix seconds of the user's last event; None if there is none.

        Raises:
            DataError: the log has no such column, or it has another type there.
        """
        if event.columns:
            self._check_columns(event.columns)
        time, vectors = int(event.timestamp), []
        for stream, columns, remembered in zip(self.streams, self.columns, self.remembered, strict=True):
            values = [self._value(column, event, time, since) for column in columns]
            key = (*values, *map(type, values))  # 1, 1.0 and True are one key, but not one text
            try:
                vector = remembered[key]
            except KeyError:
                if len(remembered) >= MAX_REMEMBERED:
                    remembered.clear()
                vector = remembered[key] = self._embed_value(stream, event, time, since)
            vectors.append(vector)
        return tuple(vectors)

    def _value(self, column: str, event: AnyEvent, time: int, since: int | None) -> Value:
        if column in self.computed:
            return compute_time_feature(column, time, since)
        if column in OWN_FIELDS:
            value: Value = getattr(event, column)
            return value
        return time if column == "timestamp" else event.columns.get(column)

    def _check_columns(self, columns: Mapping[str, Value]) -> None:
        if unknown := sorted(columns.keys() - self.further_columns):
            known = ", ".join(self.further_columns) or "none"
            raise DataError(f"the log has no further column {', '.join(unknown)}; it has {known}.")

    @torch.no_grad()
    def _embed_value(self, stream: Stream, event: AnyEvent, time: int, since: int | None) -> Tensor | None:
        own = {column: getattr(event, column) for column in OWN_FIELDS}
        return self.featurizer.embed_value(stream, {"timestamp": time} | own | event.columns, since)


def compute_time_feature(name: str, time: int, since: int | None) -> int | None:
    """Return one of :data:`interestlab.data.time_features.COLUMNS`.

    Args:
        name: name of the feature.
        time: unix seconds of the event.
        since: unix seconds of the user's last event; None if there is none.
    """
    if name == "hour":
        return time // 3600 % 24
    if name == "weekday":
        return (time // SECONDS_PER_DAY + FIRST_WEEKDAY - 1) % 7 + 1
    return None if since is None else (1 + max(time - since, 0)).bit_length() - 1
