import math

import pytest
import torch

from interestlab_objectives.bpr import Bpr


def test_loss_equals_a_reference(make_step, reference_loss):
    torch.manual_seed(0)
    step = make_step([[5, 3, 8], [0]], [[3, -1, 11], [17]])

    def loss(target, others):
        return sum(-math.log(1 / (1 + math.exp(other - target))) for other in others) / len(others)

    # With this many samples, their mean is close to the mean over all items.
    assert Bpr(200_000, temperature=0.5)(step).item() == pytest.approx(reference_loss(step, 0.5, loss), rel=5e-3)


@pytest.mark.parametrize("candidates", ["catalogue", "batch"])
def test_candidates_attribute(candidates):
    assert Bpr(candidates=candidates).candidates == candidates


def test_probability_is_not_defined():
    with pytest.raises(ValueError, match=r"Bpr .*no probability"):
        Bpr().probability(torch.zeros(3))
