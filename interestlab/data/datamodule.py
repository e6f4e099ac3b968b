"""InterestData: a source's histories as a LightningDataModule."""

import os
import signal
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader

from interestlab.batch import Batch
from interestlab.contract import Encoder, Source
from interestlab.data.dataset import HistoryDataset, LengthBatches
from interestlab.data.event_store import EventStore, Recipe, open_event_store
from interestlab.data.fields import FieldValues, field_codes, field_values
from interestlab.data.histories import Ties
from interestlab.data.split import Split
from interestlab.data.text_cleaning import Cleaning
from interestlab.errors import DataError
from interestlab.utils.argument_checks import require_at_least


class InterestData(LightningDataModule):
    """Shopping histories, from any source.

    Args:
        source: where the events come from: the name of an installed source, and its arguments.
        clean: steps of text cleaning, each of which can be switched off.
        k_core: users and items of fewer events leave, again and again; 0 keeps all.
        min_history: users of fewer events leave.
        max_history: how many last events of a history are read.
        ties: order of a user's events of equal time: ``file`` as published, ``shuffle`` by chance, ``item`` by item id.
        split: ``leave_one_out`` holds out each user's last two events; ``global_time`` cuts at two moments for everyone.
        split_quantiles: for ``global_time``: share of all events before the validation and before the test window.
        target_events: types of the events that are to be predicted, such as ``[purchase]``, out of histories of all; none: all.
        exclude_history: whether items of a user's history are left out of that user's ranking.
        batch_events: events of a training batch, padding included.
        eval_events: events of an evaluation batch, padding included; no metric depends on it.
        num_workers: processes that assemble batches.
        max_bad_fraction: share of bad rows at which reading stops.
        cache_dir: where stores are kept; default ``$INTERESTLAB_CACHE``, else ``~/.cache/interestlab``.
        seed: of shuffled ties and of the batches; on the command line, by default that of the run.
    """

    def __init__(
        self,
        source: Source,
        clean: Cleaning = Cleaning(),  # noqa: B008 (frozen)
        k_core: int = 0,
        min_history: int = 0,
        max_history: int = 50,
        ties: Ties = "file",
        split: Split = "leave_one_out",
        split_quantiles: tuple[float, float] = (0.8, 0.9),
        target_events: list[str] = [],  # noqa: B006 (read only)
        exclude_history: bool = True,
        batch_events: int = 4096,
        eval_events: int = 16384,
        num_workers: int = 0,
        max_bad_fraction: float = 0.01,
        cache_dir: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        require_at_least(1, max_history=max_history, batch_events=batch_events, eval_events=eval_events)
        require_at_least(0, k_core=k_core, min_history=min_history, num_workers=num_workers, max_bad_fraction=max_bad_fraction)
        seed = seed or 0
        self.source, self.max_bad_fraction = source, max_bad_fraction
        self.recipe = Recipe(clean, k_core, min_history, ties, split, split_quantiles, tuple(target_events), seed)
        self.max_history, self.exclude_history, self.num_workers, self.seed = (
            max_history,
            exclude_history,
            num_workers,
            seed,
        )
        self.batch_events, self.eval_events = batch_events, eval_events
        self.cache = cache_folder(cache_dir)

    @cached_property
    def log(self) -> EventStore:
        """The histories on disk, built on first use."""
        return open_event_store(self.source, self.recipe, self.cache, self.max_bad_fraction)

    @property
    def cardinalities(self) -> dict[str, int]:
        """Number of distinct values of each field; ``item.id`` is the catalogue."""
        return self.log.meta["cardinalities"]

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What a number must be told with, to be compared: data, k-core, ties, split and history rule."""
        meta = self.log.meta
        recipe = {k: v for k, v in meta["recipe"].items() if k != "clean"}
        return (
            {k: meta[k] for k in ("source", "data", "users", "items", "events")}
            | recipe
            | {
                "clean": "+".join(k for k, on in meta["recipe"]["clean"].items() if on) or "none",
                "max_history": self.max_history,
                "data_seed": self.seed,
                "history": "excluded" if self.exclude_history else "included",
                "ranking": "full catalogue, ties shared",
            }
        )

    def feature(self, encoder: Encoder, field: str) -> FieldValues:
        """One field of this log as ``encoder`` reads it."""
        return field_values(self.log, encoder, field, self.cache)

    def codes(self, field: str) -> np.ndarray:
        """``[items]`` or ``[events]`` int32 which value of a field each has; -1 where it has none."""
        return field_codes(self.log, field, self.cache).codes

    def loader(self, part: Literal["train", "validation", "test", "predict"]) -> DataLoader[Batch]:
        """Batches of one part of the histories.

        Raises:
            DataError: no user has anything in that part.
        """
        dataset = HistoryDataset(self.log, part, self.max_history, self.exclude_history)
        if not len(dataset):
            rule = f"split={self.recipe.split}, target_events={list(self.recipe.target_events)}"
            raise DataError(f"no user has events for {part} with {rule}; see `interestlab data describe`.")
        trainer: Trainer | None = self.trainer
        rank, world = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        if len(dataset) < world:
            raise DataError(f"{len(dataset)} users have events for {part}: too few for {world} processes.")
        train = part == "train"
        sampler = LengthBatches(
            dataset.lengths,
            self.batch_events if train else self.eval_events,
            shuffle=train,
            seed=self.seed,
            rank=rank,
            world=world,
        )
        workers: dict[str, Any] = {"num_workers": self.num_workers, "persistent_workers": self.num_workers > 0}
        pinned = trainer is not None and trainer.strategy.root_device.type == "cuda"
        return DataLoader(dataset, sampler=sampler, batch_size=None, pin_memory=pinned, worker_init_fn=deaf, **workers)

    def train_dataloader(self) -> DataLoader[Batch]:
        return self.loader("train")

    def val_dataloader(self) -> DataLoader[Batch]:
        return self.loader("validation")

    def test_dataloader(self) -> DataLoader[Batch]:
        return self.loader("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        return self.loader("predict")


def deaf(_: int) -> None:
    """Let a worker not hear SIGTERM: who signals a whole job means its end, which the process that trains comes to in order."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def cache_folder(chosen: str | None) -> Path:
    """Where stores are kept: as chosen, else ``$INTERESTLAB_CACHE``, else ``~/.cache/interestlab``."""
    return Path(chosen or os.environ.get("INTERESTLAB_CACHE") or Path.home() / ".cache" / "interestlab").expanduser()
