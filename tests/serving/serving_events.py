"""Events for the tests of the server."""

from typing import Any

from interestlab.serving.messages import Event

START = 1_750_000_000
ITEMS = [f"i{n:05}" for n in range(1, 41) if n not in (18, 19)]
"""Items of the small shop that have an event in its log."""


def event(event_id: str, user: str = "u", item: str = "i00001", time: float = START, **columns: Any) -> Event:
    return Event(event_id, user, item, time, **columns)


def walk(user: str, count: int, start: int = 0) -> list[Event]:
    """Return events of one user over several items, types, ratings and pauses."""
    events, seed = [], sum(user.encode())
    for n in range(start, start + count):
        columns = {"event": ("view", "purchase", None)[n % 3], "rating": (None, 4.0, 2.5)[n % 3]}
        events.append(event(f"{user}-{n}", user, ITEMS[(7 * n + seed) % len(ITEMS)], START + 4_000 * n + n * n, **columns))
    return events


def as_mapping(one: Event) -> dict[str, Any]:
    """Return an event as the recommender reads it."""
    columns = {"event": one.event, "rating": one.rating, "text": one.text} | one.columns
    return {"item_id": one.item_id, "timestamp": one.timestamp} | {k: v for k, v in columns.items() if v is not None}
