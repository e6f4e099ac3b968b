import math
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.batch import Inputs
from interestlab.testing import EncoderTests, pad_rows
from interestlab_encoders.behaviour import Behaviour

NUMBERS = ("4.5", "", "no number", "-17", "1e30")


class TestCategory(EncoderTests):
    plugin = Behaviour


class TestCategoryWithWidth(EncoderTests):
    plugin = Behaviour
    init_args: ClassVar = {"field": "event.rating", "kind": "category", "dim": 5}


class TestNumber(EncoderTests):
    plugin = Behaviour
    init_args: ClassVar = {"field": "event.rating"}
    values = NUMBERS


class TestNumberWithAllOptions(EncoderTests):
    plugin = Behaviour
    init_args: ClassVar = {"field": "item.weight", "kind": "number", "frequencies": 1, "dim": 5}
    values = NUMBERS


def build_encoder(field, **arguments):
    torch.manual_seed(0)
    encoder = Behaviour(field, **arguments)
    encoder.build({field: 7}, dim=8)
    return encoder


@pytest.mark.parametrize("field", ["event.rating", "item.price", "event.price", "event.elapsed"])
def test_fields_read_as_numbers_by_default(field):
    assert Behaviour(field).preprocess_key
    assert Behaviour(field, kind="category").preprocess_key is None


@pytest.mark.parametrize("field", ["event.event", "event.hour", "event.weekday", "item.brand"])
def test_fields_read_as_categories_by_default(field):
    assert Behaviour(field).preprocess_key is None
    assert Behaviour(field, kind="number").preprocess_key


def test_each_category_has_a_vector():
    encoder = build_encoder("event.hour")
    vectors = encoder(Inputs(torch.tensor([4, 0, 4])))
    assert torch.equal(vectors, encoder.embed.weight[[4, 0, 4]])


def vectors(encoder, *values):
    return encoder(pad_rows(encoder.preprocess(values)))


@pytest.mark.parametrize("value", ["", "cheap", "nan", "inf", "-inf", "1e39"])
def test_other_texts_are_missing(value):
    (row,) = build_encoder("item.price").preprocess([value])
    assert row.shape == (0,)


@settings(deadline=None)
@given(st.floats(-(2.0**120), 2.0**120, width=32, allow_subnormal=False))
def test_every_number_has_a_finite_vector(value):
    encoder = build_encoder("item.price")
    (row,) = encoder.preprocess([repr(value)])
    assert row.tolist() == [value]
    assert vectors(encoder, repr(value)).isfinite().all()


def test_number_embedding_equals_the_formula():
    encoder = build_encoder("event.rating", frequencies=1, dim=3)
    log_x = math.log(5)
    angles = log_x * encoder.embed.frequencies.item()
    expected = encoder.embed.network(torch.tensor([[log_x, math.sin(angles), math.cos(angles)]]))
    torch.testing.assert_close(vectors(encoder, "4"), expected)


def test_close_numbers_have_similar_vectors():
    first, close, distant = vectors(build_encoder("item.price"), "100", "101", "250").unbind()
    assert (first - close).norm() < (first - distant).norm() / 3


def test_a_function_of_the_price_can_be_learnt():
    encoder = build_encoder("item.price", dim=16)
    prices = torch.logspace(0, 3, 40)
    inputs = pad_rows(encoder.preprocess([str(p.item()) for p in prices]))
    target = (prices.log() * 2).sin()  # oscillates over the range of prices
    probe = torch.nn.Linear(16, 1)
    optimizer = torch.optim.Adam([*encoder.parameters(), *probe.parameters()], 0.01)
    for _ in range(150):
        loss = (probe(encoder(inputs)).squeeze(-1) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.02


def test_missing_field():
    with pytest.raises(ValueError, match=r"no field 'event.event'; it has item.id"):
        Behaviour().build({"item.id": 3}, dim=8)
    with pytest.raises(ValueError, match=r"no field 'item.price'; it has item.id"):
        Behaviour("item.price").build({"item.id": 3}, dim=8)


def test_unknown_kind():
    with pytest.raises(ValueError, match="kind is 'numbers'; it must be auto, category or number"):
        Behaviour("item.price", kind="numbers")


def test_at_least_one_frequency():
    with pytest.raises(ValueError, match="frequencies=0"):
        Behaviour("item.price", frequencies=0)
