"""Small session logs, interests and event stores for the tests of drift."""

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


def make_interests(interests: int = 4, leaves: int = 2, each: int = 2, width: int = 6, seed: int = 0) -> Interests:
    """``interests x leaves x each`` items, ordered by interest; the items of a leaf have the same vector."""
    items = np.arange(interests * leaves * each)
    leaf = items // each
    leaf_vectors = np.random.default_rng(seed).normal(size=(interests * leaves, width)).astype(np.float32)
    names = [f"interest {k}" for k in range(interests)]
    leaf_names = [f"interest {k} > leaf {n}" for k in range(interests) for n in range(leaves)]
    return Interests(names, leaf // leaves, leaf_names, leaf, leaf_vectors[leaf], "synthetic")


def make_items(count: int, **columns: Sequence[str | None]) -> pl.DataFrame:
    """A catalogue of ``count`` item ids, with the given columns."""
    return pl.DataFrame(
        {"item_id": [f"i{i}" for i in range(count)], **columns}, schema_overrides=dict.fromkeys(columns, pl.String)
    )


def log_from_events(
    user: np.ndarray,
    time: np.ndarray,
    item: np.ndarray,
    users: int | None = None,
    items: pl.DataFrame | None = None,
    depth: np.ndarray | None = None,
    train: np.ndarray | None = None,
    session_gap: int = DEFAULT_SESSION_GAP,
) -> SessionLog:
    """A log of events that are already in order."""
    user, time, item = (np.asarray(a, np.int64) for a in (user, time, item))
    counts = np.bincount(user, minlength=users or int(user.max(initial=-1)) + 1)
    return SessionLog(
        users=pl.Series([f"u{u}" for u in range(len(counts))], dtype=pl.String),
        items=make_items(int(item.max(initial=0)) + 1) if items is None else items,
        offsets=np.r_[0, np.cumsum(counts)],
        event_index=np.arange(len(user)),
        time=time,
        item=item.astype(np.int32),
        session=number_sessions(user, time, session_gap),
        depth=np.full(len(user), np.nan, np.float32) if depth is None else np.asarray(depth, np.float32),
        in_training=np.ones(len(user), bool) if train is None else train,
    )


def make_log(histories: Sequence[Sequence[Sequence[int]]], **options: object) -> SessionLog:
    """A log from lists of items by session by user; one session per day, one event per minute."""
    events = [
        (u, START + s * DAY + e * 60, i) for u, h in enumerate(histories) for s, v in enumerate(h) for e, i in enumerate(v)
    ]
    user, time, item = np.array(events, np.int64).reshape(-1, 3).T
    return log_from_events(user, time, item, **({"users": len(histories)} | options))  # type: ignore[arg-type]


def sample_log(
    shares: np.ndarray,
    session_counts: np.ndarray | int,
    interests: Interests,
    seed: int,
    mean: float = 3.0,
    sticky: bool = True,
    leaf_shares: np.ndarray | None = None,
) -> SessionLog:
    """Sample a log from shares; by default a session has one interest and one leaf, as most real sessions do.

    Args:
        shares: ``[U, T, K]`` interest shares by user and session; sessions after the last use its shares, so ``T`` may be 1.
        session_counts: ``[U]`` number of sessions, or one number for all users.
        interests: interests of the sampled items.
        seed: seed of the random numbers.
        mean: mean number of events per session, geometrically distributed.
        sticky: whether all events of a session are of one leaf; otherwise each event has its own.
        leaf_shares: ``[U, T, L]`` shares of the leaves within an interest; by default equal.
    """
    rng = np.random.default_rng(seed)
    users, num_steps, num_interests = shares.shape
    session_counts = np.broadcast_to(session_counts, users)
    user = np.repeat(np.arange(users), session_counts)
    session = np.arange(len(user)) - np.repeat(np.cumsum(session_counts) - session_counts, session_counts)
    size = rng.geometric(1 / mean, len(user))
    size = np.minimum(size, 12)
    share_step = np.minimum(session, num_steps - 1)
    event_session = np.repeat(np.arange(len(user)), size)
    draw_session = np.arange(len(user)) if sticky else event_session
    probabilities = shares[user[draw_session], share_step[draw_session]]
    interest = (rng.random(len(draw_session))[:, None] > probabilities.cumsum(1)).sum(1).clip(max=num_interests - 1)
    leaves = len(interests.leaves) // num_interests
    if leaf_shares is None:
        leaf = rng.integers(leaves, size=len(draw_session))
    else:
        leaf_probabilities = leaf_shares[user[draw_session], np.minimum(session, leaf_shares.shape[1] - 1)[draw_session]]
        leaf = (rng.random(len(draw_session))[:, None] > leaf_probabilities.cumsum(1)).sum(1).clip(max=leaves - 1)
    group = (interest * leaves + leaf)[event_session] if sticky else interest * leaves + leaf
    items_per_leaf = len(interests.item_interest) // len(interests.leaves)
    item = group * items_per_leaf + rng.integers(items_per_leaf, size=len(event_session))
    position = np.arange(len(event_session)) - np.repeat(np.cumsum(size) - size, size)
    return log_from_events(
        user[event_session],
        START + session[event_session] * DAY + position * 60,
        item,
        users=users,
        items=make_items(len(interests.item_interest)),
    )


def constant_shares(users: int, interests: int, seed: int, concentration: float = 1.0) -> np.ndarray:
    """``[U, 1, K]`` random shares that stay constant over time, different for each user."""
    return np.random.default_rng(seed).dirichlet(np.full(interests, concentration), users)[:, None]


def shares_by_half(log: SessionLog, interests: Interests) -> InterestShares:
    """The interest shares in the first and in the second half of each user's sessions."""
    return InterestShares(log, interests, half_the_sessions(log))


def write_log(folder: Path, events: pl.DataFrame, items: pl.DataFrame | None = None) -> EventStore:
    """Write an event store from ``user_id, item_id, timestamp`` and further columns."""
    event_log = EventLog(events=events.lazy(), items=None if items is None else items.lazy())
    histories = build_histories(validate(event_log), clean=Cleaning(), k_core=0, min_history=0, ties="file", seed=0)
    folder.mkdir(parents=True, exist_ok=True)
    write_event_store(
        folder, histories, PreparationSettings(), {"source": "synthetic", "data": "0", "quarantined": 0, "rows": events.height}
    )
    return EventStore(folder)


def make_context(log: SessionLog, interests: Interests, store: EventStore | None = None, **overrides: object) -> Context:
    """A context of a log; ``overrides`` replace settings, tables, or values that the context would compute."""
    settings, tables = overrides.pop("settings", Settings()), overrides.pop("tables", {})
    context = Context(store, log, interests, settings, tables=tables)  # type: ignore[arg-type]
    vars(context).update(overrides)
    return context


def write_changing_log(folder: Path, titles: bool = True, text: bool = True) -> EventStore:
    """Two users: the first changes from lamps to drones in the third of five sessions."""
    rows = [("a", "lamp1", 0), ("a", "lamp2", 1), ("a", "drone1", 2), ("a", "drone2", 3), ("a", "drone1", 4), ("b", "lamp1", 5)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "day"], orient="row").with_columns(
        timestamp=START + pl.col("day") * DAY, event=pl.lit("view")
    )
    if text:
        events = events.with_columns(text=pl.when(pl.col("day") == 3).then(pl.lit("battery of 2024 and the propeller")))
    items = pl.DataFrame(
        {"item_id": ["lamp1", "lamp2", "drone1", "drone2"], "title": ["Desk lamp", None, "Racing drone", "Tiny drone"]}
    )
    return write_log(folder, events, items if titles else None)


def make_users_table(log: SessionLog, verdicts: Sequence[str], **columns: object) -> pl.DataFrame:
    """The columns of the table of users that other sections read."""
    count = len(log.users)
    values = {
        "source": "a",
        "destination": "b",
        "evolved_in": "c",
        "q_migration": 0.01,
        "q_evolution": 0.02,
        "segment": "s",
    } | columns
    frame = pl.DataFrame({"user_id": log.users, "verdict": [verdicts[u % len(verdicts)] for u in range(count)]})
    last = log.time[log.offsets[1:] - 1]
    return frame.with_columns(last=pl.Series(last), **{k: pl.lit(v) for k, v in values.items()})
