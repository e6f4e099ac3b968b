"""Vectors of the items: from a frozen text encoder, or from which users they have in common."""

import numpy as np
import polars as pl
from scipy import sparse

from interestlab.contract import Encoder
from interestlab.data.datamodule import InterestData
from interestlab.drift.session_log import SessionLog
from interestlab.errors import DataError
from interestlab.model.chunking import EncoderChunking
from interestlab.model.disk_cache import cached_vectors, is_frozen

WIDTH = 32
"""Dimensions after reduction: more cost more and, for text vectors, hardly change the distances."""


def encode_items(data: InterestData, log: SessionLog, encoder: Encoder) -> np.ndarray:
    """Encode the items with a frozen encoder, or read the vectors from the cache.

    For a field of the events, such as the users' own words, an item gets the mean over its training events.

    Args:
        data: the data, with the items.
        log: its events.
        encoder: reads one field and has no trainable parameters.

    Returns:
        ``[I, out_dim]`` float32 vectors; zeros if unknown.

    Raises:
        DataError: the encoder has trainable parameters, or reads several fields.
    """
    encoder.build(data.cardinalities, WIDTH)
    if not is_frozen(encoder):
        raise DataError(
            f"{type(encoder).__name__} has trainable weights; interests need a frozen encoder, such as --encoder=frozen."
        )
    if len(encoder.fields) != 1:
        raise DataError(f"interests need an encoder of one field, not of {', '.join(encoder.fields) or 'none'}.")
    (field,) = encoder.fields
    feature = data.feature(encoder, field)
    values = cached_vectors(encoder, feature, EncoderChunking())
    if field.startswith("item."):
        return np.where((feature.codes >= 0)[:, None], values[np.maximum(feature.codes, 0)], np.float32(0))
    known = log.in_training & (feature.codes[log.event_index] >= 0)
    out = np.zeros((log.items.height, values.shape[1]), np.float32)
    np.add.at(out, log.item[known], values[feature.codes[log.event_index[known]]])
    return out / np.maximum(1, np.bincount(log.item[known], minlength=len(out)))[:, None].astype(np.float32)


def cooccurrence_vectors(log: SessionLog, column: str = "category", width: int = WIDTH, seed: int = 0) -> np.ndarray:
    r"""Compute vectors that are close for items with the same users.

    Correspondence analysis (Greenacre 1984) of the number of training events of each user and item, :math:`n_{ui}`, which is
    spectral clustering of users and items as one graph (Dhillon 2001):

    .. math:: \frac{n_{ui}}{\sqrt{n_{u\cdot}\, n_{\cdot i}}} \approx U \Sigma V^\top

    The vector of an item is its row of :math:`V\Sigma` without the first column, which only measures popularity. If most items
    have a value of ``column``, items of one value share a vector, since single items have too few users. Time grows with
    events x width.

    Args:
        log: its training events are counted.
        column: column of the items, such as ``category``.
        width: dimensions.
        seed: seed of the factorisation.

    Returns:
        ``[I, width]`` float32 unit vectors; zeros for items that do not occur in training.

    Raises:
        DataError: there are too few users or items.
    """
    from sklearn.utils.extmath import randomized_svd

    unit, count = _number_units(log.items, column)
    user, occurring = log.user[log.in_training], unit[log.item[log.in_training]]
    matrix = sparse.csr_array((np.ones(len(user)), (user, occurring)), (len(log.users), count))
    users, units = (np.maximum(np.asarray(matrix.sum(axis)).ravel(), 1) for axis in (1, 0))
    width = min(width, *(side - 2 for side in matrix.shape))
    if width < 2:
        raise DataError("too few users and items to compute similarities; choose a text encoder with --encoder.")
    scaled = sparse.diags_array(users**-0.5) @ matrix @ sparse.diags_array(units**-0.5)
    _, s, v = randomized_svd(scaled, width + 1, random_state=seed)
    vectors = (v[1:].T * s[1:])[unit]
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    known = (length > 1e-9) & (np.bincount(occurring, minlength=count)[unit] > 0)[:, None]
    return np.where(known, vectors / np.maximum(length, 1e-9), 0).astype(np.float32)


def _number_units(items: pl.DataFrame, column: str) -> tuple[np.ndarray, int]:
    """``[I]`` number of each item's value of a column, if most items have one, else of the item itself; and the count."""
    if column in items.columns and items[column].null_count() * 2 < items.height:
        own = pl.concat([items[column].cast(pl.String).fill_null("item " + items["item_id"])])
        codes = own.rank("dense").to_numpy().astype(np.int64) - 1
        return codes, int(codes.max()) + 1
    return np.arange(items.height), items.height


def reduce_dimensions(vectors: np.ndarray, width: int = WIDTH) -> tuple[np.ndarray, float]:
    """Project vectors on their main axes, without centring: a vector of zeros, which means unknown, stays one.

    Args:
        vectors: ``[I, D]``.
        width: dimensions to retain.

    Returns:
        ``[I, width]`` float32, and the share of the variance around the mean that is retained.
    """
    if vectors.shape[1] <= width:
        return np.asarray(vectors, np.float32), 1.0
    known = vectors.any(1)
    values = np.asarray(vectors[known], np.float64)
    basis = np.linalg.eigh(values.T @ values)[1][:, -width:]
    out = np.zeros((len(vectors), width), np.float32)
    out[known] = values @ basis
    variance = [float(part.var(axis=0).sum()) if len(part) else 0.0 for part in (values @ basis, values)]
    return out, variance[0] / max(variance[1], 1e-12)
