"""Values as vectors: each encoded once a step, in chunks of like length; what is constant in it kept on disk."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from rich.progress import track
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from interestlab.batch import Inputs
from interestlab.contract import Encoder, FrozenTrunk
from interestlab.data import ragged
from interestlab.data.fields import FieldValues
from interestlab.data.ragged import RaggedArray
from interestlab.distributed import collectives
from interestlab.distributed.fsdp import is_sharded
from interestlab.errors import DataError, TrainingError
from interestlab.training.frozen_check import digest
from interestlab.utils import artifact_store
from interestlab.utils.argument_checks import require_at_least


@dataclass(frozen=True)
class Chunking:
    """How many values go through an encoder at once; no vector depends on it.

    Args:
        max_tokens: most tokens that an encoder reads at once, padding included.
        chunks_with_activations: chunks of a training step whose activations are held; those of the others are computed again
            going backward, for the memory of one. Of MiniLM-L6, a chunk of 4,096 tokens holds about 1.1 GB.
    """

    max_tokens: int = 4096
    chunks_with_activations: int = 4

    def __post_init__(self) -> None:
        require_at_least(1, max_tokens=self.max_tokens, chunks_with_activations=self.chunks_with_activations)


class Encoding:
    """One field through one encoder: its values as vectors.

    Args:
        encoder: what reads.
        feature: what is read.
        chunking: how many at once.
    """

    def __init__(self, encoder: Encoder, feature: FieldValues, chunking: Chunking) -> None:
        self.encoder, self.feature, self.chunking = encoder, feature, chunking
        self._vectors: np.ndarray | None = None
        self._kept: dict[str, RaggedArray] = {}

    def __call__(self, codes: np.ndarray) -> Tensor:
        """``[U, out_dim]`` of ``codes [U]``, ascending and distinct: each value is encoded once."""
        if constant(self.encoder):
            return torch.from_numpy(self._constant_vectors()[codes]).to(self.encoder.device)
        if held := self._constant_rows():
            return self._encoded(self.encoder.forward_from_trunk, held, held, codes)
        return self._encoded(self.encoder, self.feature, self.feature.rows, codes)

    def keep(self) -> None:
        """Compute what is constant, and keep it on disk, so that no step of training has to."""
        if constant(self.encoder):
            self._constant_vectors()
        else:
            self._constant_rows()

    def _constant_vectors(self) -> np.ndarray:
        if self._vectors is None:
            self._vectors = kept_vectors(self.encoder, self.feature, self.chunking)
        return self._vectors

    def _constant_rows(self) -> RaggedArray | None:
        trunk = self.encoder.frozen_trunk()
        if trunk is None or trunk.cache_dtype == "off":
            return None
        if trunk.key not in self._kept:
            self._kept[trunk.key] = kept_rows(trunk, self.encoder, self.feature, self.chunking)
        return self._kept[trunk.key]

    def _encoded(
        self, read: Callable[[Inputs], Tensor], source: FieldValues | RaggedArray, rows: RaggedArray | None, codes: np.ndarray
    ) -> Tensor:
        device = self.encoder.device
        parts = list(chunks(codes, rows, self.chunking))
        # Processes gather weights together, once a chunk: one of few chunks reads the first again, and leaves it out.
        idle = collectives.all_max(len(parts), device) - len(parts) if is_sharded(self.encoder) else 0
        out = []
        for number, chunk in enumerate(parts + parts[:1] * idle):
            inputs = on(device, source.inputs(chunk))
            # A look into a table holds nothing that is worth a second look.
            if rows is None or number < self.chunking.chunks_with_activations or not torch.is_grad_enabled():
                vectors = read(inputs)
            else:
                vectors = checkpoint(read, inputs, use_reentrant=False)
            out.append(vectors if number < len(parts) else vectors[:0])
        return torch.cat(out)[torch.from_numpy(np.argsort(np.concatenate(parts))).to(device)]


def chunks(codes: np.ndarray, rows: RaggedArray | None, chunking: Chunking) -> Iterator[np.ndarray]:
    """``codes [U]`` in chunks of like length."""
    sizes = np.ones(len(codes), np.int64)
    if rows is not None:
        codes = codes[np.argsort(rows.lengths[codes], kind="stable")]
        sizes = np.maximum(1, rows.lengths[codes])
    first = 0
    while first < len(codes):
        # Lengths rise, so the last of a chunk is its width.
        near = sizes[first : first + chunking.max_tokens]
        cost = near * np.arange(1, len(near) + 1)
        last = first + max(1, int(np.searchsorted(cost, chunking.max_tokens, side="right")))
        yield codes[first:last]
        first = last


def on(device: torch.device, inputs: Inputs) -> Inputs:
    """Inputs on a device."""
    return Inputs(inputs.values.to(device), None if inputs.lengths is None else inputs.lengths.to(device))


def constant(encoder: Encoder) -> bool:
    """Whether an encoder's vectors cannot change: nothing in it is trained."""
    return not any(p.requires_grad for p in encoder.parameters())


def kept_vectors(encoder: Encoder, feature: FieldValues, chunking: Chunking) -> np.ndarray:
    """``[size, out_dim]`` float32 vectors of every value of a constant encoder, computed once and mapped from disk."""
    # What is kept beside the weights gives no vector.
    weights = {name: digest(tensor) for name, tensor in encoder.state_dict().items() if isinstance(tensor, Tensor)}
    spec = {k: v for k, v in encoder.spec["init_args"].items() if k != "fields"}
    key = artifact_store.fingerprint(
        weights=weights, encoder=encoder.spec["class_path"], args=spec, preprocess=encoder.preprocess_key
    )

    def write(folder: Path) -> None:
        shape = (feature.size, encoder.out_dim)
        need = 4 * feature.size * encoder.out_dim
        said = f"the vectors of {', '.join(encoder.fields)}: {need / 2**20:,.0f} MiB"
        ensure_room(folder, need, said, "set --data.cache_dir to a larger disk")
        out = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, shape)

        def keep(codes: np.ndarray, inputs: Inputs) -> None:
            out[codes] = encoder(inputs).float().cpu().numpy()

        once(encoder, feature, chunking, keep)
        out.flush()

    return artifact_store.load(artifact_store.build_artifact(feature.folder / f"vectors-{key}", write), "vectors")


def kept_rows(trunk: FrozenTrunk, encoder: Encoder, feature: FieldValues, chunking: Chunking) -> RaggedArray:
    """What the constant start of an encoder makes of every value, computed once and mapped from disk.

    Raises:
        DataError: the disk has no room for it.
    """
    assert feature.rows is not None, "an encoder that reads indices has no trunk"
    lengths = feature.rows.lengths if trunk.rows_per_value is None else np.full(feature.size, trunk.rows_per_value)
    key = artifact_store.fingerprint(trunk=trunk.key, cache_dtype=trunk.cache_dtype, preprocess=encoder.preprocess_key)

    def write(folder: Path) -> None:
        need = int(lengths.sum()) * int(np.prod(trunk.row_shape)) * (4 if trunk.cache_dtype == "float32" else 2)
        said = f"the constant layers of {', '.join(encoder.fields)}: {need / 2**20:,.0f} MiB for {feature.size:,} values"
        ensure_room(folder, need, said, "set the encoder's cache to bfloat16 or off, or --data.cache_dir to a larger disk")
        rank_zero_info(f"keeping {said}, {trunk.cache_dtype}, in {folder.parent}")
        held = ragged.allocate(folder, lengths, trunk.row_shape, trunk.cache_dtype)
        once(encoder, feature, chunking, lambda codes, inputs: held.fill(codes, trunk.forward(inputs).values))
        held.flush()

    return RaggedArray(artifact_store.build_artifact(feature.folder / f"trunk-{key}", write))


def ensure_room(folder: Path, need: int, said: str, mend: str) -> None:
    """Stop before a mapped file would outgrow the disk: writing to one on a full disk ends the process.

    Raises:
        DataError: the disk has no room for it.
    """
    free = shutil.disk_usage(folder).free
    if need > free:
        raise DataError(f"{folder.parent}: no room for {said}, {free / 2**20:,.0f} MiB are free; {mend}.")


@torch.no_grad()
def once(encoder: Encoder, feature: FieldValues, chunking: Chunking, keep: Callable[[np.ndarray, Inputs], None]) -> None:
    """Let every value of a feature be kept, in chunks, with the encoder at rest.

    Raises:
        TrainingError: processes hold shares of its weights, and this one cannot gather them alone.
    """
    if is_sharded(encoder):
        raise TrainingError(
            f"layers of {type(encoder).__name__} were frozen in the middle of a training; freeze them before it, or take "
            "--trainer.strategy=ddp."
        )
    training = encoder.training
    encoder.eval()
    parts = list(chunks(np.arange(feature.size), feature.rows, chunking))
    about = f"encoding {feature.size:,} distinct values, once"
    with torch.autocast(encoder.device.type, enabled=False):  # what is kept must not depend on who came first
        for codes in track(parts, about, disable=len(parts) < 4):
            keep(codes, on(encoder.device, feature.inputs(codes)))
    encoder.train(training)
