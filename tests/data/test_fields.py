import numpy as np
import pytest
import torch

from interestlab.contract import Encoder
from interestlab.data.fields import FieldValues, field_values, parse_field
from interestlab.errors import DataError


class Letters(Encoder):
    """Encodes each text as the code points of its letters, two numbers per row.

    Args:
        least: letters with a lower code point are dropped.
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
    """Reads indices."""

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


def texts(field, codes):
    """Decode the letters of each row."""
    inputs = field.inputs(codes)
    return ["".join(chr(c) for c in row[:n, 0]) for row, n in zip(inputs.values, inputs.lengths, strict=True)]


def test_codes_identify_the_value_of_each_row(data):
    module = data()
    field = module.feature(Letters(), "item.title")
    titles = module.log.items["title"].to_list()
    assert field.size == len(set(titles)) == module.cardinalities["item.title"]
    assert texts(field, field.codes) == titles


def test_missing_values(data):
    module = data()
    field = module.feature(Letters(), "item.brand")
    brands = module.log.items["brand"].to_list()
    assert [c == -1 for c in field.codes] == [b is None for b in brands]
    assert None in brands
    assert field.size == 1
    assert texts(field, field.codes[:1]) == ["Acme"]


def test_a_field_without_any_value(data):
    field = data().feature(Letters(), "item.description")
    assert field.size == 0
    assert (field.codes == -1).all()
    assert field.inputs(np.array([], np.int64)).values.shape == (0, 0)


def test_values_without_any_row(data):
    field = data().feature(Letters(least=1000), "item.title")
    assert field.rows.lengths.tolist() == [0] * field.size
    assert field.inputs(np.arange(field.size)).values.shape == (field.size, 0, 2)


def test_joined_columns(data):
    module = data()
    field = module.feature(Letters(), "item.title+item.brand")
    expected = [f"{t} {b}" if b else t for t, b in module.log.items.select("title", "brand").rows()]
    assert texts(field, field.codes) == expected


def test_event_fields(data):
    module = data()
    field = module.feature(Letters(), "event.text")
    assert len(field.codes) == module.log.meta["events"]
    assert field.size == module.log.meta["users"]
    assert texts(field, field.codes) == module.log.events.collect()["text"].to_list()


def test_numbers_are_read_as_text(data):
    module = data(["u1,a,1", "u1,b,2"])
    assert texts(module.feature(Letters(), "event.timestamp"), np.array([0, 1])) == ["172800", "86400"]


def test_indices(data):
    module = data()
    field = module.feature(Index(), "item.id")
    assert field.size == module.cardinalities["item.id"]
    assert field.codes.tolist() == list(range(field.size))
    inputs = field.inputs(np.array([3, 0, 3]))
    assert inputs.values.tolist() == [3, 0, 3]
    assert inputs.values.dtype == torch.int64
    assert inputs.lengths is None


def test_values_with_a_nul_are_distinguished(data):
    two, one = (data(rows).feature(Index(), "item.id") for rows in (["u1,a,1", "u1,b,2"], ["u1,a\0b,1", "u1,a\0b,2"]))
    assert (two.size, one.size) == (2, 1)
    assert two.folder != one.folder


def test_inputs_are_padded_rows(data):
    field = data().feature(Letters(), "item.title+item.brand")
    codes = np.array([5, 1, 1, 0])
    inputs = field.inputs(codes)
    assert inputs.values.dtype == torch.int16
    assert inputs.lengths.tolist() == field.rows.lengths[codes].tolist()
    assert inputs.values.shape[1] == field.rows.lengths[codes].max()
    assert not inputs.values[~inputs.mask].any()
    for row, code in enumerate(codes):
        single = field.inputs(np.array([code])).values[0]
        assert inputs.values[row, : len(single)].tolist() == single.tolist()


def test_preprocessed_once_over_two_runs(data, tiny, monkeypatch):
    monkeypatch.setattr("interestlab.data.fields.VALUES_PER_CHUNK", 3)
    first, second, other = Letters(), Letters(), Letters(least=70)
    field = data().feature(first, "item.title")
    assert first.calls == -(-field.size // 3)
    reloaded = data().feature(second, "item.title")
    assert second.calls == 0
    assert texts(reloaded, reloaded.codes) == texts(field, field.codes)
    assert "".join(texts(data().feature(other, "item.title"), field.codes)).isascii()
    assert other.calls > 0


def test_another_log_with_the_same_values_reuses_them(data):
    first, second = Letters(), Letters()
    data().feature(first, "item.title")
    data(ties="item").feature(second, "item.title")
    assert (first.calls, second.calls) == (1, 0)


def test_unknown_field(data, cache):
    module = data()
    with pytest.raises(DataError, match=r"field item.colour: the items have no column colour; they have item_id, .*title"):
        module.feature(Letters(), "item.colour")
    with pytest.raises(DataError, match="the events have no column title"):
        field_values(module.log, Letters(), "event.title", cache)


def test_preprocess_key_without_preprocess(data):
    encoder = Index()
    encoder.preprocess_key = "none"
    with pytest.raises(TypeError, match="Index sets preprocess_key but has no preprocess method"):
        data().feature(encoder, "item.title")


def test_any_code_occurs_in_a_row(tmp_path):
    """The first row may have no value."""
    feature = FieldValues(np.array([-1, 3, 0], np.int32), 4, tmp_path)
    assert feature.any_code.tolist() == [3]
    assert [part.tolist() for part in feature.distinct] == [[0, 3], [1, 0]]
