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


class TestCategoryOfItsOwnWidth(EncoderTests):
    plugin = Behaviour
    init_args: ClassVar = {"field": "event.rating", "kind": "category", "dim": 5}


class TestNumber(EncoderTests):
    plugin = Behaviour
    init_args: ClassVar = {"field": "event.rating"}
    values = NUMBERS


class TestNumberWithEveryOption(EncoderTests):
    plugin = Behaviour
    init_args: ClassVar = {"field": "item.weight", "kind": "number", "frequencies": 1, "dim": 5}
    values = NUMBERS


def built(field, **arguments):
    torch.manual_seed(0)
    encoder = Behaviour(field, **arguments)
    encoder.build({field: 7}, dim=8)
    return encoder


@pytest.mark.parametrize("field", ["event.rating", "item.price", "event.price", "event.elapsed"])
def test_these_are_numbers_unless_told_otherwise(field):
    assert Behaviour(field).preprocess_key
    assert Behaviour(field, kind="category").preprocess_key is None


@pytest.mark.parametrize("field", ["event.event", "event.hour", "event.weekday", "item.brand"])
def test_all_else_are_categories(field):
    assert Behaviour(field).preprocess_key is None
    assert Behaviour(field, kind="number").preprocess_key


def test_a_category_has_a_vector_each():
    encoder = built("event.hour")
    vectors = encoder(Inputs(torch.tensor([4, 0, 4])))
    assert torch.equal(vectors, encoder.read.weight[[4, 0, 4]])


def vectors(encoder, *values):
    return encoder(pad_rows(encoder.preprocess(values)))


@pytest.mark.parametrize("value", ["", "cheap", "nan", "inf", "-inf", "1e39"])
def test_what_is_no_number_is_missing(value):
    (row,) = built("item.price").preprocess([value])
    assert row.shape == (0,)


@settings(deadline=None, max_examples=40)
@given(st.floats(-(2.0**120), 2.0**120, width=32, allow_subnormal=False))
def test_every_number_has_a_finite_vector(value):
    encoder = built("item.price")
    (row,) = encoder.preprocess([repr(value)])
    assert row.tolist() == [value]
    assert vectors(encoder, repr(value)).isfinite().all()


def test_a_number_by_hand():
    encoder = built("event.rating", frequencies=1, dim=3)
    level = math.log(5)
    turns = level * encoder.read.frequencies.item()
    expected = encoder.read.network(torch.tensor([[level, math.sin(turns), math.cos(turns)]]))
    torch.testing.assert_close(vectors(encoder, "4"), expected)


def test_near_numbers_are_alike():
    one, near, far = vectors(built("item.price"), "100", "101", "250").unbind()
    assert (one - near).norm() < (one - far).norm() / 3


def test_a_price_can_be_learnt():
    encoder = built("item.price", dim=16)
    prices = torch.logspace(0, 3, 40)
    inputs = pad_rows(encoder.preprocess([str(p.item()) for p in prices]))
    target = (prices.log() * 2).sin()  # up and down over a few factors
    probe = torch.nn.Linear(16, 1)
    optimizer = torch.optim.Adam([*encoder.parameters(), *probe.parameters()], 0.01)
    for _ in range(150):
        loss = (probe(encoder(inputs)).squeeze(-1) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.02


def test_the_data_must_have_the_field():
    with pytest.raises(ValueError, match=r"no field 'event.event'; it has item.id"):
        Behaviour().build({"item.id": 3}, dim=8)
    with pytest.raises(ValueError, match=r"no field 'item.price'; it has item.id"):
        Behaviour("item.price").build({"item.id": 3}, dim=8)


def test_a_kind_that_is_none():
    with pytest.raises(ValueError, match="kind is 'numbers'; it must be auto, category or number"):
        Behaviour("item.price", kind="numbers")


def test_a_number_needs_a_frequency():
    with pytest.raises(ValueError, match="frequencies=0"):
        Behaviour("item.price", frequencies=0)
