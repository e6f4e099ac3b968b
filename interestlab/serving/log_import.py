"""Import the log of a run into a new store, so that its users have their states from the first request on."""

from collections.abc import Iterator

import polars as pl

from interestlab.data.datamodule import InterestData
from interestlab.data.validate import RESERVED_COLUMNS
from interestlab.serving.messages import LoggedEvent, event_body
from interestlab.serving.reader import OWN_FIELDS
from interestlab.serving.store.events import StoredEvent
from interestlab.serving.store.store import Store

EVENTS_PER_CHUNK = 50_000
IMPORTED = "imported_log"
"""Setting of a store: ``yes`` or ``no``, decided when it is new."""

PLAIN_TYPES = (pl.String, pl.Boolean, *pl.datatypes.group.INTEGER_DTYPES, *pl.datatypes.group.FLOAT_DTYPES)


def import_log(store: Store, data: InterestData, wanted: bool) -> int | None:
    """Import all events of a log into a store that is new; return their number, or None if the store is not new.

    Args:
        store: the store.
        data: the log.
        wanted: whether to import them; otherwise the store is only marked.
    """
    if store.setting(IMPORTED) is not None:
        return None
    count = 0
    with store.transaction():
        if wanted:
            for chunk in _log_events(data):
                store.events.add(chunk)
                count += len(chunk)
        store.set_setting(IMPORTED, "yes" if wanted else "no")
    return count


def _log_events(data: InterestData) -> Iterator[list[StoredEvent]]:
    frame = pl.scan_parquet(data.log.folder / "events.parquet", glob=False)
    schema = frame.collect_schema()
    further = [c for c, t in schema.items() if t in PLAIN_TYPES and c not in (*RESERVED_COLUMNS, *OWN_FIELDS, "timestamp")]
    users, items, offsets = data.log.users.to_list(), data.log.items["item_id"].to_list(), data.log.offsets
    for first in range(0, int(offsets[-1]), EVENTS_PER_CHUNK):
        rows = frame.slice(first, EVENTS_PER_CHUNK).collect()
        events = []
        for row, columns in enumerate(rows.iter_rows(named=True), first):
            user, item, time = columns["user"], items[columns["item"]], columns["timestamp"]
            values = {c: columns[c] for c in further if columns[c] is not None}
            own = {c: columns[c] for c in OWN_FIELDS if c in columns}
            event = LoggedEvent(f"log:{row}", users[user], item, time, **own, columns=values)
            events.append(StoredEvent(event.event_id, users[user], row - int(offsets[user]), time, item, event_body(event)))
        yield events
