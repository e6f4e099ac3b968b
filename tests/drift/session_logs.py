"""Small panels, interests and logs, made up for the tests of drift."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from interestlab.contract import EventLog
from interestlab.data.event_store import EventStore, PreparationSettings, write_event_store
from interestlab.data.histories import build_histories
from interestlab.data.text_cleaning import Cleaning
from interestlab.data.validate import validate
from interestlab.drift.context import Context
from interestlab.drift.interests import Interests
from interestlab.drift.session_log import DEFAULT_SESSION_GAP, SessionLog, number_sessions
from interestlab.drift.settings import Settings
from interestlab.drift.shares import InterestShares, half_the_sessions

DAY = 86_400
START = 1_700_006_400  # a midnight


def shop(interests: int = 4, leaves: int = 2, each: int = 2, width: int = 6, seed: int = 0) -> Interests:
    """``interests x leaves x each`` items, an interest's side by side; those of a leaf lie at one place."""
    items = np.arange(interests * leaves * each)
    leaf = items // each
    places = np.random.default_rng(seed).normal(size=(interests * leaves, width)).astype(np.float32)
    names = [f"interest {k}" for k in range(interests)]
    told = [f"interest {k} > leaf {n}" for k in range(interests) for n in range(leaves)]
    return Interests(names, leaf // leaves, told, leaf, places[leaf], "made up")


def items_of(count: int, **columns: Sequence[str | None]) -> pl.DataFrame:
    """A catalogue of ids, and what columns are given."""
    return pl.DataFrame(
        {"item_id": [f"i{i}" for i in range(count)], **columns}, schema_overrides=dict.fromkeys(columns, pl.String)
    )


def flat(
    user: np.ndarray,
    time: np.ndarray,
    item: np.ndarray,
    users: int | None = None,
    items: pl.DataFrame | None = None,
    depth: np.ndarray | None = None,
    train: np.ndarray | None = None,
    session_gap: int = DEFAULT_SESSION_GAP,
) -> SessionLog:
    """A log of events that are in order already."""
    user, time, item = (np.asarray(a, np.int64) for a in (user, time, item))
    many = np.bincount(user, minlength=users or int(user.max(initial=-1)) + 1)
    return SessionLog(
        users=pl.Series([f"u{u}" for u in range(len(many))], dtype=pl.String),
        items=items_of(int(item.max(initial=0)) + 1) if items is None else items,
        offsets=np.r_[0, np.cumsum(many)],
        event_index=np.arange(len(user)),
        time=time,
        item=item.astype(np.int32),
        session=number_sessions(user, time, session_gap),
        depth=np.full(len(user), np.nan, np.float32) if depth is None else np.asarray(depth, np.float32),
        in_training=np.ones(len(user), bool) if train is None else train,
    )


def made(histories: Sequence[Sequence[Sequence[int]]], **given: object) -> SessionLog:
    """A log of items by session by user; a session a day, a minute an event."""
    told = [(u, START + s * DAY + e * 60, i) for u, h in enumerate(histories) for s, v in enumerate(h) for e, i in enumerate(v)]
    user, time, item = np.array(told, np.int64).reshape(-1, 3).T
    return flat(user, time, item, **({"users": len(histories)} | given))  # type: ignore[arg-type]


def drawn(
    shares: np.ndarray,
    many: np.ndarray | int,
    interests: Interests,
    seed: int,
    mean: float = 3.0,
    sticky: bool = True,
    leaf_shares: np.ndarray | None = None,
) -> SessionLog:
    """A log of users who draw from their shares; a session is of one interest and one leaf, as real ones nearly are.

    Args:
        shares: ``[U, T, K]`` of each session of each user (``T`` may be 1), of which the first ``many`` count.
        many: ``[U]`` sessions.
        interests: whose items are drawn.
        seed: of the draws.
        mean: events a session, geometric.
        sticky: whether the events of a session are of one item's leaf; else each is drawn anew.
        leaf_shares: ``[U, T, L]`` of each leaf within its interest; by default equal.
    """
    rng = np.random.default_rng(seed)
    users, spans, count = shares.shape
    many = np.broadcast_to(many, users)
    user = np.repeat(np.arange(users), many)
    step = np.arange(len(user)) - np.repeat(np.cumsum(many) - many, many)
    size = rng.geometric(1 / mean, len(user))
    size = np.minimum(size, 12)
    at = np.minimum(step, spans - 1)
    event = np.repeat(np.arange(len(user)), size)
    unit = np.arange(len(user)) if sticky else event
    each = shares[user[unit], at[unit]]
    interest = (rng.random(len(unit))[:, None] > each.cumsum(1)).sum(1).clip(max=count - 1)
    leaves = len(interests.leaves) // count
    if leaf_shares is None:
        leaf = rng.integers(leaves, size=len(unit))
    else:
        found = leaf_shares[user[unit], np.minimum(step, leaf_shares.shape[1] - 1)[unit]]
        leaf = (rng.random(len(unit))[:, None] > found.cumsum(1)).sum(1).clip(max=leaves - 1)
    group = (interest * leaves + leaf)[event] if sticky else interest * leaves + leaf
    each_leaf = len(interests.item_interest) // len(interests.leaves)
    item = group * each_leaf + rng.integers(each_leaf, size=len(event))
    inside = np.arange(len(event)) - np.repeat(np.cumsum(size) - size, size)
    return flat(
        user[event], START + step[event] * DAY + inside * 60, item, users=users, items=items_of(len(interests.item_interest))
    )


def alike(users: int, interests: int, seed: int, sharp: float = 1.0) -> np.ndarray:
    """``[U, 1, K]`` shares that stay, each user's own."""
    return np.random.default_rng(seed).dirichlet(np.full(interests, sharp), users)[:, None]


def halved(log: SessionLog, interests: Interests) -> InterestShares:
    """The attention before and after the middle of each user's events."""
    return InterestShares(log, interests, half_the_sessions(log))


def log_of(folder: Path, events: pl.DataFrame, items: pl.DataFrame | None = None) -> EventStore:
    """A log on disk: ``user_id, item_id, timestamp`` and what else is given."""
    known = EventLog(events=events.lazy(), items=None if items is None else items.lazy())
    told = build_histories(validate(known), clean=Cleaning(), k_core=0, min_history=0, ties="file", seed=0)
    folder.mkdir(parents=True, exist_ok=True)
    write_event_store(
        folder, told, PreparationSettings(), {"source": "made", "data": "0", "quarantined": 0, "rows": events.height}
    )
    return EventStore(folder)


def context_of(log: SessionLog, interests: Interests, store: EventStore | None = None, **given: object) -> Context:
    """A context of a log; what is given replaces settings, tables, or what the context would compute."""
    settings, tables = given.pop("settings", Settings()), given.pop("tables", {})
    context = Context(store, log, interests, settings, tables=tables)  # type: ignore[arg-type]
    vars(context).update(given)
    return context


def changing_log(folder: Path, titles: bool = True, text: bool = True) -> EventStore:
    """Two users: the first changes from lamps to drones in the third of five sessions."""
    told = [("a", "lamp1", 0), ("a", "lamp2", 1), ("a", "drone1", 2), ("a", "drone2", 3), ("a", "drone1", 4), ("b", "lamp1", 5)]
    events = pl.DataFrame(told, schema=["user_id", "item_id", "day"], orient="row").with_columns(
        timestamp=START + pl.col("day") * DAY, event=pl.lit("view")
    )
    if text:
        events = events.with_columns(text=pl.when(pl.col("day") == 3).then(pl.lit("battery of 2024 and the propeller")))
    items = pl.DataFrame(
        {"item_id": ["lamp1", "lamp2", "drone1", "drone2"], "title": ["Desk lamp", None, "Racing drone", "Tiny drone"]}
    )
    return log_of(folder, events, items if titles else None)


def table_of_users(log: SessionLog, verdicts: Sequence[str], **columns: object) -> pl.DataFrame:
    """As much of the table of users as the others read."""
    many = len(log.users)
    told = {
        "source": "a",
        "destination": "b",
        "evolved_in": "c",
        "q_migration": 0.01,
        "q_evolution": 0.02,
        "segment": "s",
    } | columns
    frame = pl.DataFrame({"user_id": log.users, "verdict": [verdicts[u % len(verdicts)] for u in range(many)]})
    last = log.time[log.offsets[1:] - 1]
    return frame.with_columns(last=pl.Series(last), **{k: pl.lit(v) for k, v in told.items()})
