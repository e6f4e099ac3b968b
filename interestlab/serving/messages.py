"""What the server reads and answers, as msgspec structs; the OpenAPI document is made from them."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from interestlab.data.validate import LATEST_TIMESTAMP
from interestlab.errors import DataError

MAX_EVENTS = 1000
"""Largest number of events in one request."""

MAX_ITEMS = 1000
"""Largest number of recommended items."""

MAX_ID = 200
Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
Seconds = Annotated[float, Meta(gt=0, lt=LATEST_TIMESTAMP, description="unix seconds")]
Count = Annotated[int, Meta(ge=1, le=MAX_ITEMS)]
Name = Annotated[str, Meta(max_length=200)]
Value = Annotated[str, Meta(max_length=1000)] | int | float | bool | None

Status = Literal["applied", "late", "duplicate", "conflict", "unknown_item", "invalid", "not_processed"]
Basis = Literal["state", "words", "popular"]


class LoggedEvent(Struct, omit_defaults=True):
    """An event in the store. It may come from the log of the run, which has no limits on the length of ids and values."""

    event_id: str
    user_id: str
    item_id: str
    timestamp: float
    event: str | None = None
    rating: float | None = None
    text: str | None = None
    columns: dict[str, str | int | float | bool | None] = {}


class Event(LoggedEvent, forbid_unknown_fields=True, omit_defaults=True):
    """One event of one user.

    Attributes:
        event_id: identifies the event; sent again, it is not applied again.
        columns: further columns of the log that the model reads.
        k: number of items to recommend after the event; not part of the event itself.
    """

    event_id: Id
    user_id: Id
    item_id: Id
    timestamp: Seconds
    event: Name | None = None
    columns: dict[str, Value] = {}
    k: Count | None = None


class RankedItem(Struct, omit_defaults=True):
    """One recommended item.

    Attributes:
        score: comparable within one answer; a number of events if the basis is ``popular``.
        propensity: probability that this item was put in this place, given those before it; only if the server explores.
    """

    item_id: str
    score: float
    propensity: float | None = None


class Recommendations(Struct):
    """A list of items for one user.

    Attributes:
        basis: what decided the list: the user's ``state``, the ``words`` of the request, or what is ``popular``.
        model: version of the model.
    """

    user_id: str
    basis: Basis
    model: str
    items: list[RankedItem]


class EventResult(Struct, omit_defaults=True):
    """The result of one event.

    Attributes:
        status: ``applied``; ``late`` (applied, though older than the user's last event); ``duplicate`` (applied before);
            ``conflict`` (its id belongs to another event); ``unknown_item``; ``invalid``; ``not_processed`` (send it again).
        error: why it was not applied.
    """

    event_id: str
    status: Status
    error: str | None = None
    recommendations: Recommendations | None = None


class EventResults(Struct):
    """The results of a list of events, in the same order."""

    results: list[EventResult]


class UserInfo(Struct):
    """What the server knows about a user."""

    user_id: str
    num_events: int
    last_time: int | None
    basis: Basis
    model: str


class ItemWords(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The words of an item that came after training.

    Attributes:
        columns: further columns of the items of the log that the model reads.
    """

    title: str | None = None
    description: str | None = None
    brand: str | None = None
    category: str | None = None
    price: float | None = None
    columns: dict[str, Value] = {}


class ItemResult(Struct):
    """The result of a change of an item.

    Attributes:
        status: ``added`` (it can be recommended now), ``known`` (nothing changed; words of an item of the run are not read
            again), ``restored`` (it had been retired) or ``retired``.
    """

    item_id: str
    status: Literal["added", "known", "restored", "retired"]


class ImaginedEvent(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An event that did not happen."""

    item_id: Id
    timestamp: Seconds
    event: Name | None = None
    rating: float | None = None
    text: str | None = None
    columns: dict[str, Value] = {}


AnyEvent = LoggedEvent | ImaginedEvent
"""What the model reads of an event, wherever it comes from."""


class WhatIf(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A question: what would be recommended if some events had happened, and others had not? Nothing is written.

    Attributes:
        add: events after those of the user, in order.
        remove: ids of events of the user.
    """

    user_id: Id
    add: Annotated[list[ImaginedEvent], Meta(max_length=100)] = []
    remove: Annotated[list[Id], Meta(max_length=100)] = []
    k: Count = 10
    at: Seconds | None = None


class WhatIfResult(Struct):
    """The lists without and with the change."""

    before: Recommendations
    after: Recommendations


class ModelRequest(Struct, forbid_unknown_fields=True):
    """A run to serve from now on: the folder on the server's disk."""

    run: Annotated[str, Meta(min_length=1)]


class ModelInfo(Struct):
    """The model that is served.

    Attributes:
        index: how items are searched: ``exact`` or ``ivf``.
        recall: measured share of the exact ten best that the index finds; null if nothing was measured.
        overlap: share of the ten best items that the model before had too, over users compared at the swap.
        compared_users: number of these users.
    """

    model: str
    run: str
    index: str
    recall: float | None
    overlap: float | None = None
    compared_users: int = 0


class Problem(Struct):
    """Why a request was not answered."""

    error: str


EVENT_DECODER = msgspec.json.Decoder(LoggedEvent)
ITEM_DECODER = msgspec.json.Decoder(ItemWords)
_ENCODER = msgspec.json.Encoder(order="deterministic")


def event_body(event: LoggedEvent) -> bytes:
    """Return an event as it is stored and compared: without ``k``, and in a fixed order of keys.

    Args:
        event: the event.
    """
    if isinstance(event, Event) and event.k is not None:
        event = msgspec.structs.replace(event, k=None)
    return _ENCODER.encode(event)


def item_body(words: ItemWords) -> bytes:
    """Return the words of an item as they are stored and compared.

    Args:
        words: the words.
    """
    return _ENCODER.encode(words)


def clean_id(text: str) -> str:
    """Return an id without the white space around it, as a log has it.

    Args:
        text: id of a user or an item.

    Raises:
        DataError: it is empty or too long.
    """
    text = text.strip()
    if not 0 < len(text) <= MAX_ID:
        raise DataError(f"the id of a user or an item has 1 to {MAX_ID} characters that are not white space around it.")
    return text
