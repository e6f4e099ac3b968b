import math

import pytest
import torch
from torch.nn import functional as F

from interestlab_objectives.rdrop import Rdrop

ITEMS, TARGETS = [[5, 3, 8], [0]], [[3, -1, 11], [17]]


def probabilities(z, vectors, temperature):
    weights = [math.exp(float(z @ v) / temperature) for v in vectors]
    return [w / sum(weights) for w in weights]


def divergence(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


@pytest.fixture
def two_passes(make_step):
    """A step whose dynamics returns two different outputs, and these outputs."""
    torch.manual_seed(0)
    passes = [torch.randn(2, 3, 6) for _ in range(2)]
    outputs = iter(passes)
    return make_step(ITEMS, TARGETS, vectors=torch.randn(20, 6), run_dynamics=lambda *history: next(outputs)), passes


def reference(step, passes):
    """Compute the symmetric divergence at each position with a target."""
    divergences = []
    for position in zip(*step.target_mask.nonzero(as_tuple=True), strict=True):
        p, q = (probabilities(z[position], step.candidates.embeddings, 0.5) for z in passes)
        divergences.append((divergence(p, q) + divergence(q, p)) / 2)
    return divergences


def test_value_reference(two_passes):
    step, passes = two_passes
    expected = reference(step, passes)
    assert Rdrop(temperature=0.5)(step).item() == pytest.approx(sum(expected) / 3, rel=1e-4)


def test_a_sample_of_one_position(two_passes):
    step, passes = two_passes
    loss = Rdrop(temperature=0.5, positions=1)(step).item()
    assert any(loss == pytest.approx(one, rel=1e-4) for one in reference(step, passes))


def test_loss_is_zero_without_dropout_and_positive_with_it(make_step):
    torch.manual_seed(0)
    assert Rdrop()(make_step(ITEMS, TARGETS)).item() == 0
    loss = Rdrop()(make_step(ITEMS, TARGETS, run_dynamics=lambda x, dt, mask: F.dropout(x, 0.5)))
    assert loss > 0


def test_the_first_pass_is_shared_with_the_main_loss(two_passes):
    step, passes = two_passes
    Rdrop()(step)
    assert step.user_states is passes[0]


def test_a_step_without_targets_has_zero_loss(make_step):
    step = make_step(ITEMS, [[-1] * 3, [-1]])
    loss = Rdrop()(step)
    loss.backward()
    assert loss.item() == 0
    assert not step.event_embeddings.grad.any()


@pytest.mark.parametrize("arguments", [{"temperature": 0.0}, {"positions": 0}])
def test_invalid_arguments(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Rdrop(**arguments)
