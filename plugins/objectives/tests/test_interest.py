import math

import pytest
import torch

from interestlab_objectives.interest import Interest


def test_loss_equals_a_reference(make_step, reference_loss):
    torch.manual_seed(0)
    step = make_step([[5, 3, 8], [0]], [[3, -1, 11], [17]])
    objective = Interest(200_000, temperature=0.5)  # with this many samples, their mean is close to the mean over all items
    torch.nn.init.constant_(objective.logit.bias, -0.7)

    def loss(target, others):
        probability = [1 / (1 + math.exp(0.7 - score)) for score in (target, *others)]
        return -math.log(probability[0]) - sum(math.log(1 - p) for p in probability[1:]) / len(others)

    assert objective(step).item() == pytest.approx(reference_loss(step, 0.5, loss), rel=5e-3)


def test_one_half_means_as_likely_as_a_random_item(fitted_probabilities):
    objective = Interest(50, temperature=1.0)
    probabilities = fitted_probabilities(objective, catalogue=1000, users=4000)
    # Of the targets, 20% have score 0 and 80% score 1; of the negatives, half each.
    assert probabilities == pytest.approx([0.2 / (0.2 + 0.5), 0.8 / (0.8 + 0.5)], abs=0.02)


def test_probability_keeps_the_shape_and_increases_with_the_score():
    objective = Interest(temperature=0.5)
    torch.nn.init.constant_(objective.logit.bias, -0.7)
    probabilities = objective.probability(torch.tensor([[-1.0, 0.0], [0.35, 1.0]]))
    expected = [[1 / (1 + math.exp(0.7 - 2 * s)) for s in row] for row in ([-1.0, 0.0], [0.35, 1.0])]
    torch.testing.assert_close(probabilities, torch.tensor(expected))
    assert probabilities[1, 0] == 0.5
