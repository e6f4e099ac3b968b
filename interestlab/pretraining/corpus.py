"""The texts of a log's training part: cleaned by the store, distinct, and divided into training and held-out texts."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from interestlab.data.datamodule import InterestData
from interestlab.data.event_store import EventStore
from interestlab.data.fields import field_codes, parse_field
from interestlab.errors import DataError
from interestlab.pretraining.settings import PretrainSettings

SAMPLE, HELDOUT = 0, 1
"""Keys of the random draws, so that one does not depend on whether the other is made."""


@dataclass(frozen=True)
class Corpus:
    """Distinct texts.

    Attributes:
        texts: the texts in sorted order.
        is_heldout: ``[texts]`` bool, which texts are not trained on.
        event_texts: ``[training events]`` int64 index of the text of each training event in the only field, or -1; None if
            there are several fields.
        event_rows: ``[training events]`` int64 row of each training event in the log.
    """

    texts: list[str]
    is_heldout: np.ndarray
    event_texts: np.ndarray | None
    event_rows: np.ndarray

    @property
    def train_texts(self) -> list[str]:
        """The texts that are trained on."""
        return [text for text, heldout in zip(self.texts, self.is_heldout, strict=True) if not heldout]


def read_corpus(data: InterestData, settings: PretrainSettings) -> Corpus:
    """Read the texts of the training events and of the items in them.

    Neither the text of a validation or test event is read, nor that of an item that occurs in no training event.

    Args:
        data: the log.
        settings: the fields, the sample, the held-out share and the seed.

    Returns:
        The texts.

    Raises:
        DataError: the log has no such field, or fewer than two texts.
    """
    log = data.log
    rows = np.concatenate([*log.training_rows(), np.empty(0, np.int64)])
    columns = [_training_values(log, field, data, rows) for field in dict.fromkeys(settings.text)]
    texts = sorted(set().union(*(values for values, _ in columns)))
    if len(texts) < 2:
        fields = ", ".join(settings.text)
        raise DataError(
            f"{log.meta['source']}: the training events have {len(texts)} distinct texts in {fields}; at least 2 are needed; "
            "see `interestlab data describe`."
        )
    if settings.max_texts and settings.max_texts < len(texts):
        chosen = np.random.default_rng([settings.seed, SAMPLE]).choice(len(texts), max(2, settings.max_texts), replace=False)
        texts = [texts[i] for i in np.sort(chosen)]
    count = min(len(texts) - 1, max(1, round(settings.heldout * len(texts))))
    is_heldout = np.zeros(len(texts), bool)
    is_heldout[np.random.default_rng([settings.seed, HELDOUT]).choice(len(texts), count, replace=False)] = True
    event_texts = None
    if len(columns) == 1:
        values, codes = columns[0]
        position = {text: i for i, text in enumerate(texts)}
        text_of_code = np.array([*(position.get(value, -1) for value in values), -1])  # -1: no value
        event_texts = text_of_code[codes]
    return Corpus(texts, is_heldout, event_texts, rows)


def _training_values(log: EventStore, field: str, data: InterestData, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return the distinct values of a field in training events, and the index of each such event's value, -1 for none."""
    side, _ = parse_field(field)
    coded = field_codes(log, field, data.cache)
    codes = coded.codes[log.item[rows] if side == "item" else rows]
    used = np.unique(codes[codes >= 0])
    new_code = np.full(coded.size + 1, -1)
    new_code[used] = np.arange(len(used))
    if field == "item.id":
        raise DataError("field item.id: ids are no texts; name a field such as item.title.")
    values = pl.read_parquet(coded.values_dir / "values.parquet", glob=False)["value"].gather(used)
    return values.to_list(), new_code[codes]
