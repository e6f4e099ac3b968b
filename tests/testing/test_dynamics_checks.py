"""Dynamics that each break one promise, and the checks that fail on them."""

import pytest
import torch
from torch import nn

from interestlab.contract import Dynamics
from interestlab.testing import DynamicsTests, check_plugin, checks_for


class Leaky(Dynamics):
    """An average that leaks, and satisfies the contract.

    Args:
        dim: width.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim
        self.read = nn.Linear(dim, dim)
        self.raw = nn.Parameter(torch.zeros(dim))

    def init_state(self, batch_size):
        return {"z": self.raw.new_zeros(batch_size, self.dim)}

    def step(self, state, x, dt):
        keep = torch.sigmoid(self.raw) * torch.exp(-dt / 100).unsqueeze(-1)
        z = keep * state["z"] + (1 - keep) * self.read(x)
        return {"z": z}, z

    def readout(self, state):
        return state["z"]

    def forward(self, x, dt, mask):
        state, zs = Leaky.init_state(self, len(x)), []
        for t in range(x.shape[1]):
            state, z = Leaky.step(self, state, x[:, t], dt[:, t])
            zs.append(z)
        return torch.stack(zs, 1)


class TestLeaky(DynamicsTests):
    plugin = Leaky


class PeeksAhead(Leaky):
    def forward(self, x, dt, mask):
        return super().forward(x, dt, mask) + 0.1 * (x * mask.unsqueeze(-1)).sum(1, keepdim=True)


class PeeksAtTheNextElapsedTime(Leaky):
    def forward(self, x, dt, mask):
        return super().forward(x, dt, mask) + torch.cat([dt[:, 1:] * mask[:, 1:], 0 * dt[:, :1]], 1).unsqueeze(-1)


class StepDiffers(Leaky):
    def step(self, state, x, dt):
        return super().step(state, 1.01 * x, dt)


class StepDiffersAfterALongTime(Leaky):
    def step(self, state, x, dt):
        return super().step(state, x * (1 + (dt > 5e3).unsqueeze(-1)), dt)


class CountsThePadding(Leaky):
    def forward(self, x, dt, mask):
        return super().forward(x, dt, mask) * (~mask).float().mean(1)[:, None, None].add(1)


class ReadsThePadding(Leaky):
    def forward(self, x, dt, mask):
        return super().forward(x, dt, mask) + (x * ~mask.unsqueeze(-1)).sum(1, keepdim=True)


class MixesRows(Leaky):
    def forward(self, x, dt, mask):
        z = super().forward(x, dt, mask)
        return z + 0.1 * z[:, :1].mean(0)


class TransposedState(Leaky):
    def init_state(self, batch_size):
        return {"z": super().init_state(batch_size)["z"].T}

    def step(self, state, x, dt):
        state, z = super().step({"z": state["z"].T}, x, dt)
        return {"z": state["z"].T}, z

    def readout(self, state):
        return state["z"].T


class StateWithAFixedDtype(Leaky):
    def init_state(self, batch_size):
        return {"z": torch.zeros(batch_size, self.dim)}


class StateWithAnInteger(Leaky):
    def init_state(self, batch_size):
        return super().init_state(batch_size) | {"events": 0}

    def step(self, state, x, dt):
        after, z = super().step(state, x, dt)
        return after | {"events": state["events"] + 1}, z


class AdvancesInZeroTime(Leaky):
    def advance(self, state, dt):
        return {"z": 0.9 * state["z"]}


class StepsInPlace(Leaky):
    def step(self, state, x, dt):
        state["z"].copy_(super().step(state, x, dt)[1])
        return {"z": state["z"].clone()}, state["z"].clone()


class AdvancesInPlace(Leaky):
    def advance(self, state, dt):
        state["z"].mul_(torch.exp(-dt).unsqueeze(-1))
        return {"z": state["z"].clone()}


class AdvancesToAnotherType(Leaky):
    def advance(self, state, dt):
        return state["z"]

    def readout(self, state):
        return state["z"] if isinstance(state, dict) else state


class ReadoutDiffers(Leaky):
    def readout(self, state):
        return 2 * state["z"]


class Overflows(Leaky):
    def forward(self, x, dt, mask):
        return super().forward(x, dt, mask) * torch.exp(torch.arange(x.shape[1]) / 2).unsqueeze(-1)

    def step(self, state, x, dt):
        after, z = super().step(state, x, dt)
        return after | {"scale": state["scale"] * torch.exp(torch.tensor(0.5))}, state["scale"] * z

    def readout(self, state):
        return state["scale"] * torch.exp(torch.tensor(-0.5)) * state["z"]

    def init_state(self, batch_size):
        return super().init_state(batch_size) | {"scale": self.raw.new_ones(batch_size, 1)}


class IgnoresTheEvents(Leaky):
    def forward(self, x, dt, mask):
        return super().forward(torch.zeros_like(x), dt, mask)

    def step(self, state, x, dt):
        return super().step(state, torch.zeros_like(x), dt)


class NothingToTrain(Leaky):
    def __init__(self, dim: int):
        super().__init__(dim)
        self.requires_grad_(False)


class WrongWidth(Leaky):
    def __init__(self, dim: int):
        super().__init__(dim)
        self.dim = 2 * dim


CAUGHT = {
    PeeksAhead: {"causality", "step"},
    PeeksAtTheNextElapsedTime: {"causality", "step"},
    StepDiffers: {"step"},
    StepDiffersAfterALongTime: {"step"},
    CountsThePadding: {"padding"},
    ReadsThePadding: {"padding"},
    MixesRows: {"row_independence", "step", "padding"},
    TransposedState: {"state", "state_selection"},
    StateWithAFixedDtype: {"state"},
    StateWithAnInteger: {"state", "advance"},
    AdvancesInZeroTime: {"advance"},
    AdvancesToAnotherType: {"advance"},
    StepsInPlace: {"state", "state_selection"},
    AdvancesInPlace: {"advance"},
    ReadoutDiffers: {"readout"},
    Overflows: {"extreme_inputs"},
    IgnoresTheEvents: {"effect"},
    NothingToTrain: {"trainable"},
}


@pytest.mark.parametrize("plugin", CAUGHT)
def test_caught_by_the_right_checks(plugin):
    outcomes = check_plugin(plugin)
    assert {outcome.check for outcome in outcomes if outcome.status == "failed"} == CAUGHT[plugin], outcomes


def test_a_wrong_width_is_caught():
    assert "dim" in {outcome.check for outcome in check_plugin(WrongWidth) if outcome.status == "failed"}


def test_every_check_can_fail():
    own = {name for name, check in checks_for(Dynamics).items() if check.__qualname__.startswith("DynamicsChecks.")}
    assert own <= set.union(*CAUGHT.values())
