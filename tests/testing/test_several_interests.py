"""The conformance checks on dynamics with several interests: one satisfies the contract, the others each break a promise."""

import pytest
import torch
from torch import nn

from interestlab.contract import Dynamics
from interestlab.testing import DynamicsTests, check_plugin


class Averages(Dynamics):
    """Averages with different decay rates that satisfy the contract.

    Args:
        dim: width.
        num_interests: number of averages.
    """

    def __init__(self, dim: int, num_interests: int = 3):
        super().__init__()
        self.dim, self.num_interests = dim, num_interests
        self.read = nn.Linear(dim, dim)
        self.rates = nn.Parameter(torch.linspace(-2, 2, num_interests))

    def init_state(self, batch_size):
        return self.rates.new_zeros(batch_size, self.num_interests, self.dim)

    def step(self, state, x, dt):
        state = torch.lerp(state, self.read(x).unsqueeze(1).to(state.dtype), torch.sigmoid(self.rates).unsqueeze(-1))
        return state, state

    def readout(self, state):
        return state

    def forward(self, x, dt, mask):
        state, zs = Averages.init_state(self, len(x)), []
        for t in range(x.shape[1]):
            state, z = Averages.step(self, state, x[:, t], dt[:, t])
            zs.append(z)
        return torch.stack(zs, 1)


class TestAverages(DynamicsTests):
    plugin = Averages


class TestTwoAverages(DynamicsTests):
    plugin = Averages
    init_args = {"num_interests": 2}


class StepsInAnotherOrder(Averages):
    def step(self, state, x, dt):
        state, z = super().step(state, x, dt)
        return state, z.flip(1)

    def readout(self, state):
        return state.flip(1)


class ReadoutInAnotherOrder(Averages):
    def readout(self, state):
        return state.flip(1)


class ReadoutIsTheMean(Averages):
    def readout(self, state):
        return state.mean(1)


class OneDecaysInStep(Averages):
    """All interests but one are correct."""

    def step(self, state, x, dt):
        return super().step(state * torch.tensor([1.0, 1.0, 0.9]).to(state).unsqueeze(-1), x, dt)


class OnePeeksAhead(Averages):
    def forward(self, x, dt, mask):
        ahead = (x * mask.unsqueeze(-1)).sum(1)[:, None, None]
        return super().forward(x, dt, mask) + ahead * torch.tensor([0.0, 0.0, 0.1]).to(x).unsqueeze(-1)


class OneIsNotFinite(Averages):
    def step(self, state, x, dt):
        state, z = super().step(state, x, dt)
        return state / torch.tensor([1.0, 1.0, 0.0]).to(z).unsqueeze(-1), z


class InterestsFirst(Averages):
    def init_state(self, batch_size):
        return super().init_state(batch_size).transpose(0, 1)

    def step(self, state, x, dt):
        state, z = super().step(state.transpose(0, 1), x, dt)
        return state.transpose(0, 1), z

    def readout(self, state):
        return state.transpose(0, 1)


class IgnoresTheEvents(Averages):
    def forward(self, x, dt, mask):
        return super().forward(torch.zeros_like(x), dt, mask)

    def step(self, state, x, dt):
        return super().step(state, torch.zeros_like(x), dt)


CAUGHT = {
    StepsInAnotherOrder: {"step"},
    ReadoutInAnotherOrder: {"readout"},
    ReadoutIsTheMean: {"readout"},
    OneDecaysInStep: {"step"},
    OnePeeksAhead: {"causality", "step"},
    OneIsNotFinite: {"step", "readout", "advance"},
    InterestsFirst: {"state_selection"},
    IgnoresTheEvents: {"effect"},
}


def failed_checks(plugin, **arguments):
    return {outcome.check for outcome in check_plugin(plugin, arguments) if outcome.status == "failed"}


@pytest.mark.parametrize("plugin", CAUGHT)
def test_caught_by_the_right_checks(plugin):
    assert failed_checks(plugin) == CAUGHT[plugin]


def test_a_lone_interest_has_no_axis():
    assert failed_checks(Averages, num_interests=1) >= {"gradients", "row_independence", "float64"}
