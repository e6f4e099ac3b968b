import math
from typing import ClassVar

import pytest
import torch
from torch.nn import functional as F

from interestlab.testing import DynamicsTests
from interestlab_dynamics.mamba import Mamba, SelectiveSSM


class TestMamba(DynamicsTests):
    plugin = Mamba


class TestMambaTwoLayersWithoutTime(DynamicsTests):
    plugin = Mamba
    init_args: ClassVar = {"layers": 2, "time": False, "state": 4, "conv": 1, "expand": 1}


def reference(ssm, x, dt):
    """Compute the layer in plain Python loops over events, channels and states."""
    events, (rank, size, _), channels, lag = len(x), ssm.sizes, len(ssm.skip), ssm.conv.kernel_size[0] - 1
    projected = x @ ssm.in_proj.weight.T
    u = torch.zeros(events, channels).double()
    for t in range(events):
        for e in range(channels):
            total = ssm.conv.bias[e]
            for k in range(lag + 1):
                if t - lag + k >= 0:
                    total = total + ssm.conv.weight[e, 0, k] * projected[t - lag + k, e]
            u[t, e] = total * torch.sigmoid(total)
    out = []
    h = [[0.0] * size for _ in range(channels)]
    for t in range(events):
        coefficients = ssm.x_proj.weight @ u[t]
        low, b, c = coefficients[:rank], coefficients[rank : rank + size], coefficients[rank + size :]
        y = torch.zeros(channels).double()
        for e in range(channels):
            raw = ssm.dt_proj.weight[e] @ low + ssm.dt_proj.bias[e] + ssm.time_weight[e] * math.log(1 + dt[t])
            step = math.log(1 + math.exp(raw))
            for n in range(size):
                h[e][n] = math.exp(-step * math.exp(ssm.a_log[e, n])) * h[e][n] + step * b[n].item() * u[t, e].item()
                y[e] += c[n] * h[e][n]
            gate = projected[t, channels + e]
            y[e] = (y[e] + ssm.skip[e] * u[t, e]) * gate * torch.sigmoid(gate)
        out.append(ssm.out_proj.weight @ y)
    return torch.stack(out)


@pytest.fixture
def ssm():
    torch.manual_seed(0)
    ssm = SelectiveSSM(4, 6, 3, 4, time=True).double()
    with torch.no_grad():
        ssm.time_weight.normal_()
        ssm.skip.normal_()
        ssm.dt_proj.bias.add_(2)
    return ssm


@torch.no_grad()
def test_layer_equals_a_reference(ssm):
    x, dt = torch.randn(7, 4).double(), torch.rand(7).double() * 100
    zeros = torch.zeros(1, 6, 3).double()
    _, memory, y = ssm(zeros, zeros, x[None], torch.log1p(dt)[None, :, None])
    torch.testing.assert_close(y[0], reference(ssm, x, dt.tolist()))
    assert memory.shape == (1, 6, 3)


@torch.no_grad()
def test_one_channel_computed_by_hand():
    """Δ = softplus(0) = ln 2, A = −1, B = C = u: the memory halves, and ln 2 u² is added."""
    ssm = SelectiveSSM(1, 1, 1, 1, time=False)
    for weight, value in [(ssm.in_proj.weight, 1.0), (ssm.conv.weight, 1.0), (ssm.conv.bias, 0.0), (ssm.out_proj.weight, 1.0)]:
        weight.fill_(value)
    ssm.x_proj.weight.copy_(torch.tensor([[0.0], [1.0], [1.0]]))
    ssm.dt_proj.weight.zero_()
    ssm.dt_proj.bias.zero_()
    x = torch.tensor([1.0, 2.0])
    u = F.silu(x)
    h1 = math.log(2) * u[0] ** 2
    h2 = h1 / 2 + math.log(2) * u[1] ** 2
    expected = (u * torch.stack([h1, h2]) + u) * F.silu(x)
    _, memory, y = ssm(torch.zeros(1, 1, 0), torch.zeros(1, 1, 1), x.reshape(1, 2, 1), torch.zeros(1, 2, 1))
    torch.testing.assert_close(y.flatten(), expected)
    torch.testing.assert_close(memory.flatten(), h2[None])


@torch.no_grad()
def test_more_elapsed_time_decays_the_memory_more():
    ssm = SelectiveSSM(4, 6, 3, 1, time=True)
    ssm.time_weight.fill_(1.0)
    ssm.conv.bias.zero_()  # an event of zeros then adds nothing to the memory
    memories = [
        ssm(torch.zeros(1, 6, 0), torch.ones(1, 6, 3), torch.zeros(1, 1, 4), torch.log1p(torch.full((1, 1, 1), days)))[1]
        for days in (0.0, 1.0, 30.0, 1e4)
    ]
    for after, before in zip(memories[1:], memories[:-1], strict=True):
        assert (after < before).all()


def test_initial_weights():
    torch.manual_seed(0)
    ssm = SelectiveSSM(64, 128, 16, 4, time=True)
    steps = F.softplus(ssm.dt_proj.bias)
    assert 0.001 <= steps.min() < 0.002
    assert 0.05 < steps.max() <= 0.1 + 1e-6
    torch.testing.assert_close(ssm.a_log.exp()[7], torch.arange(1.0, 17))
    dynamics, x, mask = Mamba(8).eval(), torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    assert torch.equal(dynamics(x, torch.rand(1, 5), mask), dynamics(x, torch.zeros(1, 5), mask))


def test_window_contains_the_latest_inputs():
    torch.manual_seed(0)
    dynamics = Mamba(4, conv=3).eval()
    state = dynamics.init_state(2)
    inputs = []
    for _ in range(4):
        x = torch.randn(2, 4)
        inputs.append(dynamics.blocks[0].ssm.in_proj(dynamics.norm(x))[:, :8])
        state, _ = dynamics.step(state, x, torch.zeros(2))
    torch.testing.assert_close(state.windows[0], torch.stack(inputs[-2:], 2))


@pytest.mark.parametrize("argument", ["layers", "state", "conv", "expand"])
def test_arguments_out_of_range(argument):
    with pytest.raises(ValueError, match=rf"{argument} \(0\).* must be positive"):
        Mamba(4, **{argument: 0})
