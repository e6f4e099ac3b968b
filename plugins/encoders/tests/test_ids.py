import pytest
import torch

from interestlab.batch import Inputs
from interestlab_encoders.ids import Id


def test_each_value_has_a_row():
    encoder = Id()
    encoder.build({"item.id": 50, "item.brand": 3}, dim=8)
    vectors = encoder(Inputs(torch.tensor([4, 49, 4])))
    assert torch.equal(vectors, encoder.embedding.weight[[4, 49, 4]])
    assert encoder.out_dim == 8


def test_initial_scale():
    encoder = Id(dim=64)
    encoder.build({"item.id": 1000}, dim=8)
    assert encoder.out_dim == 64
    # Normal(0, 0.02) truncated at two standard deviations
    assert encoder.embedding.weight.std().item() == pytest.approx(0.0176, rel=0.02)


def test_missing_field_lists_the_available_fields():
    with pytest.raises(ValueError, match=r"no field 'item.colour'; it has item.brand, item.id"):
        Id("item.colour").build({"item.id": 50, "item.brand": 3}, dim=8)


def test_ids_can_start_at_zero():
    encoder = Id(std=0)
    encoder.build({"item.id": 7}, dim=4)
    assert not encoder.embedding.weight.any()


@pytest.mark.parametrize("arguments", [{"std": -1}, {"min_count": -1}])
def test_negative_numbers_are_rejected(arguments):
    with pytest.raises(ValueError, match="must not be negative"):
        Id(**arguments)
