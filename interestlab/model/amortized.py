"""Amortised encoding: a training step encodes a share of its values with gradient, and reads the others from a table.

The table contains the output of the encoder for every value, without gradient (SpeedyFeed, arXiv 2102.09268).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from interestlab.model.embedding_cache import EmbeddingCache
from interestlab.model.evaluation_mode import evaluation_mode
from interestlab.utils.argument_checks import require_at_least

BLOCK = 4096
"""Values that are encoded and exchanged at once when a table is refreshed."""


@dataclass(frozen=True)
class Amortization:
    """How many values of a training step are encoded with gradient; the others are read from a table. Evaluation is exact.

    Args:
        share: largest share of the distinct values of a training step that is encoded with gradient, above 0; 1 encodes all.
        schedule: which values are encoded: ``random`` ones, sampled anew in each step, or those that were not encoded in this
            epoch yet, so that each is encoded ``once`` per epoch.
        refresh: when the whole table is encoded again, without gradient: at the start of each ``epoch``, only at the ``start``
            of training, or after this number of training steps.
    """

    share: float = 1.0
    schedule: Literal["random", "once"] = "random"
    refresh: Literal["epoch", "start"] | int = "epoch"

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"amortize.share must be above 0 and at most 1, not {self.share}")
        if isinstance(self.refresh, int):
            require_at_least(1, refresh=self.refresh)

    @property
    def is_used(self) -> bool:
        """Whether some values are read from a table."""
        return self.share < 1 or self.schedule == "once"


@dataclass(frozen=True)
class StepPosition:
    """Position of a batch in the training, the same in all processes.

    Attributes:
        seed: seed of the run.
        epoch: number of the epoch.
        batch: number of the batch in the epoch.
        step: number of training steps before this one; the batches of one step have the same.
    """

    seed: int
    epoch: int
    batch: int
    step: int


BEFORE_TRAINING = StepPosition(0, -1, -1, -1)


class VectorTable:
    """The vectors of one field, and when each was encoded.

    Vectors that a training step encodes are written to the table after the step, so that all batches of a step read the same
    table, and a step that is repeated after a resume does too.

    Args:
        cache: encodes values of the field.
        options: which values are encoded.
        number: index of the stream, so that each stream samples different values.
    """

    def __init__(self, cache: EmbeddingCache, options: Amortization, number: int) -> None:
        self.cache, self.options, self.number = cache, options, number
        size = cache.feature.size
        self.vectors: Tensor | None = None
        self.encoded_at = np.zeros(size, np.int64)  # training step of each vector
        self.gradient_epoch = np.full(size, -1, np.int64)  # epoch in which each value last had a gradient
        self.refreshed_at, self.refreshed_epoch = -1, -1
        self.position = BEFORE_TRAINING
        self._unwritten: list[tuple[np.ndarray, Tensor]] = []
        self.counts = {"values": 0, "encoded": 0, "read": 0, "age": 0}

    # ---- a training step

    def start_step(self, position: StepPosition) -> bool:
        """Start a batch.

        Args:
            position: the batch.

        Returns:
            Whether the table must be refreshed before it.
        """
        self._write_finished(position.step)
        self.position = position
        self.counts = dict.fromkeys(self.counts, 0)
        if self.vectors is None:
            return True
        if isinstance(self.options.refresh, int):
            return position.step - self.refreshed_at >= self.options.refresh
        return self.options.refresh == "epoch" and position.epoch != self.refreshed_epoch

    def __call__(self, codes: np.ndarray, dtype: torch.dtype, *, shared: bool) -> Tensor:
        """Embed distinct values: encode a share of them, and read the vectors of the others from the table.

        Args:
            codes: ``[U]`` int64 codes of the values, ascending and distinct; there may be none.
            dtype: dtype of the vectors.
            shared: whether all processes ask for the same values.

        Returns:
            ``[U, out_dim]`` on the encoder's device.
        """
        assert self.vectors is not None, "the table is filled before the first step"
        everywhere = codes if shared else self.cache.execution.union(codes)
        chosen = self.choose(everywhere)
        fresh = self.cache.execution.encode_shared(chosen, lambda part: self._encode(part, dtype))
        self._unwritten.append((chosen, fresh.detach()))
        device = fresh.device
        if len(chosen) == len(everywhere):
            vectors = fresh
        else:
            scale = self.gradient_scale(len(everywhere), len(chosen))
            fresh.register_hook(lambda gradient: gradient * scale)
            positions = torch.from_numpy(np.searchsorted(everywhere, chosen)).to(device)
            vectors = self._read(everywhere, dtype, device).index_copy(0, positions, fresh)
        self._count(everywhere, chosen)
        if len(codes) == len(everywhere):
            return vectors
        return vectors[torch.from_numpy(np.searchsorted(everywhere, codes)).to(device)]

    def choose(self, codes: np.ndarray) -> np.ndarray:
        """Return the values to encode with gradient, which depend on the position of the batch alone.

        Args:
            codes: ``[U]`` int64 codes of the values of the step, ascending and distinct.

        Returns:
            ``[n]`` some of them, ascending.
        """
        due = codes
        if self.options.schedule == "once":
            due = due[self.gradient_epoch[due] != self.position.epoch]
            for written, _ in self._unwritten:
                due = np.setdiff1d(due, written, assume_unique=True)
        number = min(len(due), max(1, round(self.options.share * len(codes))))
        if number == len(due):
            return due
        position = self.position
        generator = np.random.default_rng([position.seed, position.epoch, position.batch, self.number])
        return np.sort(generator.choice(due, number, replace=False))

    def gradient_scale(self, values: int, chosen: int) -> float:
        """Return the factor of the gradient of the encoded values.

        A random value is encoded with probability ``chosen / values``; divided by it, the gradient of the step has the exact
        gradient as its expectation (Horvitz and Thompson 1952), if the table is up to date.

        Args:
            values: number of values of the step.
            chosen: number of values that are encoded.
        """
        return values / max(1, chosen) if self.options.schedule == "random" else 1.0

    @torch.no_grad()
    def refresh(self, dtype: torch.dtype) -> None:
        """Encode all values, in eval mode; each process encodes a part.

        Args:
            dtype: dtype of the table.
        """
        encoder, feature = self.cache.encoder, self.cache.feature
        vectors = torch.empty(feature.size, encoder.out_dim, dtype=dtype, device=encoder.device)
        starts = range(0, feature.size, BLOCK)
        with evaluation_mode(encoder):
            for start in track(starts, f"refreshing {feature.size:,} vectors", transient=True, disable=len(starts) < 4):
                codes = np.arange(start, min(start + BLOCK, feature.size))
                encoded = self.cache.execution.encode_shared(codes, lambda part: self._encode(part, dtype))
                vectors[start : start + BLOCK] = encoded
        self.vectors = vectors
        self.encoded_at[:] = self.refreshed_at = self.position.step
        self.refreshed_epoch = self.position.epoch

    def _encode(self, codes: np.ndarray, dtype: torch.dtype) -> Tensor:
        """Encode ``codes [n]``, possibly none, as ``[n, out_dim]``; every weight of the encoder gets a gradient."""
        vectors = self.cache(codes) if len(codes) else self.cache(self.cache.feature.any_code)[:0]
        return vectors.to(dtype)

    def _read(self, codes: np.ndarray, dtype: torch.dtype, device: torch.device) -> Tensor:
        assert self.vectors is not None
        self.vectors = self.vectors.to(device, dtype)  # as it was read from a checkpoint
        return self.vectors[torch.from_numpy(codes).to(device)]

    def _count(self, codes: np.ndarray, chosen: np.ndarray) -> None:
        read = np.setdiff1d(codes, chosen, assume_unique=True)
        age = int((self.position.step - self.encoded_at[read]).sum())
        for name, count in {"values": len(codes), "encoded": len(chosen), "read": len(read), "age": age}.items():
            self.counts[name] += count

    def _write_finished(self, step: int) -> None:
        """Write the vectors of a step to the table once it is finished.

        Args:
            step: number of finished training steps.
        """
        if step <= self.position.step:
            return
        for codes, vectors in self._unwritten:
            assert self.vectors is not None
            self.vectors[torch.from_numpy(codes).to(self.vectors.device)] = vectors.to(self.vectors)
            self.encoded_at[codes], self.gradient_epoch[codes] = self.position.step, self.position.epoch
        self._unwritten.clear()

    # ---- checkpoints

    def state_dict(self, step: int) -> dict[str, Any]:
        """Return the table as it is between two training steps.

        Args:
            step: number of finished training steps; the batches of a later one will be repeated after a resume.
        """
        self._write_finished(step)
        return {
            "vectors": self.vectors,
            "encoded_at": torch.from_numpy(self.encoded_at.copy()),
            "gradient_epoch": torch.from_numpy(self.gradient_epoch.copy()),
            "refreshed": [self.refreshed_at, self.refreshed_epoch],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the table of a resumed training. A table for another number of values is ignored.

        Args:
            state: from :meth:`state_dict`.
        """
        self._unwritten.clear()
        if len(state["encoded_at"]) == self.cache.feature.size:
            self.vectors = state["vectors"]
            self.encoded_at, self.gradient_epoch = (state[name].numpy().copy() for name in ("encoded_at", "gradient_epoch"))
            self.refreshed_at, self.refreshed_epoch = state["refreshed"]


class AmortizedEncoding:
    """The tables of all streams whose encoder is trained and costly.

    Args:
        options: which values are encoded.
        caches: encode the values of each stream, by its name.
    """

    def __init__(self, options: Amortization, caches: Mapping[str, EmbeddingCache]) -> None:
        self.options = options
        used = caches if options.is_used else {}
        self._tables = {name: VectorTable(cache, options, number) for number, (name, cache) in enumerate(used.items())}

    @property
    def tables(self) -> dict[str, VectorTable]:
        """The tables by stream. An encoder may be frozen or unfrozen during training."""
        return {name: table for name, table in self._tables.items() if table.cache.is_costly}

    def start_step(self, position: StepPosition) -> list[VectorTable]:
        """Start a batch.

        Args:
            position: the batch.

        Returns:
            The tables that must be refreshed before it.
        """
        return [table for table in self.tables.values() if table.start_step(position)]

    def metrics(self) -> dict[str, float]:
        """Return the share of the batch's values that were encoded, and the mean age of the others in training steps."""
        counts = [table.counts for table in self.tables.values()]
        values, encoded, read, age = (sum(count[name] for count in counts) for name in ("values", "encoded", "read", "age"))
        return {"encoded_share": encoded / max(1, values), "staleness": age / max(1, read)} if counts else {}

    def state_dict(self, step: int, *, is_epoch_start: bool) -> dict[str, Any]:
        """Return the tables as they are between two training steps.

        Args:
            step: number of finished training steps.
            is_epoch_start: whether the next step is the first of an epoch. A table that will be refreshed then is left out.
        """
        if is_epoch_start and self.options.refresh == "epoch":
            return {}
        return {name: table.state_dict(step) for name, table in self.tables.items() if table.vectors is not None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the tables of a resumed training. A table that is not saved is filled at the next step.

        Args:
            state: from :meth:`state_dict`.
        """
        for name in state.keys() & self._tables.keys():
            self._tables[name].load_state_dict(state[name])
