"""Compute the frozen part of an encoder once per value, and map the result from disk."""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from interestlab.batch import Inputs
from interestlab.contract import Encoder, FrozenTrunk
from interestlab.data import ragged
from interestlab.data.fields import FieldValues
from interestlab.data.ragged import RaggedArray
from interestlab.errors import DataError
from interestlab.model.chunking import EncoderChunking, split_into_chunks
from interestlab.model.evaluation_mode import evaluation_mode
from interestlab.model.execution import LOCAL, EncoderExecution
from interestlab.model.tensor_hash import hash_tensor
from interestlab.model.whitening import Whitening, fit_whitening
from interestlab.utils import artifact_store

log = logging.getLogger(__name__)


def is_frozen(encoder: Encoder) -> bool:
    """Return whether the encoder has no trainable parameters.

    Args:
        encoder: the encoder.
    """
    return not any(p.requires_grad for p in encoder.parameters())


def to_device(inputs: Inputs, device: torch.device) -> Inputs:
    """Copy encoder inputs to a device.

    Args:
        inputs: values ``[U, ...]`` and their lengths ``[U]``, if any.
        device: the target.
    """
    return Inputs(inputs.values.to(device), None if inputs.lengths is None else inputs.lengths.to(device))


def cached_vectors(
    encoder: Encoder, feature: FieldValues, chunking: EncoderChunking, execution: EncoderExecution = LOCAL
) -> np.ndarray:
    """Return the embeddings of every value by a frozen encoder, computed once and mapped from disk.

    Args:
        encoder: without trainable parameters.
        feature: the field whose values are encoded.
        chunking: how many values are encoded in one call.
        execution: how encoders run in this process.

    Returns:
        ``[size, out_dim]`` float32.

    Raises:
        DataError: the disk is too small.
        TrainingError: the vectors are not on disk, and this process cannot run the encoder alone.
    """
    key = vectors_key(encoder)

    def write(folder: Path) -> None:
        shape = (feature.size, encoder.out_dim)
        num_bytes = 4 * feature.size * encoder.out_dim
        description = f"the vectors of {', '.join(encoder.fields)}: {num_bytes / 2**20:,.0f} MiB"
        check_disk_space(folder, num_bytes, description, "set --data.cache_dir to a larger disk")
        out = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, shape)

        def store(codes: np.ndarray, inputs: Inputs) -> None:
            out[codes] = encoder(inputs).float().cpu().numpy()

        execution.check_can_encode_alone(encoder)
        encode_all_values(encoder, feature, chunking, store)
        out.flush()

    return artifact_store.load(artifact_store.build_artifact(feature.folder / f"vectors-{key}", write), "vectors")


def vectors_key(encoder: Encoder) -> str:
    """Return a fingerprint of everything that the embeddings of an encoder without trainable parameters depend on.

    Args:
        encoder: the encoder.
    """
    # Entries of the state dict that are not tensors name the weights and do not change an embedding.
    weights = {name: hash_tensor(tensor) for name, tensor in encoder.state_dict().items() if isinstance(tensor, Tensor)}
    # These arguments change what the model does with the embeddings, not the embeddings.
    args = {k: v for k, v in encoder.spec["init_args"].items() if k not in ("fields", "whiten", "min_count")}
    return artifact_store.fingerprint(
        weights=weights, encoder=encoder.spec["class_path"], args=args, preprocess=encoder.preprocess_key
    )


def cached_whitening(
    vectors: Sequence[np.ndarray], dim: int, folder: Path, key: Mapping[str, str], description: str
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a whitening, once, and store it.

    Args:
        vectors: vectors ``[size, out_dim]`` of each field.
        dim: width of the result.
        folder: folder of the values of the first field.
        key: identifies the vectors of each field.
        description: names the fields in an error.

    Returns:
        mean ``[out_dim]`` and matrix ``[out_dim, dim]``.

    Raises:
        DataError: all vectors are equal.
    """

    def write(draft: Path) -> None:
        mean, matrix = fit_whitening(vectors, dim, description)
        artifact_store.save(draft, mean=mean, matrix=matrix)

    artifact = folder / f"whitening-{artifact_store.fingerprint(dim=dim, **key)}"
    artifact = artifact_store.build_artifact(artifact, write)
    return artifact_store.load(artifact, "mean"), artifact_store.load(artifact, "matrix")


def cached_whitened_vectors(vectors: np.ndarray, whitening: Whitening, folder: Path, key: str) -> np.ndarray:
    """Return whitened vectors, computed once and mapped from disk.

    Args:
        vectors: ``[size, out_dim]``.
        whitening: a fitted whitening.
        folder: folder of the values.
        key: identifies the vectors.

    Returns:
        ``[size, dim]`` float32.

    Raises:
        DataError: the disk is too small.
    """
    weights = [hash_tensor(whitening.mean), hash_tensor(whitening.matrix)]

    def write(draft: Path) -> None:
        num_bytes = 4 * len(vectors) * whitening.dim
        description = f"whitened vectors: {num_bytes / 2**20:,.0f} MiB"
        check_disk_space(draft, num_bytes, description, "set --data.cache_dir to a larger disk")
        out = np.lib.format.open_memmap(draft / "vectors.npy", "w+", np.float32, (len(vectors), whitening.dim))
        whitening.write_table(vectors, out)
        out.flush()

    artifact = folder / f"whitened-{artifact_store.fingerprint(vectors=key, whitening=weights)}"
    return artifact_store.load(artifact_store.build_artifact(artifact, write), "vectors")


def cached_trunk_rows(
    trunk: FrozenTrunk,
    encoder: Encoder,
    feature: FieldValues,
    chunking: EncoderChunking,
    execution: EncoderExecution = LOCAL,
) -> RaggedArray:
    """Return the output of an encoder's frozen trunk for every value, computed once and mapped from disk.

    Args:
        trunk: the frozen trunk.
        encoder: the encoder that it belongs to.
        feature: the field whose values are encoded.
        chunking: how many values are encoded in one call.
        execution: how encoders run in this process.

    Returns:
        The rows of each value.

    Raises:
        DataError: the disk is too small.
        TrainingError: the rows are not on disk, and this process cannot run the encoder alone.
    """
    assert feature.rows is not None, "an encoder that reads indices has no trunk"
    lengths = feature.rows.lengths if trunk.rows_per_value is None else np.full(feature.size, trunk.rows_per_value)
    key = artifact_store.fingerprint(trunk=trunk.key, cache_dtype=trunk.cache_dtype, preprocess=encoder.preprocess_key)

    def write(folder: Path) -> None:
        num_bytes = int(lengths.sum()) * int(np.prod(trunk.row_shape)) * (4 if trunk.cache_dtype == "float32" else 2)
        size = f"{num_bytes / 2**20:,.0f} MiB for {feature.size:,} values"
        description = f"the frozen layers of {', '.join(encoder.fields)}: {size}"
        advice = "set the encoder's cache to bfloat16 or off, or --data.cache_dir to a larger disk"
        check_disk_space(folder, num_bytes, description, advice)
        log.info(f"caching {description}, {trunk.cache_dtype}, in {folder.parent}")
        rows = ragged.allocate(folder, lengths, trunk.row_shape, trunk.cache_dtype)
        execution.check_can_encode_alone(encoder)
        encode_all_values(encoder, feature, chunking, lambda codes, inputs: rows.fill(codes, trunk.forward(inputs).values))
        rows.flush()

    return RaggedArray(artifact_store.build_artifact(feature.folder / f"trunk-{key}", write))


def check_disk_space(folder: Path, num_bytes: int, description: str, advice: str) -> None:
    """Check that a mapped file fits on the disk: writing to a mapped file on a full disk kills the process.

    Args:
        folder: where the file is written.
        num_bytes: size of the file.
        description: names the file in the error.
        advice: says in the error what to do.

    Raises:
        DataError: the file does not fit.
    """
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise DataError(f"{folder.parent}: no room for {description}, {free / 2**20:,.0f} MiB are free; {advice}.")


@torch.no_grad()
def encode_all_values(
    encoder: Encoder, feature: FieldValues, chunking: EncoderChunking, store: Callable[[np.ndarray, Inputs], None]
) -> None:
    """Call ``store`` with every value of a field, in chunks, with the encoder in eval mode and without autocast.

    Args:
        encoder: the encoder; its training mode is restored afterwards.
        feature: the field whose values are encoded.
        chunking: how many values are encoded in one call.
        store: receives the codes ``[n]`` of a chunk and its inputs on the encoder's device.
    """
    chunks = list(split_into_chunks(np.arange(feature.size), feature.rows, chunking.max_tokens))
    title = f"encoding {feature.size:,} distinct values, once"
    # Runs of any precision share the cache, so it must not depend on the one that wrote it.
    with evaluation_mode(encoder), torch.autocast(encoder.device.type, enabled=False):
        for codes in track(chunks, title, disable=len(chunks) < 4):
            store(codes, to_device(feature.inputs(codes), encoder.device))
