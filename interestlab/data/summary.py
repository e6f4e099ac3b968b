"""Summarise a log, and warn about properties that would make results on it unreliable."""

from datetime import UTC, datetime

import numpy as np
import polars as pl

from interestlab.data.event_store import EventStore

_CHINESE_CHARACTER = r"\p{Han}"


def describe(log: EventStore) -> tuple[dict[str, str], list[str]]:
    """Summarise a log.

    Args:
        log: the event store.

    Returns:
        Name -> formatted value, and warnings of one sentence each.
    """
    lengths, meta = np.diff(log.offsets), log.meta
    first, last = (datetime.fromtimestamp(int(t), UTC) for t in (log.time.min(), log.time.max()))
    days = (last - first).days
    tied = tie_fraction(log)
    item_counts = np.bincount(log.item, minlength=meta["items"])
    event_types = log.events.group_by("event").len().sort("len", descending=True).collect()
    positions = log.split_positions
    validated, tested = int((positions.validation > 0).sum()), int((positions.test > 0).sum())
    facts = {
        "users": f"{meta['users']:,}",
        "items": f"{meta['items']:,}",
        "events": f"{meta['events']:,}",
        "density": f"{meta['events'] / meta['users'] / meta['items']:.4%}",
        "time span": f"{first:%Y-%m-%d} to {last:%Y-%m-%d} ({_count_days(days)})",
        "event types": ", ".join(f"{name} {n:,}" for name, n in event_types.iter_rows()),
        "events per user": _format_spread(lengths),
        "events per item": _format_spread(item_counts),
        "ties": f"{tied:.1%} of events have the same time as the user's previous event",
        "rows in quarantine": f"{meta['quarantined']:,} of {meta['rows']:,}",
        "validation and test users": f"{validated:,}, {tested:,}",
    }
    if "wordless" in meta:
        targets = np.concatenate([log.item[log.offsets[:-1][p > 0] + p[p > 0]] for p in positions[1:]])
        facts["new items"] = (
            f"{len(np.unique(targets)):,} are targets; {meta['wordless']:,} events of new items without words are left out"
        )
    texts = {"event.text": log.events.select("text"), "item.title": log.items.lazy().select("title")}
    facts |= {name: _summarize_texts(frame.collect().to_series()) for name, frame in texts.items()}
    return facts, _list_warnings(log, lengths, tied, tested, days)


def tie_fraction(log: EventStore) -> float:
    """Return the share of events with the same timestamp as the user's previous event.

    Args:
        log: the event store.
    """
    same = np.diff(log.time) == 0
    same[log.offsets[1:-1] - 1] = False  # the next user's first event
    return float(same.sum() / max(1, len(log.time)))


def _format_spread(values: np.ndarray) -> str:
    return f"mean {values.mean():.1f}, median {np.median(values):.0f}, {values.min():,} to {values.max():,}"


def _summarize_texts(texts: pl.Series) -> str:
    """Describe number, length and script of texts; the script is a proxy for the language."""
    present = texts.drop_nulls()
    if present.is_empty():
        return "none"
    chinese = present.str.contains(_CHINESE_CHARACTER).sum() / len(present)
    length = present.str.len_chars().sum() / len(present)
    return (
        f"{len(present):,} of {len(texts):,} ({present.n_unique():,} distinct), {length:.0f} characters on average, "
        f"{chinese:.0%} with Chinese characters"
    )


def _count_days(days: int) -> str:
    return f"{days:,} day{'s' * (days != 1)}"


def _list_warnings(log: EventStore, lengths: np.ndarray, tied: float, tested: int, days: int) -> list[str]:
    warnings = []
    if tied > 0.1:
        warnings.append(f"{tied:.0%} of events tie in time, so their order is arbitrary: report ties=file and ties=shuffle.")
    if not tested:
        warnings.append(f"no user has an event for the test with split={log.meta['preparation']['split']}.")
    elif tested < 1000:
        error = (0.09 / tested) ** 0.5
        warnings.append(f"only {tested:,} users are tested: a recall of 0.1 has a standard error of {error:.3f}.")
    if np.median(lengths) < 10:
        warnings.append(
            f"half of the users have at most {np.median(lengths):.0f} events: too few for a claim about one user's drift."
        )
    if log.meta["quarantined"] > 0.01 * log.meta["rows"]:
        warnings.append(f"{log.meta['quarantined'] / log.meta['rows']:.1%} of the rows are in quarantine.")
    if days < 30:
        warnings.append(f"the log spans {_count_days(days)}: too short to show slow changes of interest.")
    untrained = int((log.counts == 0).sum())
    if untrained > 0.05 * log.meta["items"]:
        warnings.append(
            f"{untrained:,} of {log.meta['items']:,} items never occur in training: an id encoder knows nothing about them."
        )
    if log.meta["preparation"]["split"] == "leave_one_out":
        warnings.append("leave_one_out trains on events later than other users' test events; global_time does not.")
    return warnings
