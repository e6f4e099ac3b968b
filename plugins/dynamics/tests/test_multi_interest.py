from typing import ClassVar

import pytest
import torch

from interestlab.testing import DynamicsTests
from interestlab_dynamics.dynamic_routing import squash
from interestlab_dynamics.multi_interest import MultiInterest

EXTRACTORS = ("attention", "routing")


class TestAttention(DynamicsTests):
    plugin = MultiInterest


class TestAttentionShort(DynamicsTests):
    """Histories longer than ``max_length``."""

    plugin = MultiInterest
    init_args: ClassVar = {"num_interests": 3, "max_length": 3}


class TestRouting(DynamicsTests):
    plugin = MultiInterest
    init_args: ClassVar = {"extractor": "routing"}


class TestOneByAttention(DynamicsTests):
    """A lone interest has no axis."""

    plugin = MultiInterest
    init_args: ClassVar = {"num_interests": 1}


class TestOneByRouting(DynamicsTests):
    plugin = MultiInterest
    init_args: ClassVar = {"num_interests": 1, "extractor": "routing", "iterations": 1}


def run(dynamics, x):
    return dynamics(x, torch.zeros(x.shape[:2]), torch.ones(x.shape[:2], dtype=torch.bool))


def lively(**arguments):
    torch.manual_seed(0)
    dynamics = MultiInterest(6, num_interests=3, **arguments).double()
    for parameter in dynamics.parameters():
        parameter.data.normal_()
    return dynamics


def test_attention_is_a_softmax_over_each_prefix():
    dynamics, x = lively(max_length=4), torch.randn(2, 7, 6).double()
    first, _, last = dynamics.extractor.score
    places = dynamics.extractor.positions.weight[[0, 1, 2, 3, 3, 3, 3]]
    expected = []
    for t in range(1, 8):
        attention = (last.weight @ torch.tanh(first.weight @ (x + places)[:, :t].transpose(1, 2))).softmax(-1)
        expected.append(attention @ x[:, :t])
    torch.testing.assert_close(run(dynamics, x), torch.stack(expected, 1))


def test_attention_stays_exact_where_a_plain_exponential_overflows():
    dynamics, x = lively(), torch.randn(1, 6, 6).double()
    scores = torch.tensor([-2000.0, 900.0, 0.0, 901.0, -900.0, 2000.0]).double()
    dynamics.extractor.scores = lambda x, positions: scores[positions].view(*x.shape[:-1], 1).expand(*x.shape[:-1], 3)
    z = run(dynamics, x)
    both = torch.lerp(x[:, 1], x[:, 3], torch.tensor(1.0).double().sigmoid())
    expected = [x[:, 0], x[:, 1], x[:, 1], both, both, x[:, 5]]
    torch.testing.assert_close(z[:, :, 0], torch.stack(expected, 1))
    state = dynamics.init_state(1)
    for t in range(6):
        state, now = dynamics.step(state, x[:, t], torch.zeros(1))
        torch.testing.assert_close(now, z[:, t])


def routed(events, prototypes, iterations):
    """MIND's routing of one user's events ``[N, D]``, as its algorithm is written."""
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
def test_routing_is_that_of_each_prefix(iterations):
    dynamics, x = lively(extractor="routing", iterations=iterations), torch.randn(2, 5, 6).double()
    events, prototypes = dynamics.extractor.read(x), dynamics.extractor.prototypes.weight
    expected = [[routed(user[:t], prototypes, iterations) for t in range(1, 6)] for user in events]
    expected = torch.stack([torch.stack(user) for user in expected])
    torch.testing.assert_close(run(dynamics, x), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_interests_differ_from_each_other(extractor):
    torch.manual_seed(0)
    z = run(MultiInterest(8, extractor=extractor), torch.randn(2, 6, 8))[:, -1]
    assert (torch.cdist(z, z) + torch.eye(4) > 1e-3).all()


def test_what_a_step_keeps():
    steady, growing = (MultiInterest(8, extractor=extractor) for extractor in EXTRACTORS)
    states = steady.init_state(3), growing.init_state(3)
    for n in range(3):
        assert tuple(states[0].z.shape) == (3, 4, 8)
        assert tuple(states[1].events.shape) == (3, n, 8)
        states = tuple(d.step(s, torch.randn(3, 8), torch.zeros(3))[0] for d, s in zip((steady, growing), states, strict=True))


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


def test_no_event_has_a_gradient_in_halves():
    z = torch.zeros(2, 4).half().requires_grad_()
    squash(z).sum().backward()
    assert z.grad.isfinite().all()
