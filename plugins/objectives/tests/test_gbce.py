import math

import pytest
import torch
from torch.nn import functional as F

from interestlab_objectives.gbce import Gbce

N, CATALOGUE = 20, 201


def log_sigmoid(x):
    return math.log(1 / (1 + math.exp(-x)))


@pytest.fixture
def step(make_step):
    """All items that are not the user's have equal vectors, so the sample does not matter."""
    torch.manual_seed(0)
    vectors = F.normalize(torch.randn(20, 6), dim=-1)
    vectors[[item for item in range(20) if item not in (3, 5, 8, 11)]] = 0.3
    return make_step([[5, 3, 8]], [[3, -1, 11]], vectors=vectors, catalogue_size=CATALOGUE)


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_loss_equals_a_reference(step, reference_loss, calibration):
    share = N / (CATALOGUE - 1)
    exponent = share * (calibration * (1 - 1 / share) + 1 / share)  # below equation 9 of the paper

    def loss(target, others):
        return -(exponent * log_sigmoid(target) + N * log_sigmoid(-others[0])) / (N + 1)

    assert Gbce(N, calibration, temperature=0.5)(step).item() == pytest.approx(reference_loss(step, 0.5, loss), rel=1e-5)


def test_without_calibration_it_is_binary_cross_entropy(step):
    rows = step.user_states[step.target_mask]
    targets = (rows * step.candidates.embeddings[[3, 11]]).sum(-1, keepdim=True)
    logits = torch.cat([targets, (rows @ step.candidates.embeddings[0]).unsqueeze(1).expand(-1, N)], 1) / 0.5
    labels = F.one_hot(torch.zeros(2, dtype=torch.int64), N + 1).float()
    torch.testing.assert_close(Gbce(N, 0.0, temperature=0.5)(step), F.binary_cross_entropy_with_logits(logits, labels))


def test_calibration_removes_overconfidence(fitted_probabilities):
    # Ten items share 20% of the targets, ten items share 80%.
    calibrated, plain = (fitted_probabilities(Gbce(4, t, temperature=1.0), catalogue=20, users=10_000) for t in (1.0, 0.0))
    assert calibrated == pytest.approx([0.02, 0.08], rel=0.1)
    assert plain[0] > 2 * calibrated[0]
    assert plain[1] > 2 * calibrated[1]


def test_more_negatives_than_items(step):
    assert Gbce(10_000, 0.75)(step).isfinite()


@pytest.mark.parametrize("calibration", [-0.1, 1.1])
def test_calibration_out_of_range(calibration):
    with pytest.raises(ValueError, match="calibration must be between 0 and 1"):
        Gbce(calibration=calibration)


def test_probability_is_not_defined():
    with pytest.raises(ValueError, match=r"Gbce .*no probability"):
        Gbce().probability(torch.zeros(3))
