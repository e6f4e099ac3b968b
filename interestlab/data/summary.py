"""What a log holds, and what would make a result on it untrustworthy."""

from datetime import UTC, datetime

import numpy as np
import polars as pl

from interestlab.data.event_store import EventStore

HAN = r"\p{Han}"


def describe(log: EventStore) -> tuple[dict[str, str], list[str]]:
    """Facts of a log as text, and warnings.

    Returns:
        name -> value; one sentence a warning.
    """
    lengths, meta = np.diff(log.offsets), log.meta
    first, last = (datetime.fromtimestamp(int(t), UTC) for t in (log.time.min(), log.time.max()))
    tied = share_of_ties(log)
    counts = np.bincount(log.item, minlength=meta["items"])
    behaviours = log.events.group_by("event").len().sort("len", descending=True).collect()
    held = {part: int((getattr(log.cuts, part) > 0).sum()) for part in ("validation", "test")}
    facts = {
        "users": f"{meta['users']:,}",
        "items": f"{meta['items']:,}",
        "events": f"{meta['events']:,}",
        "density": f"{meta['events'] / meta['users'] / meta['items']:.4%}",
        "span": f"{first:%Y-%m-%d} to {last:%Y-%m-%d} ({(last - first).days:,} days)",
        "behaviours": ", ".join(f"{name} {n:,}" for name, n in behaviours.iter_rows()),
        "events a user": spread(lengths),
        "events an item": spread(counts),
        "same-time ties": f"{tied:.1%} of events share their time with the one before",
        "rows in quarantine": f"{meta['quarantined']:,} of {meta['rows']:,}",
        "users to validate, test": f"{held['validation']:,}, {held['test']:,}",
    }
    texts = {"event.text": log.events.select("text"), "item.title": log.items.lazy().select("title")}
    facts |= {name: text_facts(frame.collect().to_series()) for name, frame in texts.items()}
    return facts, warnings(log, lengths, tied, held["test"], (last - first).days)


def share_of_ties(log: EventStore) -> float:
    """Share of events that have the time of the same user's event before."""
    same = np.diff(log.time) == 0
    same[log.offsets[1:-1] - 1] = False  # the next user's first event
    return float(same.sum() / max(1, len(log.time)))


def spread(values: np.ndarray) -> str:
    """Mean, median and range."""
    return f"mean {values.mean():.1f}, median {np.median(values):.0f}, {values.min():,} to {values.max():,}"


def text_facts(texts: pl.Series) -> str:
    """How many texts there are, how long, and in which script; the script stands for the language."""
    there = texts.drop_nulls()
    if there.is_empty():
        return "none"
    chinese = there.str.contains(HAN).sum() / len(there)
    length = there.str.len_chars().sum() / len(there)
    return (
        f"{len(there):,} of {len(texts):,} ({there.n_unique():,} distinct), {length:.0f} characters on average, "
        f"{chinese:.0%} with Chinese characters"
    )


def warnings(log: EventStore, lengths: np.ndarray, tied: float, tested: int, days: int) -> list[str]:
    """What a reader of a result on this log should know."""
    told = []
    if tied > 0.1:
        told.append(f"{tied:.0%} of events tie in time, so their order is a convention: report ties=file and ties=shuffle.")
    if tested < 1000:
        told.append(
            f"{tested:,} users are tested: a recall of .1 has a standard error of {(0.09 / max(1, tested)) ** 0.5:.3f}."
        )
    if np.median(lengths) < 10:
        told.append(
            f"half of the users have at most {np.median(lengths):.0f} events: no claim about one user's drift can be supported."
        )
    if log.meta["quarantined"] > 0.01 * log.meta["rows"]:
        told.append(f"{log.meta['quarantined'] / log.meta['rows']:.1%} of the rows are in quarantine.")
    if days < 30:
        told.append(f"the log spans {days} days: slow change of interest cannot be seen in it.")
    unseen = int((log.counts == 0).sum())
    if unseen > 0.05 * log.meta["items"]:
        told.append(f"{unseen:,} of {log.meta['items']:,} items never occur in training: ids know nothing of them.")
    if log.meta["recipe"]["split"] == "leave_one_out":
        told.append("leave_one_out trains on events later than others' test events; global_time does not.")
    return told
