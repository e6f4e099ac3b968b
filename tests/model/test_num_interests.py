"""With several interests, only the one nearest to the target receives a gradient."""

import pytest
import torch
from torch.nn import functional as F

from interestlab.batch import Candidates
from interestlab.step import nearest_interest


@pytest.fixture
def case():
    torch.manual_seed(0)
    items = torch.tensor([1, 4, 5, 9])
    candidates = Candidates(F.normalize(torch.randn(4, 3), dim=-1), items, torch.zeros(4), 10)
    targets = torch.tensor([[4, 9, -1, 1, 5], [1, -1, 9, 4, -1]])
    return F.normalize(torch.randn(2, 5, 3, 3), dim=-1), candidates, targets


def test_the_nearest_interest_has_the_largest_dot_product(case):
    z, candidates, targets = case
    nearest = nearest_interest(z, candidates, targets)
    rows = {item: row for row, item in enumerate(candidates.items.tolist())}
    assert nearest.shape == (2, 5, 3)
    for user in range(2):
        for t in range(5):
            if (target := targets[user, t].item()) >= 0:
                target_vector = candidates.embeddings[rows[target]]
                best = max(z[user, t], key=lambda interest: float(interest @ target_vector))
                assert torch.equal(nearest[user, t], best)
            else:
                assert any(torch.equal(nearest[user, t], interest) for interest in z[user, t])


def test_the_order_of_the_interests_does_not_matter(case):
    z, candidates, targets = case
    for order in ([2, 0, 1], [1, 0, 2]):
        nearest = nearest_interest(z[:, :, order], candidates, targets)[targets >= 0]
        assert torch.equal(nearest, nearest_interest(z, candidates, targets)[targets >= 0])


def test_an_axis_of_length_one_is_removed(case):
    z, candidates, targets = case
    assert torch.equal(nearest_interest(z[:, :, :1], candidates, targets), z[:, :, 0])


def test_only_the_nearest_interest_receives_a_gradient(case):
    z, candidates, targets = case
    z.requires_grad_()
    nearest_interest(z, candidates, targets)[targets >= 0].sum().backward()
    has_gradient = z.grad.abs().sum(-1) > 0
    assert torch.equal(has_gradient.sum(-1), (targets >= 0).long())
