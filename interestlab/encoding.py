"""Values as vectors: each encoded once, in chunks of like length; those of a constant encoder kept on disk."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from interestlab.batch import Inputs
from interestlab.contract import Encoder
from interestlab.data import store
from interestlab.data.features import Feature

TOKENS = 16_384
"""Numbers (padded tokens) that an encoder reads at once."""


def vectors(encoder: Encoder, feature: Feature, codes: np.ndarray) -> Tensor:
    """``[U, out_dim]`` of distinct values ``codes [U]``, each encoded once, in chunks of like length."""
    order = np.arange(len(codes))
    sizes = np.ones(len(codes), np.int64)
    if feature.lengths is not None:
        order = np.argsort(feature.lengths[codes], kind="stable")
        sizes = np.maximum(1, feature.lengths[codes][order])
    chunks, first = [], 0
    while first < len(codes):
        # Lengths rise, so the last of a chunk is its width.
        near = sizes[first : first + TOKENS]
        cost = near * np.arange(1, len(near) + 1)
        last = first + max(1, int(np.searchsorted(cost, TOKENS, side="right")))
        inputs = feature.inputs(codes[order[first:last]])
        lengths = None if inputs.lengths is None else inputs.lengths.to(encoder.device)
        chunks.append(encoder(Inputs(inputs.values.to(encoder.device), lengths)))
        first = last
    back = torch.from_numpy(np.argsort(order)).to(encoder.device)
    return torch.cat(chunks)[back]


def constant(encoder: Encoder) -> bool:
    """Whether an encoder's vectors cannot change: nothing in it is trained."""
    return not any(p.requires_grad for p in encoder.parameters())


def kept(encoder: Encoder, feature: Feature) -> np.ndarray:
    """``[size, out_dim]`` float32 vectors of every value of a constant encoder, computed once and mapped from disk."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    spec = {k: v for k, v in encoder.spec["init_args"].items() if k != "fields"}
    key = store.fingerprint(
        weights=digest.hexdigest(), encoder=encoder.spec["class_path"], args=spec, prepare=encoder.prepare_key
    )
    folder = store.build(feature.folder / f"vectors-{key}", lambda draft: write_vectors(draft, encoder, feature))
    return store.load(folder, "vectors")


@torch.no_grad()
def write_vectors(folder: Path, encoder: Encoder, feature: Feature) -> None:
    """Encode every value of a feature into a file, a stretch at a time."""
    training = encoder.training
    encoder.eval()
    out = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, (feature.size, encoder.out_dim))
    # Values are met by length, so that a stretch has little padding.
    order = np.arange(feature.size) if feature.lengths is None else np.argsort(feature.lengths, kind="stable")
    stretches = np.array_split(order, max(1, feature.size // 512))
    for codes in track(stretches, f"encoding {feature.size:,} distinct values, once", disable=len(stretches) < 4):
        with torch.autocast(encoder.device.type, enabled=False):  # what is kept must not depend on who came first
            out[codes] = vectors(encoder, feature, codes).float().cpu().numpy()
    out.flush()
    encoder.train(training)
