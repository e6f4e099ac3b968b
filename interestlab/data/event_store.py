"""The log store: a source's events, checked, cleaned, ordered and cut, on disk under the name of what made them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console

from interestlab.contract import Source
from interestlab.data import time_features
from interestlab.data.casting import is_value
from interestlab.data.histories import Histories, Ties, histories
from interestlab.data.split import Cuts, Split, global_time, leave_one_out
from interestlab.data.text_cleaning import Cleaning
from interestlab.data.validate import validate
from interestlab.errors import DataError
from interestlab.utils import artifact_store

console = Console(stderr=True)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a log store holds.

    Args:
        clean: steps of text cleaning.
        k_core: users and items of fewer events leave, again and again; 0 keeps all.
        min_history: users of fewer events leave.
        ties: order of a user's events of equal time: ``file`` as published, ``shuffle`` by chance, ``item`` by item id.
        split: ``leave_one_out`` holds out each user's last two events; ``global_time`` cuts at two moments for everyone.
        split_quantiles: for ``global_time``: share of all events before the validation and before the test window.
        target_events: types of the events that can be a target; none: all.
        seed: of the shuffled ties.
    """

    clean: Cleaning = field(default_factory=Cleaning)
    k_core: int = 0
    min_history: int = 0
    ties: Ties = "file"
    split: Split = "leave_one_out"
    split_quantiles: tuple[float, float] = (0.8, 0.9)
    target_events: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.split_quantiles[0] < self.split_quantiles[1] < 1:
            raise DataError(f"split_quantiles must be two rising shares between 0 and 1, not {list(self.split_quantiles)}.")

    def settled(self) -> dict[str, Any]:
        """The settings that matter to this recipe: two recipes of equal outcome are equal here."""
        settled = asdict(self)
        seed = settled.pop("seed")
        if self.ties == "shuffle":
            settled["ties_seed"] = seed
        if self.split != "global_time":
            del settled["split_quantiles"]
        settled["target_events"] = "+".join(sorted(set(self.target_events))) or "all"
        return settled


STRETCH = 1 << 18
"""Users whose events are counted at a time."""


class EventStore:
    """Histories on disk, mapped into memory.

    Attributes:
        folder: where they are.
        meta: ``users``, ``items``, ``events``, ``quarantined`` counts; ``cardinalities`` of the fields; ``recipe``; ``data``,
            the hash of what the source read: its files' contents and its arguments.
        offsets: ``[users + 1]`` int64 where each history begins.
        item, time: ``[events]`` item index and unix seconds of each event.
        wanted: ``[events]`` bool, which events can be a target.
        cuts: where each history is cut.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text())
        self.meta["cardinalities"] = {f"event.{name}": size for name, size in time_features.COLUMNS.items()} | self.meta[
            "cardinalities"
        ]
        self.offsets, self.item, self.time, self.wanted = (
            artifact_store.load(folder, n) for n in ("offsets", "item", "time", "wanted")
        )
        self.cuts = Cuts(*(artifact_store.load(folder, f"cut_{n}") for n in Cuts._fields))

    @property
    def events(self) -> pl.LazyFrame:
        """One row an event, in the order of the arrays, with what its time says."""
        return time_features.with_clock(pl.scan_parquet(self.folder / "events.parquet", glob=False))

    @cached_property
    def items(self) -> pl.DataFrame:
        """One row an item, at its index."""
        return pl.read_parquet(self.folder / "items.parquet", glob=False)

    @cached_property
    def users(self) -> pl.Series:
        """The id of each user, at its index."""
        return pl.read_parquet(self.folder / "users.parquet", glob=False)["user_id"]

    @cached_property
    def counts(self) -> np.ndarray:
        """``[items]`` int64 how often each item occurs in the training part."""
        counts = np.zeros(self.meta["items"], np.int64)
        for first in range(0, len(self.cuts.train), STRETCH):
            offsets = self.offsets[first : first + STRETCH + 1]
            rows = np.arange(offsets[0], offsets[-1])
            train = rows < np.repeat(offsets[:-1] + self.cuts.train[first : first + STRETCH], np.diff(offsets))
            counts += np.bincount(self.item[rows[train]], minlength=len(counts))
        return counts


def open_event_store(source: Source, recipe: Recipe, cache: Path, max_bad_fraction: float) -> EventStore:
    """Open the log store of a source, building it first where it is not there yet.

    Raises:
        DataError: the source cannot be read, or more than ``max_bad_fraction`` of its rows are bad.
    """
    spec = source.spec
    paths = source.files()
    args = {name: unplaced(value, paths) for name, value in spec["init_args"].items()}
    files = artifact_store.content_hash(paths)
    data = artifact_store.fingerprint(source=spec["class_path"], reading=source.version, args=args, files=files)
    key = artifact_store.fingerprint(data=data, recipe=recipe.settled())
    name = spec["class_path"].rsplit(".", 1)[-1]
    folder = cache / "logs" / f"{name}-{key}"
    quarantine = cache / "quarantine" / f"{name}-{key}.csv"

    def write(draft: Path) -> None:
        with console.status(f"reading {name}"):
            log = source.read()
            checked = validate(log)
        about = {"source": name, "data": data, "quarantined": checked.bad.height, "rows": checked.rows}
        if checked.bad.height:
            quarantine.parent.mkdir(parents=True, exist_ok=True)
            checked.bad.write_csv(quarantine)
            about["first_bad"] = "{file} line {line}: {reason}".format(**checked.bad.row(0, named=True))
        judge(about, quarantine, max_bad_fraction)
        with console.status("cleaning, ordering and splitting"):
            told = histories(
                checked,
                clean=recipe.clean,
                k_core=recipe.k_core,
                min_history=recipe.min_history,
                ties=recipe.ties,
                seed=recipe.seed,
            )
            write_log(draft, told, recipe, about)
            if log.truth is not None:
                log.truth.collect().write_parquet(draft / "truth.parquet")

    log = EventStore(artifact_store.build_artifact(folder, write))
    if told := judge(log.meta, quarantine, max_bad_fraction):
        console.print(told)
    return log


def unplaced(value: Any, files: Sequence[Path]) -> Any:
    """An argument of a source without the place of its files, which count by their contents.

    Endings, and the names in a folder, decide the reading.
    """
    path = Path(str(value)).expanduser()
    if path in files:
        return Path(path.name.lower().removesuffix(".gz")).suffix
    names = [file.name for file in files if file.parent == path]
    return names if names and path != Path() else value


def write_log(folder: Path, told: Histories, recipe: Recipe, about: dict[str, Any]) -> None:
    """Write histories, their cuts and what is known of them."""
    times = told.events["timestamp"].to_numpy()
    wanted = targets(told.events, recipe.target_events)
    if recipe.split == "leave_one_out":
        cuts = leave_one_out(told.offsets, wanted)
    else:
        cuts = global_time(told.offsets, times, wanted, recipe.split_quantiles)
    artifact_store.save(
        folder,
        offsets=told.offsets,
        item=told.events["item"].cast(pl.Int32).to_numpy(),
        time=times,
        wanted=wanted,
        **{f"cut_{n}": c.astype(np.int64) for n, c in cuts._asdict().items()},
    )
    told.events.write_parquet(folder / "events.parquet")
    told.items.write_parquet(folder / "items.parquet")
    told.users.write_parquet(folder / "users.parquet")
    cardinalities = (
        {"item.id": told.items.height}
        | distinct("item", told.items, {"item_id"})
        | distinct("event", told.events, {"user", "item"})
    )
    meta = about | {
        "users": told.users.height,
        "items": told.items.height,
        "events": told.events.height,
        "recipe": recipe.settled(),
        "cardinalities": cardinalities,
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1, ensure_ascii=False))


def targets(events: pl.DataFrame, types: Sequence[str]) -> np.ndarray:
    """``[events]`` bool, which are of one of the types; all where none is named.

    Raises:
        DataError: the log has no event of one.
    """
    if not types:
        return np.ones(events.height, bool)
    known = events["event"].drop_nulls().unique().sort().to_list()
    if missing := sorted(set(types) - set(known)):
        raise DataError(f"no event of the log is of type {', '.join(missing)}; there are {', '.join(known)}.")
    return events["event"].is_in(list(types)).fill_null(False).to_numpy()


def distinct(side: str, frame: pl.DataFrame, but: set[str]) -> dict[str, int]:
    """How many distinct values each field of one side has."""
    columns = [c for c, t in frame.schema.items() if c not in but and is_value(t)]
    counts = frame.select(pl.col(c).drop_nulls().n_unique() for c in columns).row(0) if columns else ()
    return {f"{side}.{c}": int(n) for c, n in zip(columns, counts, strict=True)}


def judge(about: dict[str, Any], quarantine: Path, limit: float) -> str:
    """What is to be said of the bad rows; nothing where there are none.

    Raises:
        DataError: they are more than ``limit`` of all rows.
    """
    if not about["quarantined"]:
        return ""
    share = about["quarantined"] / about["rows"]
    told = f"{about['quarantined']:,} of {about['rows']:,} rows ({share:.2%}) are bad; each is in {quarantine} with its reason"
    if share > limit:
        raise DataError(f"{told}. That is over max_bad_fraction={limit:g}. First: {about['first_bad']}.")
    return told
