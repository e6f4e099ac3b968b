"""Conformance checks of an objective, and tests of this class."""

import math

import pytest
import torch
from interestlab.batch import Batch, Candidates
from interestlab.step import Step
from interestlab.testing import ObjectiveTests

from my_plugin.objective import MyPlugin


class TestMyPlugin(ObjectiveTests):
    plugin = MyPlugin


def test_loss():
    targets = torch.tensor([[7, -1]])
    zeros = torch.zeros(1, 2, dtype=torch.int64)
    batch = Batch(zeros[:, 0], zeros, zeros, zeros.float(), targets >= 0, targets, zeros[:, :0])
    candidates = Candidates(torch.eye(2), torch.tensor([3, 7]), torch.zeros(2), catalogue_size=2)
    objective = MyPlugin(temperature=0.5)
    events = torch.tensor([[[0.0, 1.0], [9.0, 9.0]]])
    step = Step(batch, candidates, events, lambda x, *_: x, objective)  # the user state is the last event
    assert objective(step).item() == pytest.approx(math.log(1 + math.exp(-2)))


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_temperature_out_of_range(temperature):
    with pytest.raises(ValueError, match="temperature must be positive"):
        MyPlugin(temperature=temperature)
