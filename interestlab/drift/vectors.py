"""Where each item lies: by a frozen text encoder, by a trained model, or by who meets it."""

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
"""Dimensions that are kept: distances in more cost more and, of text vectors, say little else."""


def encode_items(data: InterestData, log: SessionLog, encoder: Encoder) -> np.ndarray:
    """``[I, out_dim]`` float32 vectors of the items by a constant encoder, from disk where they were made before.

    Of a field of the events, such as users' own words, an item has the mean over its events of training.

    Args:
        data: whose items.
        log: of its events.
        encoder: reads one field and has nothing to train.

    Raises:
        DataError: the encoder is to be trained, or reads several fields.
    """
    encoder.build(data.cardinalities, WIDTH)
    if not is_frozen(encoder):
        raise DataError(f"{type(encoder).__name__} has weights to be trained; interests need vectors that stay: take `frozen`.")
    if len(encoder.fields) != 1:
        raise DataError(f"interests need an encoder of one field, not of {', '.join(encoder.fields) or 'none'}.")
    (field,) = encoder.fields
    feature = data.feature(encoder, field)
    held = cached_vectors(encoder, feature, EncoderChunking())
    if field.startswith("item."):
        return np.where((feature.codes >= 0)[:, None], held[np.maximum(feature.codes, 0)], np.float32(0))
    told = log.train & (feature.codes[log.row] >= 0)
    out = np.zeros((log.items.height, held.shape[1]), np.float32)
    np.add.at(out, log.item[told], held[feature.codes[log.row[told]]])
    return out / np.maximum(1, np.bincount(log.item[told], minlength=len(out)))[:, None].astype(np.float32)


def cooccurrence_vectors(log: SessionLog, column: str = "category", width: int = WIDTH, seed: int = 0) -> np.ndarray:
    r"""``[I, width]`` float32 unit vectors of items that lie near each other when the same users meet them.

    Correspondence analysis (Greenacre 1984) of how often users met them in training, :math:`n_{ui}`, which is spectral
    clustering of users and items as one graph (Dhillon 2001):

    .. math:: \frac{n_{ui}}{\sqrt{n_{u\cdot}\, n_{\cdot i}}} \approx U \Sigma V^\top

    An item lies at its row of :math:`V\Sigma`, without the first column, which only says how much everyone meets it. Items of
    one value of ``column`` count as one, where most items have a value: single items are met too seldom. What training never
    met has a vector of zeros. Costs events x width.

    Args:
        log: whose training events count.
        column: of the items, such as ``category``.
        width: dimensions.
        seed: of the factorisation.

    Raises:
        DataError: hardly anything is met by the same users.
    """
    from sklearn.utils.extmath import randomized_svd

    unit, many = _units(log.items, column)
    user, met = log.user[log.train], unit[log.item[log.train]]
    matrix = sparse.csr_array((np.ones(len(user)), (user, met)), (len(log.users), many))
    users, units = (np.maximum(np.asarray(matrix.sum(axis)).ravel(), 1) for axis in (1, 0))
    width = min(width, *(side - 2 for side in matrix.shape))
    if width < 2:
        raise DataError("too few users and items to say which are near each other; give a text encoder with --encoder.")
    scaled = sparse.diags_array(users**-0.5) @ matrix @ sparse.diags_array(units**-0.5)
    _, s, v = randomized_svd(scaled, width + 1, random_state=seed)
    found = (v[1:].T * s[1:])[unit]
    length = np.linalg.norm(found, axis=1, keepdims=True)
    known = (length > 1e-9) & (np.bincount(met, minlength=many)[unit] > 0)[:, None]
    return np.where(known, found / np.maximum(length, 1e-9), 0).astype(np.float32)


def _units(items: pl.DataFrame, column: str) -> tuple[np.ndarray, int]:
    """``[I]`` the value of a column as a number, where most items have one, or the item itself; and how many there are."""
    if column in items.columns and items[column].null_count() * 2 < items.height:
        own = pl.concat([items[column].cast(pl.String).fill_null("item " + items["item_id"])])
        codes = own.rank("dense").to_numpy().astype(np.int64) - 1
        return codes, int(codes.max()) + 1
    return np.arange(items.height), items.height


def reduce_dimensions(vectors: np.ndarray, width: int = WIDTH) -> tuple[np.ndarray, float]:
    """``[I, width]`` float32 the main axes of vectors, and the share of the variance around their mean that these keep.

    The axes are not centred, so a vector of zeros, where nothing is known, stays one.
    """
    if vectors.shape[1] <= width:
        return np.asarray(vectors, np.float32), 1.0
    known = vectors.any(1)
    held = np.asarray(vectors[known], np.float64)
    basis = np.linalg.eigh(held.T @ held)[1][:, -width:]
    out = np.zeros((len(vectors), width), np.float32)
    out[known] = held @ basis
    spread = [float(part.var(axis=0).sum()) if len(part) else 0.0 for part in (held @ basis, held)]
    return out, spread[0] / max(spread[1], 1e-12)
