"""Streams: one field as one encoder reads it."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from torch import nn

from interestlab.contract import Encoder
from interestlab.data.fields import parse_field

RESERVED_NAMES = {"item", *dir(nn.ModuleDict)}
"""Names that no stream can have: ``item`` is the item of an event, the others are attributes of a ModuleDict."""


class Stream(NamedTuple):
    """One field as one encoder reads it.

    Attributes:
        name: identifier of the stream: the encoder's key, followed by the field if the encoder reads several.
        encoder: key of the encoder.
        field: name of the field, such as ``item.title``.
        side: ``item`` (describes an item) or ``event`` (describes what happened).
    """

    name: str
    encoder: str
    field: str
    side: str


def list_streams(encoders: Mapping[str, Encoder]) -> list[Stream]:
    """List the streams of named encoders. An encoder of several fields has one stream per field.

    Args:
        encoders: encoders by key.

    Returns:
        The streams, in the order of the encoders and of their fields.

    Raises:
        ValueError: a name is reserved or not an identifier, two streams have one name, or no stream reads an item field.
    """
    streams: list[Stream] = []
    for key, encoder in encoders.items():
        for field in encoder.fields:
            name = key if len(encoder.fields) == 1 else f"{key}_{re.sub(r'[^0-9A-Za-z]+', '_', field)}"
            streams.append(Stream(name, key, field, parse_field(field)[0]))
    for name in [*encoders, *(stream.name for stream in streams)]:
        if name in RESERVED_NAMES or not name.isidentifier():
            raise ValueError(f"an encoder or stream cannot be called '{name}'; choose another name")
    if len({stream.name for stream in streams}) < len(streams):
        raise ValueError(f"two streams have the same name: {', '.join(s.name for s in streams)}; rename an encoder")
    if all(stream.side == "event" for stream in streams):
        raise ValueError("no encoder reads an item field, so candidates have no embedding; add one, such as `id`.")
    return streams
