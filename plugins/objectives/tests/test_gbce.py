import math

import pytest
import torch
from torch.nn import functional as F

from interestlab_objectives.gbce import Gbce

N, CATALOGUE = 20, 201


def log_sigmoid(x):
    return math.log(1 / (1 + math.exp(-x)))


@pytest.fixture
def step(step_of):
    """All items that are not the user's are alike, so that it does not matter which are drawn."""
    torch.manual_seed(0)
    vectors = F.normalize(torch.randn(20, 6), dim=-1)
    vectors[[item for item in range(20) if item not in (3, 5, 8, 11)]] = 0.3
    return step_of([[5, 3, 8]], [[3, -1, 11]], vectors=vectors, catalogue_size=CATALOGUE)


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_value_by_hand(step, mean_of_each, calibration):
    share = N / (CATALOGUE - 1)
    power = share * (calibration * (1 - 1 / share) + 1 / share)  # what follows equation 9

    def loss(wanted, others):
        return -(power * log_sigmoid(wanted) + N * log_sigmoid(-others[0])) / (N + 1)

    assert Gbce(N, calibration, temperature=0.5)(step).item() == pytest.approx(mean_of_each(step, 0.5, loss), rel=1e-5)


def test_without_calibration_it_is_binary_cross_entropy(step):
    rows = step.user_states[step.target_mask]
    wanted = (rows * step.candidates.embeddings[[3, 11]]).sum(-1, keepdim=True)
    logits = torch.cat([wanted, (rows @ step.candidates.embeddings[0]).unsqueeze(1).expand(-1, N)], 1) / 0.5
    labels = F.one_hot(torch.zeros(2, dtype=torch.int64), N + 1).float()
    torch.testing.assert_close(Gbce(N, 0.0, temperature=0.5)(step), F.binary_cross_entropy_with_logits(logits, labels))


def test_calibrated_it_learns_how_likely_an_item_is_and_plainly_it_believes_too_much(probabilities_learnt):
    # Ten items share the 20%, and ten the 80%.
    calibrated, plain = (probabilities_learnt(Gbce(4, t, temperature=1.0), catalogue=20, users=10_000) for t in (1.0, 0.0))
    assert calibrated == pytest.approx([0.02, 0.08], rel=0.1)
    assert plain[0] > 2 * calibrated[0]
    assert plain[1] > 2 * calibrated[1]


def test_calibration_does_not_exceed_what_is_drawn(step):
    assert Gbce(10_000, 0.75)(step).isfinite()


@pytest.mark.parametrize("calibration", [-0.1, 1.1])
def test_calibration_out_of_range(calibration):
    with pytest.raises(ValueError, match="calibration must lie between 0 and 1"):
        Gbce(calibration=calibration)


def test_gives_no_probability():
    with pytest.raises(ValueError, match="Gbce orders items and gives no probability"):
        Gbce().probability(torch.zeros(3))
