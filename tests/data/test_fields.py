import numpy as np
import pytest
import torch

from interestlab.contract import Encoder
from interestlab.data.fields import FieldValues, field_values, parse_field
from interestlab.errors import DataError


class Letters(Encoder):
    """Each text as the numbers of its letters, two in a row.

    Args:
        least: letters of lower number are left out.
    """

    fields = ("item.title",)

    def __init__(self, least: int = 0) -> None:
        super().__init__()
        self.least, self.calls = least, 0
        self.preprocess_key = f"letters-{least}"

    def preprocess(self, values):
        self.calls += 1
        return [np.array([[ord(c), -ord(c)] for c in v if ord(c) >= self.least], np.int16).reshape(-1, 2) for v in values]

    def forward(self, inputs):
        return inputs.values.float().mean((1, 2))[:, None]


class Index(Encoder):
    """Reads the index."""

    fields = ("item.id",)

    def forward(self, inputs):
        return inputs.values[:, None].float()


def test_parse():
    assert parse_field("item.title") == ("item", ["title"])
    assert parse_field("item.title+item.brand") == ("item", ["title", "brand"])
    assert parse_field("event.a.b") == ("event", ["a.b"])


@pytest.mark.parametrize("name", ["title", "user.age", "item.", "item", "item.title+event.text", "item.title+brand", "", "+"])
def test_not_a_field(name):
    with pytest.raises(DataError, match=r"is not a field: write item\.COLUMN or event\.COLUMN"):
        parse_field(name)


def texts(found, codes):
    """What the letters of each row spell."""
    inputs = found.inputs(codes)
    return ["".join(chr(c) for c in row[:n, 0]) for row, n in zip(inputs.values, inputs.lengths, strict=True)]


def test_codes_say_which_value_each_row_has(data):
    made = data()
    found = made.feature(Letters(), "item.title")
    titles = made.log.items["title"].to_list()
    assert found.size == len(set(titles)) == made.cardinalities["item.title"]
    assert texts(found, found.codes) == titles


def test_missing_values(data):
    made = data()
    found = made.feature(Letters(), "item.brand")
    brands = made.log.items["brand"].to_list()
    assert [c == -1 for c in found.codes] == [b is None for b in brands]
    assert None in brands
    assert found.size == 1
    assert texts(found, found.codes[:1]) == ["Acme"]


def test_a_field_without_any_value(data):
    found = data().feature(Letters(), "item.description")
    assert found.size == 0
    assert (found.codes == -1).all()
    assert found.inputs(np.array([], np.int64)).values.shape == (0, 0)


def test_values_of_which_nothing_is_left(data):
    found = data().feature(Letters(least=1000), "item.title")
    assert found.rows.lengths.tolist() == [0] * found.size
    assert found.inputs(np.arange(found.size)).values.shape == (found.size, 0, 2)


def test_joined_columns(data):
    made = data()
    found = made.feature(Letters(), "item.title+item.brand")
    expected = [f"{t} {b}" if b else t for t, b in made.log.items.select("title", "brand").rows()]
    assert texts(found, found.codes) == expected


def test_event_fields(data):
    made = data()
    found = made.feature(Letters(), "event.text")
    assert len(found.codes) == made.log.meta["events"]
    assert found.size == made.log.meta["users"]
    assert texts(found, found.codes) == made.log.events.collect()["text"].to_list()


def test_numbers_are_read_as_text(data):
    made = data(["u1,a,1", "u1,b,2"])
    assert texts(made.feature(Letters(), "event.timestamp"), np.array([0, 1])) == ["172800", "86400"]


def test_indices(data):
    made = data()
    found = made.feature(Index(), "item.id")
    assert found.size == made.cardinalities["item.id"]
    assert found.codes.tolist() == list(range(found.size))
    inputs = found.inputs(np.array([3, 0, 3]))
    assert inputs.values.tolist() == [3, 0, 3]
    assert inputs.values.dtype == torch.int64
    assert inputs.lengths is None


def test_values_with_a_nul_are_not_those_of_another_log(data):
    two, one = (data(rows).feature(Index(), "item.id") for rows in (["u1,a,1", "u1,b,2"], ["u1,a\0b,1", "u1,a\0b,2"]))
    assert (two.size, one.size) == (2, 1)
    assert two.folder != one.folder


def test_padded_inputs_are_the_rows(data):
    found = data().feature(Letters(), "item.title+item.brand")
    codes = np.array([5, 1, 1, 0])
    inputs = found.inputs(codes)
    assert inputs.values.dtype == torch.int16
    assert inputs.lengths.tolist() == found.rows.lengths[codes].tolist()
    assert inputs.values.shape[1] == found.rows.lengths[codes].max()
    assert not inputs.values[~inputs.mask].any()
    for row, code in enumerate(codes):
        alone = found.inputs(np.array([code])).values[0]
        assert inputs.values[row, : len(alone)].tolist() == alone.tolist()


def test_prepared_once_over_two_starts(data, tiny, monkeypatch):
    monkeypatch.setattr("interestlab.data.fields.VALUES_PER_CHUNK", 3)
    first, second, other = Letters(), Letters(), Letters(least=70)
    found = data().feature(first, "item.title")
    assert first.calls == -(-found.size // 3)
    again = data().feature(second, "item.title")
    assert second.calls == 0
    assert texts(again, again.codes) == texts(found, found.codes)
    assert "".join(texts(data().feature(other, "item.title"), found.codes)).isascii()
    assert other.calls > 0


def test_another_log_of_the_same_words_prepares_nothing(data):
    first, second = Letters(), Letters()
    data().feature(first, "item.title")
    data(ties="item").feature(second, "item.title")
    assert (first.calls, second.calls) == (1, 0)


def test_unknown_field(data, cache):
    made = data()
    with pytest.raises(DataError, match=r"field item.colour: the items have no column colour; they have item_id, .*title"):
        made.feature(Letters(), "item.colour")
    with pytest.raises(DataError, match="the events have no column title"):
        field_values(made.log, Letters(), "event.title", cache)


def test_prepare_key_without_prepare(data):
    encoder = Index()
    encoder.preprocess_key = "none"
    with pytest.raises(TypeError, match="Index sets preprocess_key without a preprocess method"):
        data().feature(encoder, "item.title")


def test_some_value_is_one_that_a_row_has(tmp_path):
    """The first value may be one of which the encoder prepares nothing."""
    feature = FieldValues(np.array([-1, 3, 0], np.int32), 4, tmp_path)
    assert feature.any_code.tolist() == [3]
    assert [part.tolist() for part in feature.distinct] == [[0, 3], [1, 0]]
