import math

import pytest
import torch

from interestlab_objectives.interest import Interest


def test_value_by_hand(step_of, mean_of_each):
    torch.manual_seed(0)
    step = step_of([[5, 3, 8], [0]], [[3, -1, 11], [17]])
    objective = Interest(200_000, temperature=0.5)  # so many draws that their mean is that over all items
    torch.nn.init.constant_(objective.logit.bias, -0.7)

    def loss(wanted, others):
        chance = [1 / (1 + math.exp(0.7 - score)) for score in (wanted, *others)]
        return -math.log(chance[0]) - sum(math.log(1 - p) for p in chance[1:]) / len(others)

    assert objective(step).item() == pytest.approx(mean_of_each(step, 0.5, loss), rel=5e-3)


def test_one_half_is_as_likely_as_an_item_drawn_by_chance(probabilities_learnt):
    objective = Interest(50, temperature=1.0)
    found = probabilities_learnt(objective, catalogue=1000, users=4000)
    # Of the wanted, 20% and 80% have scores 0 and 1; of the drawn, half each.
    assert found == pytest.approx([0.2 / (0.2 + 0.5), 0.8 / (0.8 + 0.5)], abs=0.02)


def test_probability_is_of_any_shape_and_rises_with_the_score():
    objective = Interest(temperature=0.5)
    torch.nn.init.constant_(objective.logit.bias, -0.7)
    found = objective.probability(torch.tensor([[-1.0, 0.0], [0.35, 1.0]]))
    expected = [[1 / (1 + math.exp(0.7 - 2 * s)) for s in row] for row in ([-1.0, 0.0], [0.35, 1.0])]
    torch.testing.assert_close(found, torch.tensor(expected))
    assert found[1, 0] == 0.5
