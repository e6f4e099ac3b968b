"""InterestData: a source's histories as a LightningDataModule."""

import os
import signal
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader

from interestlab.batch import Batch
from interestlab.contract import Encoder, Source
from interestlab.data.added_items import AddedItems, read_added_items
from interestlab.data.dataset import HistoryDataset
from interestlab.data.event_store import EventStore, PreparationSettings, open_event_store
from interestlab.data.fields import FieldValues, drop_rare_values, field_codes, field_values
from interestlab.data.histories import Ties
from interestlab.data.sampler import LengthBucketSampler
from interestlab.data.split import SplitName, SplitStrategy
from interestlab.data.text_cleaning import Cleaning
from interestlab.errors import DataError
from interestlab.utils.argument_checks import require_at_least


class InterestData(LightningDataModule):
    """Shopping histories, from any source.

    Args:
        source: where the events come from: the name of an installed source, and its arguments.
        clean: text cleaning steps; each can be switched off.
        k_core: remove users and items with fewer events, repeatedly; 0 removes none.
        min_history: remove users with fewer events.
        max_history: number of most recent events of a history that a model reads.
        ties: order of a user's events with equal timestamps: ``file`` as published, ``shuffle`` random, ``item`` by item id.
        split: ``leave_one_out`` uses each user's last two events for validation and test; ``global_time`` splits all
            histories at the same two times; ``new_items`` does too, and its targets are
            the items that first appear at or after the first of them.
        split_quantiles: for splits by time: share of all events before the validation window and before the test window.
        target_events: types of the events to predict, such as ``[purchase]``, from histories of all types; empty: all.
        exclude_history: whether to exclude the items of a user's history from that user's ranking.
        batch_events: events per training batch, including padding.
        eval_events: events per evaluation batch, including padding; no metric depends on it.
        num_workers: processes that assemble batches.
        max_bad_fraction: largest share of invalid rows; with more, reading stops with an error.
        cache_dir: folder of all stores; default ``$INTERESTLAB_CACHE``, else ``~/.cache/interestlab``.
        added_items: tables of further items (Parquet, CSV, JSONL) that are ranked too, though no event contains them; a row
            with the id of an item replaces its words. ``interestlab extend`` writes such tables into a run.
        seed: seed of shuffled ties and of the batches; on the command line it defaults to the seed of the run.
    """

    def __init__(
        self,
        source: Source,
        clean: Cleaning = Cleaning(),  # noqa: B008 (frozen)
        k_core: int = 0,
        min_history: int = 0,
        max_history: int = 50,
        ties: Ties = "file",
        split: SplitStrategy = "leave_one_out",
        split_quantiles: tuple[float, float] = (0.8, 0.9),
        target_events: list[str] = [],  # noqa: B006 (read only)
        exclude_history: bool = True,
        batch_events: int = 4096,
        eval_events: int = 16384,
        num_workers: int = 0,
        max_bad_fraction: float = 0.01,
        cache_dir: str | None = None,
        added_items: list[str] = [],  # noqa: B006 (read only)
        seed: int | None = None,
    ) -> None:
        super().__init__()
        require_at_least(1, max_history=max_history, batch_events=batch_events, eval_events=eval_events)
        require_at_least(0, k_core=k_core, min_history=min_history, num_workers=num_workers, max_bad_fraction=max_bad_fraction)
        seed = seed or 0
        self.source, self.max_bad_fraction = source, max_bad_fraction
        self.preparation = PreparationSettings(
            clean=clean,
            k_core=k_core,
            min_history=min_history,
            ties=ties,
            split=split,
            split_quantiles=split_quantiles,
            target_events=tuple(target_events),
            seed=seed,
        )
        self.max_history, self.exclude_history = max_history, exclude_history
        self.num_workers, self.seed = num_workers, seed
        self.batch_events, self.eval_events = batch_events, eval_events
        self.cache = resolve_cache_dir(cache_dir)
        self.added_items = [Path(file).expanduser() for file in added_items]

    @cached_property
    def log(self) -> EventStore:
        """The event store, built on first use."""
        return open_event_store(self.source, self.preparation, self.cache, self.max_bad_fraction)

    @cached_property
    def added(self) -> list[AddedItems]:
        """The items of each table that are ranked beside those of the log."""
        added, items = [], self.log.items
        for file in self.added_items:
            added.append(read_added_items(file, items, self.preparation.clean))
            items = added[-1].extend(items)
        return added

    @cached_property
    def catalogue(self) -> pl.DataFrame:
        """All items that are ranked, in index order: those of the log, then the added ones."""
        items = self.log.items
        for added in self.added:
            items = added.extend(items)
        return items

    @property
    def num_added(self) -> int:
        """Number of ranked items that are not in the log."""
        return self.catalogue.height - self.log.items.height

    @property
    def cardinalities(self) -> dict[str, int]:
        """Number of distinct values of each field; ``item.id`` is the catalogue size."""
        return self.log.meta["cardinalities"]

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Data and settings that must be equal for two results to be comparable, such as k-core, ties and split."""
        meta = self.log.meta
        preparation = {k: v for k, v in meta["preparation"].items() if k != "clean"}
        added = {"added_items": "+".join(f"{a.rows.height} of {a.digest}" for a in self.added)} if self.added else {}
        return (
            {k: meta[k] for k in ("source", "data", "users", "items", "events")}
            | preparation
            | {
                "clean": "+".join(k for k, on in meta["preparation"]["clean"].items() if on) or "none",
                "max_history": self.max_history,
                "data_seed": self.seed,
                "history": "excluded" if self.exclude_history else "included",
                "ranking": "full catalogue, ties shared",
            }
            | added
        )

    def feature(self, encoder: Encoder, field: str) -> FieldValues:
        """Return one field of this log as an encoder reads it.

        Args:
            encoder: the encoder that will read the values.
            field: such as ``item.title``.

        Raises:
            DataError: the log has no such field, or the encoder has a ``min_count`` and reads a field of the events.
        """
        values = field_values(self.log, encoder, field, self.cache)
        return drop_rare_values(values, field, self.log.counts, encoder.min_count) if encoder.min_count else values

    def codes(self, field: str) -> np.ndarray:
        """Return ``[items]`` or ``[events]`` int32 the code of each row's value in a field; -1 where it has none.

        Args:
            field: such as ``item.category``.

        Raises:
            DataError: the log has no such field.
        """
        return field_codes(self.log, field, self.cache).codes

    def loader(self, split: SplitName) -> DataLoader[Batch]:
        """Return the batches of one split.

        Args:
            split: ``train``, ``validation``, ``test`` or ``predict``.

        Raises:
            DataError: no user has events for this split, or fewer users than there are processes.
        """
        dataset = HistoryDataset(self.log, split, self.max_history, self.exclude_history)
        if not len(dataset):
            rule = f"split={self.preparation.split}, target_events={list(self.preparation.target_events)}"
            raise DataError(f"no user has events for {split} with {rule}; see `interestlab data describe`.")
        trainer: Trainer | None = self.trainer
        rank, world = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        if len(dataset) < world:
            raise DataError(f"{len(dataset)} users have events for {split}: too few for {world} processes.")
        train = split == "train"
        sampler = LengthBucketSampler(
            dataset.lengths,
            self.batch_events if train else self.eval_events,
            shuffle=train,
            seed=self.seed,
            rank=rank,
            world=world,
        )
        return DataLoader(
            dataset,
            sampler=sampler,
            batch_size=None,
            pin_memory=trainer is not None and trainer.strategy.root_device.type == "cuda",
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            worker_init_fn=ignore_sigterm,
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        return self.loader("train")

    def val_dataloader(self) -> DataLoader[Batch]:
        return self.loader("validation")

    def test_dataloader(self) -> DataLoader[Batch]:
        return self.loader("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        return self.loader("predict")


def ignore_sigterm(_: int) -> None:
    """Ignore SIGTERM in a data worker: a scheduler signals the whole job, and the training process shuts down in order.

    Args:
        _: number of the worker, which the data loader passes.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def resolve_cache_dir(cache_dir: str | None) -> Path:
    """Return the folder of all stores: the given one, else ``$INTERESTLAB_CACHE``, else ``~/.cache/interestlab``.

    Args:
        cache_dir: the user's choice, if any.
    """
    return Path(cache_dir or os.environ.get("INTERESTLAB_CACHE") or Path.home() / ".cache" / "interestlab").expanduser()
