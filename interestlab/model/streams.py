"""Streams: which encoder reads which field."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from torch import nn

from interestlab.contract import Encoder
from interestlab.data.fields import parse_field

TAKEN = {"item", *dir(nn.ModuleDict)}
"""Names that no stream can have: ``item`` is what an event is joined with, the others a ModuleDict has itself."""


class Stream(NamedTuple):
    """One field as one encoder reads it.

    Attributes:
        name: of the stream, an identifier: the encoder's key, with the field where the encoder reads several.
        encoder: key of the encoder.
        field: what is read, such as ``item.title``.
        side: ``item`` (what an item is) or ``event`` (what happened).
    """

    name: str
    encoder: str
    field: str
    side: str


def streams(encoders: Mapping[str, Encoder]) -> list[Stream]:
    """The streams of a mapping of encoders; an encoder of several fields serves a stream for each.

    Raises:
        ValueError: a name is taken or no identifier, or no stream says what an item is.
    """
    found: list[Stream] = []
    for key, encoder in encoders.items():
        for field in encoder.fields:
            name = key if len(encoder.fields) == 1 else f"{key}_{re.sub(r'[^0-9A-Za-z]+', '_', field)}"
            found.append(Stream(name, key, field, parse_field(field)[0]))
    for name in [*encoders, *(stream.name for stream in found)]:
        if name in TAKEN or not name.isidentifier():
            raise ValueError(f"no encoder or stream can be called '{name}'; give it another name")
    if len({stream.name for stream in found}) < len(found):
        raise ValueError(f"two streams have one name: {', '.join(stream.name for stream in found)}; rename an encoder")
    if all(stream.side == "event" for stream in found):
        raise ValueError("no encoder reads an item field, so nothing says what a candidate is; add one, such as `id`.")
    return found
