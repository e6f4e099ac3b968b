"""Linear probes: a logistic regression on the vectors of texts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from interestlab import encoders
from interestlab.data.sampler import bucket_by_length
from interestlab.pretraining.batches import pad

TOKENS_PER_BATCH = 4096
STRENGTH = 0.01
"""Inverse strength C of the penalty on standardised vectors, the same for all; it was not tuned."""


@torch.inference_mode()
def embed(model: str | Path, texts: Sequence[str], max_length: int) -> np.ndarray:
    """Return ``[texts, D]`` vectors of the encoder ``frozen``."""
    encoder = encoders.frozen(fields=["item.title"], model=str(model), max_length=max_length)
    encoder.build({"item.title": len(texts)}, 1)
    encoder.eval()
    rows = encoder.preprocess(texts)
    vectors = np.empty((len(texts), encoder.out_dim), np.float32)
    batches = list(bucket_by_length(np.array([len(row) for row in rows]), TOKENS_PER_BATCH))
    for batch in track(batches, "embedding", transient=True, disable=len(batches) < 2):
        vectors[batch] = encoder(pad([rows[i] for i in batch], 0)).float().numpy()
    return vectors


def probe(vectors: np.ndarray, labels: np.ndarray, train: int) -> np.ndarray:
    """Return ``[texts - train]`` bool, which labels of the last texts a regression on the first ones predicts."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=1_000))
    model.fit(vectors[:train], labels[:train])
    return model.predict(vectors[train:]) == labels[train:]


def probe_characters(texts: Sequence[str], labels: np.ndarray, train: int) -> np.ndarray:
    """Return the same of a regression on TF-IDF of characters and pairs of characters."""
    model = make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(1, 2)), LogisticRegression(C=10.0, max_iter=1_000))
    model.fit(texts[:train], labels[:train])
    return model.predict(texts[train:]) == labels[train:]
