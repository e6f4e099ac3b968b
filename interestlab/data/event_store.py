"""The event store: a source's events validated, cleaned, ordered and split, in a folder named by their fingerprint."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console

from interestlab.contract import Source
from interestlab.data import time_features
from interestlab.data.casting import is_scalar_type
from interestlab.data.histories import Histories, Ties, build_histories
from interestlab.data.split import SplitPositions, SplitStrategy, global_time, leave_one_out, new_items
from interestlab.data.text_cleaning import Cleaning
from interestlab.data.validate import validate
from interestlab.errors import DataError
from interestlab.utils import artifact_store

USERS_PER_CHUNK = 1 << 18
"""Users whose events are read at a time."""

console = Console(stderr=True)


@dataclass(frozen=True)
class PreparationSettings:
    """Settings that decide the content of an event store.

    Args:
        clean: text cleaning steps.
        k_core: remove users and items with fewer events, repeatedly; 0 removes none.
        min_history: remove users with fewer events.
        ties: order of a user's events with equal timestamps: ``file`` as published, ``shuffle`` random, ``item`` by item id.
        split: ``leave_one_out`` uses each user's last two events for validation and test; ``global_time`` splits all
            histories at the same two times; ``new_items`` does too, and its targets are
            the items that first appear at or after the first of them.
        split_quantiles: for splits by time: share of all events before the validation window and before the test window.
        target_events: types of the events that can be a target; empty: all.
        seed: seed of the shuffled ties.
    """

    clean: Cleaning = field(default_factory=Cleaning)
    k_core: int = 0
    min_history: int = 0
    ties: Ties = "file"
    split: SplitStrategy = "leave_one_out"
    split_quantiles: tuple[float, float] = (0.8, 0.9)
    target_events: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.split_quantiles[0] < self.split_quantiles[1] < 1:
            raise DataError(f"split_quantiles must be two rising shares between 0 and 1, not {list(self.split_quantiles)}.")

    def effective(self) -> dict[str, Any]:
        """Return only the settings that affect the store, so that equal results mean equal stores."""
        effective = asdict(self)
        seed = effective.pop("seed")
        if self.ties == "shuffle":
            effective["ties_seed"] = seed
        if self.split == "leave_one_out":
            del effective["split_quantiles"]
        effective["target_events"] = "+".join(sorted(set(self.target_events))) or "all"
        return effective


class EventStore:
    """Histories on disk, memory-mapped.

    Args:
        folder: folder of a store that :func:`open_event_store` built.

    Attributes:
        folder: the same folder.
        meta: ``users``, ``items``, ``events``, ``quarantined`` counts; ``cardinalities`` of the fields; ``preparation``
            (effective settings); ``data``, the hash of the source's files and arguments.
        offsets: ``[users + 1]`` int64 index of the first event of each history.
        item, time: ``[events]`` item index and unix seconds of each event.
        is_target: ``[events]`` bool, which events can be a target.
        split_positions: where each history is split.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
        computed = {f"event.{name}": size for name, size in time_features.COLUMNS.items()}
        self.meta["cardinalities"] = computed | self.meta["cardinalities"]
        self.offsets, self.item, self.time, self.is_target = (
            artifact_store.load(folder, name) for name in ("offsets", "item", "time", "is_target")
        )
        self.split_positions = SplitPositions(*(artifact_store.load(folder, f"split_{n}") for n in SplitPositions._fields))

    @property
    def events(self) -> pl.LazyFrame:
        """One row per event, in the order of the arrays, with the time features."""
        return time_features.add_time_features(pl.scan_parquet(self.folder / "events.parquet", glob=False))

    @cached_property
    def items(self) -> pl.DataFrame:
        """One row per item, in index order."""
        return pl.read_parquet(self.folder / "items.parquet", glob=False)

    @cached_property
    def users(self) -> pl.Series:
        """The id of each user, in index order."""
        return pl.read_parquet(self.folder / "users.parquet", glob=False)["user_id"]

    @cached_property
    def counts(self) -> np.ndarray:
        """``[items]`` int64 number of training events of each item."""
        counts = np.zeros(self.meta["items"], np.int64)
        for rows in self.training_rows():
            counts += np.bincount(self.item[rows], minlength=len(counts))
        return counts

    def training_rows(self) -> Iterator[np.ndarray]:
        """Yield the rows of the training events, ascending, of a number of users at a time."""
        train = self.split_positions.train
        for first in range(0, len(train), USERS_PER_CHUNK):
            offsets = self.offsets[first : first + USERS_PER_CHUNK + 1]
            rows = np.arange(offsets[0], offsets[-1])
            train_ends = offsets[:-1] + train[first : first + USERS_PER_CHUNK]
            yield rows[rows < np.repeat(train_ends, np.diff(offsets))]


def open_event_store(source: Source, settings: PreparationSettings, cache_dir: Path, max_bad_fraction: float) -> EventStore:
    """Open the event store of a source; build it first if it does not exist.

    Args:
        source: where the events come from.
        settings: how they are prepared.
        cache_dir: folder of all stores.
        max_bad_fraction: largest share of rows that may be in quarantine.

    Returns:
        The store.

    Raises:
        DataError: the source cannot be read, or too many of its rows are invalid.
    """
    spec = source.spec
    files = source.files()
    data = artifact_store.fingerprint(
        source=spec["class_path"],
        reading=source.version,
        args={name: _without_location(value, files) for name, value in spec["init_args"].items()},
        files=artifact_store.content_hash(files),
    )
    key = artifact_store.fingerprint(data=data, preparation=settings.effective())
    name = spec["class_path"].rsplit(".", 1)[-1]
    folder = cache_dir / "logs" / f"{name}-{key}"
    quarantine_file = cache_dir / "quarantine" / f"{name}-{key}.csv"

    def build(draft: Path) -> None:
        with console.status(f"reading {name}"):
            log = source.read()
            validated = validate(log)
        quarantine = validated.quarantine
        meta = {"source": name, "data": data, "quarantined": quarantine.height, "rows": validated.num_rows}
        if quarantine.height:
            quarantine_file.parent.mkdir(parents=True, exist_ok=True)
            quarantine.write_csv(quarantine_file)
            meta["first_quarantined"] = "{file} line {line}: {reason}".format(**quarantine.row(0, named=True))
        check_quarantine_fraction(meta, quarantine_file, max_bad_fraction)
        with console.status("cleaning, ordering and splitting"):
            histories = build_histories(
                validated,
                clean=settings.clean,
                k_core=settings.k_core,
                min_history=settings.min_history,
                ties=settings.ties,
                seed=settings.seed,
                split=settings.split,
                split_quantiles=settings.split_quantiles,
            )
            write_event_store(draft, histories, settings, meta)
            if log.truth is not None:
                log.truth.collect().write_parquet(draft / "truth.parquet")

    store = EventStore(artifact_store.build_artifact(folder, build))
    check_quarantine_fraction(store.meta, quarantine_file, max_bad_fraction)
    if store.meta["quarantined"]:
        console.print(f"{summarize_quarantine(store.meta, quarantine_file)}.")
    return store


def _without_location(value: Any, files: Sequence[Path]) -> Any:
    """Replace a path argument of a source by what decides how it is read, so that moving files does not rename the store.

    The content of the files is part of the fingerprint anyway. A file is replaced by its extension, a folder by the names
    of its files, and any other value is returned unchanged.
    """
    path = Path(str(value)).expanduser()
    if path in files:
        return Path(path.name.lower().removesuffix(".gz")).suffix
    names = [file.name for file in files if file.parent == path]
    return names if names and path != Path() else value


def write_event_store(folder: Path, histories: Histories, settings: PreparationSettings, meta: dict[str, Any]) -> None:
    """Split histories, and write them to a folder.

    Args:
        folder: an empty folder.
        histories: what to write.
        settings: settings that contain the split and the target events.
        meta: what is known about the source: ``source``, ``data``, ``quarantined``, ``rows``.

    Raises:
        DataError: the log has no event of one of the target types.
    """
    events, items, users, offsets, cuts, wordless = histories
    times = events["timestamp"].to_numpy()
    is_target = _find_targets(events, settings.target_events)
    if settings.split == "leave_one_out":
        positions = leave_one_out(offsets, is_target)
    elif settings.split == "global_time":
        positions = global_time(offsets, times, is_target, cuts)
    else:
        positions = new_items(offsets, events["item"].to_numpy(), times, is_target, cuts)
        meta = meta | {"wordless": wordless}
    artifact_store.save(
        folder,
        offsets=offsets,
        item=events["item"].cast(pl.Int32).to_numpy(),
        time=times,
        is_target=is_target,
        **{f"split_{name}": array.astype(np.int64) for name, array in positions._asdict().items()},
    )
    events.write_parquet(folder / "events.parquet")
    items.write_parquet(folder / "items.parquet")
    users.write_parquet(folder / "users.parquet")
    item_fields = _count_distinct("item", items, exclude={"item_id"})
    event_fields = _count_distinct("event", events, exclude={"user", "item"})
    meta = meta | {
        "users": users.height,
        "items": items.height,
        "events": events.height,
        "preparation": settings.effective(),
        "cardinalities": {"item.id": items.height} | item_fields | event_fields,
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1, ensure_ascii=False))


def _find_targets(events: pl.DataFrame, types: Sequence[str]) -> np.ndarray:
    """Return ``[events]`` bool, which events are of one of the types; without types, all.

    Raises:
        DataError: the log has no event of one of the types.
    """
    if not types:
        return np.ones(events.height, bool)
    available = events["event"].drop_nulls().unique().sort().to_list()
    if missing := sorted(set(types) - set(available)):
        raise DataError(f"no event of the log is of type {', '.join(missing)}; its types are {', '.join(available)}.")
    return events["event"].is_in(list(types)).fill_null(False).to_numpy()


def _count_distinct(side: str, frame: pl.DataFrame, exclude: set[str]) -> dict[str, int]:
    """Return the number of distinct values of each field of one side."""
    columns = [c for c, t in frame.schema.items() if c not in exclude and is_scalar_type(t)]
    counts = frame.select(pl.col(c).drop_nulls().n_unique() for c in columns).row(0) if columns else ()
    return {f"{side}.{c}": int(n) for c, n in zip(columns, counts, strict=True)}


def summarize_quarantine(meta: dict[str, Any], quarantine_file: Path) -> str:
    """Describe how many rows are in quarantine, in one line.

    Args:
        meta: metadata of a store with at least one row in quarantine.
        quarantine_file: where the rows are listed.
    """
    invalid, rows = meta["quarantined"], meta["rows"]
    return f"{invalid:,} of {rows:,} rows ({invalid / rows:.2%}) are in quarantine, listed with reasons in {quarantine_file}"


def check_quarantine_fraction(meta: dict[str, Any], quarantine_file: Path, max_fraction: float) -> None:
    """Check that not too many rows are in quarantine.

    Args:
        meta: metadata of a store, perhaps not built yet.
        quarantine_file: where the rows are listed.
        max_fraction: largest allowed share of all rows.

    Raises:
        DataError: the share is larger.
    """
    if meta["quarantined"] and meta["quarantined"] / meta["rows"] > max_fraction:
        summary = summarize_quarantine(meta, quarantine_file)
        raise DataError(f"{summary}. That is over max_bad_fraction={max_fraction:g}. First: {meta['first_quarantined']}.")
