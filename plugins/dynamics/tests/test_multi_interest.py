from typing import ClassVar

import pytest
import torch

from interestlab.testing import DynamicsTests
from interestlab_dynamics.dynamic_routing import squash
from interestlab_dynamics.multi_interest import MultiInterest

EXTRACTORS = ("attention", "routing")


class TestAttention(DynamicsTests):
    plugin = MultiInterest


class TestAttentionShortMaxLength(DynamicsTests):
    """Histories longer than ``max_length``."""

    plugin = MultiInterest
    init_args: ClassVar = {"num_interests": 3, "max_length": 3}


class TestRouting(DynamicsTests):
    plugin = MultiInterest
    init_args: ClassVar = {"extractor": "routing"}


class TestOneInterestByAttention(DynamicsTests):
    """A single interest has no axis K."""

    plugin = MultiInterest
    init_args: ClassVar = {"num_interests": 1}


class TestOneInterestByRouting(DynamicsTests):
    plugin = MultiInterest
    init_args: ClassVar = {"num_interests": 1, "extractor": "routing", "iterations": 1}


def run(dynamics, x):
    return dynamics(x, torch.zeros(x.shape[:2]), torch.ones(x.shape[:2], dtype=torch.bool))


def random_weights(**arguments):
    torch.manual_seed(0)
    dynamics = MultiInterest(6, num_interests=3, **arguments).double()
    for parameter in dynamics.parameters():
        parameter.data.normal_()
    return dynamics


def test_attention_is_a_softmax_over_the_events_so_far():
    dynamics, x = random_weights(extractor="attention", max_length=4), torch.randn(2, 7, 6).double()
    first, _, last = dynamics.extractor.score
    positions = dynamics.extractor.positions.weight[[0, 1, 2, 3, 3, 3, 3]]
    expected = []
    for t in range(1, 8):
        attention = (last.weight @ torch.tanh(first.weight @ (x + positions)[:, :t].transpose(1, 2))).softmax(-1)
        expected.append(attention @ x[:, :t])
    torch.testing.assert_close(run(dynamics, x), torch.stack(expected, 1))


def test_recency_starts_as_averages_of_different_memory():
    x = torch.randn(2, 6, 8)
    z = run(MultiInterest(8, num_interests=2).eval(), x)
    for k, beta in enumerate([0.1, 0.95]):
        weights = (1 - beta) ** torch.arange(5.0, -1, -1)
        torch.testing.assert_close(z[:, -1, k], (weights[:, None] * x).sum(1) / weights.sum())


def test_attention_with_scores_whose_exponential_overflows():
    dynamics, x = random_weights(), torch.randn(1, 6, 6).double()
    scores = torch.tensor([-2000.0, 900.0, 0.0, 901.0, -900.0, 2000.0]).double()
    dynamics.extractor.scores = lambda x, positions: scores[positions].view(*x.shape[:-1], 1).expand(*x.shape[:-1], 3)
    z = run(dynamics, x)
    mixture = torch.lerp(x[:, 1], x[:, 3], torch.tensor(1.0).double().sigmoid())
    expected = [x[:, 0], x[:, 1], x[:, 1], mixture, mixture, x[:, 5]]
    torch.testing.assert_close(z[:, :, 0], torch.stack(expected, 1))
    state = dynamics.init_state(1)
    for t in range(6):
        state, z_t = dynamics.step(state, x[:, t], torch.zeros(1))
        torch.testing.assert_close(z_t, z[:, t])


def reference_routing(events, prototypes, iterations):
    """Route the events ``[N, D]`` of one user as written in MIND."""
    logits = [[p @ e for e in events] for p in prototypes]
    for _ in range(iterations):
        shares = torch.stack([torch.stack(row) for row in logits]).softmax(0)
        z = []
        for k in range(len(prototypes)):
            total = sum(shares[k, j] * e for j, e in enumerate(events))
            z.append(total.norm() ** 2 / (1 + total.norm() ** 2) * total / total.norm())
        logits = [[logits[k][j] + z[k] @ e for j, e in enumerate(events)] for k in range(len(prototypes))]
    return torch.stack(z)


@pytest.mark.parametrize("iterations", [1, 3])
def test_routing_equals_a_reference(iterations):
    dynamics, x = random_weights(extractor="routing", iterations=iterations), torch.randn(2, 5, 6).double()
    events, prototypes = dynamics.extractor.in_proj(x), dynamics.extractor.prototypes.weight
    expected = [[reference_routing(user[:t], prototypes, iterations) for t in range(1, 6)] for user in events]
    expected = torch.stack([torch.stack(user) for user in expected])
    torch.testing.assert_close(run(dynamics, x), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_interests_are_distinct(extractor):
    torch.manual_seed(0)
    z = run(MultiInterest(8, extractor=extractor), torch.randn(2, 6, 8))[:, -1]
    assert (torch.cdist(z, z) + torch.eye(4) > 1e-3).all()


def test_state_size():
    constant, growing = (MultiInterest(8, extractor=extractor) for extractor in EXTRACTORS)
    states = constant.init_state(3), growing.init_state(3)
    for n in range(3):
        assert tuple(states[0].z.shape) == (3, 4, 8)
        assert tuple(states[1].events.shape) == (3, n, 8)
        states = tuple(
            d.step(s, torch.randn(3, 8), torch.zeros(3))[0] for d, s in zip((constant, growing), states, strict=True)
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_interests": 0}, "must be positive"),
        ({"max_length": 0}, "must be positive"),
        ({"iterations": 0}, "must be positive"),
        ({"extractor": "mean"}, "extractor is 'mean'"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiInterest(8, **arguments)


def test_squash_of_zeros_has_a_finite_gradient_in_half_precision():
    z = torch.zeros(2, 4).half().requires_grad_()
    squash(z).sum().backward()
    assert z.grad.isfinite().all()
