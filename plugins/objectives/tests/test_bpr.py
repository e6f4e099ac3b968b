import math

import pytest
import torch

from interestlab_objectives.bpr import Bpr


def test_value_by_hand(step_of, mean_of_each):
    torch.manual_seed(0)
    step = step_of([[5, 3, 8], [0]], [[3, -1, 11], [17]])

    def loss(wanted, others):
        return sum(-math.log(1 / (1 + math.exp(other - wanted))) for other in others) / len(others)

    # So many draws that their mean is that over all items.
    assert Bpr(200_000, temperature=0.5)(step).item() == pytest.approx(mean_of_each(step, 0.5, loss), rel=5e-3)


@pytest.mark.parametrize("candidates", ["catalogue", "batch"])
def test_candidates_are_declared(candidates):
    assert Bpr(candidates=candidates).candidates == candidates


def test_gives_no_probability():
    with pytest.raises(ValueError, match="Bpr orders items and gives no probability"):
        Bpr().probability(torch.zeros(3))
