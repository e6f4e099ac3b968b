import math

import pytest
import torch
from torch.nn import functional as F

from interestlab_objectives.rdrop import Rdrop

ITEMS, TARGETS = [[5, 3, 8], [0]], [[3, -1, 11], [17]]


def chances(z, vectors, temperature):
    weights = [math.exp(float(z @ v) / temperature) for v in vectors]
    return [w / sum(weights) for w in weights]


def divergence(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


@pytest.fixture
def two_readings(step_of):
    """A step whose dynamics gives one thing and then another, and what it gave."""
    torch.manual_seed(0)
    readings = [torch.randn(2, 3, 6) for _ in range(2)]
    given = iter(readings)
    return step_of(ITEMS, TARGETS, vectors=torch.randn(20, 6), follow=lambda *history: next(given)), readings


def by_hand(step, readings):
    """The symmetric divergence at each known position."""
    found = []
    for position in zip(*step.target_mask.nonzero(as_tuple=True), strict=True):
        p, q = (chances(z[position], step.candidates.embeddings, 0.5) for z in readings)
        found.append((divergence(p, q) + divergence(q, p)) / 2)
    return found


def test_value_by_hand(two_readings):
    step, readings = two_readings
    found = by_hand(step, readings)
    assert Rdrop(temperature=0.5)(step).item() == pytest.approx(sum(found) / 3, rel=1e-4)


def test_of_one_position(two_readings):
    step, readings = two_readings
    got = Rdrop(temperature=0.5, positions=1)(step).item()
    assert any(got == pytest.approx(one, rel=1e-4) for one in by_hand(step, readings))


def test_nothing_without_dropout_and_something_with_it(step_of):
    torch.manual_seed(0)
    assert Rdrop()(step_of(ITEMS, TARGETS)).item() == 0
    loss = Rdrop()(step_of(ITEMS, TARGETS, follow=lambda x, dt, mask: F.dropout(x, 0.5)))
    assert loss > 0


def test_the_first_reading_is_the_one_of_the_main_loss(two_readings):
    step, readings = two_readings
    Rdrop()(step)
    assert step.user_states is readings[0]


def test_without_targets_there_is_no_loss(step_of):
    step = step_of(ITEMS, [[-1] * 3, [-1]])
    loss = Rdrop()(step)
    loss.backward()
    assert loss.item() == 0
    assert not step.event_embeddings.grad.any()


@pytest.mark.parametrize("arguments", [{"temperature": 0.0}, {"positions": 0}])
def test_refuses_what_has_no_meaning(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Rdrop(**arguments)
