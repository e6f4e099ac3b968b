"""One vector per token of a vocabulary, distilled from a pretrained text model."""

import hashlib
import logging
import os
from pathlib import Path
from typing import cast

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn
from transformers import PreTrainedModel

from interestlab.batch import Inputs
from interestlab_encoders.base_weights import BaseWeights
from interestlab_encoders.pooling import POOLINGS, Pooling
from interestlab_encoders.tokenizer import FastTokenizer

log = logging.getLogger(__name__)

BATCH = 512
"""Tokens per forward pass."""

VERSION = 1
"""Increase it when the same model would give other vectors, so that stored vectors are not reused."""


def cached_token_vectors(model: PreTrainedModel, base: BaseWeights, tokenizer: FastTokenizer, pooling: Pooling) -> np.ndarray:
    """Return the vector of each token of the vocabulary, computed once per model.

    They are stored below ``$INTERESTLAB_CACHE``, else ``~/.cache/interestlab``.

    Args:
        model: the pretrained model.
        base: its weights.
        tokenizer: its tokenizer.
        pooling: how token vectors are pooled.

    Returns:
        ``[tokens, hidden]`` float32, mapped from disk.

    Raises:
        ValueError: the folder cannot be written.
    """
    cache = Path(os.environ.get("INTERESTLAB_CACHE") or Path.home() / ".cache" / "interestlab").expanduser()
    key = hashlib.sha256(f"{VERSION} {base.sha256} {pooling} {special_ids(tokenizer)}".encode()).hexdigest()[:16]
    file = cache / "tokens" / f"{key}.npy"
    if not file.is_file():
        vectors = compute_token_vectors(model, tokenizer, pooling)
        draft = file.with_name(f"{key}-{os.getpid()}.part.npy")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(draft, vectors)
            draft.replace(file)  # several processes may do this at once, with equal contents
        except OSError as err:
            raise ValueError(f"{file.parent}: cannot be written ({err.strerror}); set INTERESTLAB_CACHE") from err
        log.info(f"stored the token vectors of {base.name} in {file}")
    stored: np.ndarray = np.load(file, mmap_mode="r", allow_pickle=False)
    return stored


@torch.no_grad()
def compute_token_vectors(model: PreTrainedModel, tokenizer: FastTokenizer, pooling: Pooling) -> np.ndarray:
    """Encode each token of the vocabulary as a text of its own, as model2vec does.

    Args:
        model: the pretrained model, in evaluation mode.
        tokenizer: its tokenizer.
        pooling: how token vectors are pooled.

    Returns:
        ``[tokens, hidden]`` float32.
    """
    before, after = special_ids(tokenizer)
    size = len(cast(nn.Embedding, model.get_input_embeddings()).weight)
    out = []
    for start in track(range(0, size, BATCH), f"encoding {size:,} tokens, once", disable=size < 8 * BATCH):
        ids = torch.arange(start, min(size, start + BATCH))
        rows = torch.stack([*(torch.full_like(ids, i) for i in before), ids, *(torch.full_like(ids, i) for i in after)], 1)
        hidden = model(input_ids=rows, attention_mask=torch.ones_like(rows), return_dict=True).last_hidden_state
        out.append(POOLINGS[pooling](hidden, Inputs(rows, torch.full_like(ids, rows.shape[1]))).float())
    return torch.cat(out).numpy()


def special_ids(tokenizer: FastTokenizer) -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer adds before and after a text.

    Args:
        tokenizer: the tokenizer.
    """
    plain, full = (tokenizer.backend.encode("a", add_special_tokens=special).ids for special in (False, True))
    start = next(i for i in range(len(full) + 1) if full[i : i + len(plain)] == plain)
    return full[:start], full[start + len(plain) :]


def make_table(vectors: np.ndarray, width: int, sif: float | None) -> Tensor:
    """Reduce token vectors by PCA and weight them by their expected frequency.

    The vocabulary of a pretrained tokenizer is nearly ordered by frequency. With Zipf's law, the frequency of the token with
    rank r is ``p ∝ 1 / (r + 2)``; its weight is ``sif / (sif + p)`` (smooth inverse frequency; Arora et al. 2017), so that
    frequent tokens such as *the* count little in the mean of a text. The table is scaled to rows of mean square length 1.

    Args:
        vectors: ``[tokens, hidden]``, in the order of the vocabulary.
        width: number of components, at most ``hidden``.
        sif: the smoothing constant; None: all tokens have the weight 1.

    Returns:
        ``[tokens, width]`` float32.
    """
    centred = torch.from_numpy(np.array(vectors)).double()
    centred -= centred.mean(0)
    _, directions = torch.linalg.eigh(centred.T @ centred)
    directions = directions.flip(-1)[:, :width]
    # The sign of an eigenvector is arbitrary: its largest element becomes positive.
    directions = directions * directions.gather(0, directions.abs().argmax(0, keepdim=True)).sign()
    table = centred @ directions
    if sif is not None:
        frequency = 1 / torch.arange(2, len(table) + 2, dtype=torch.float64)
        table *= (sif / (sif + frequency / frequency.sum()))[:, None]
    return (table / table.square().sum(-1).mean().sqrt()).float()
