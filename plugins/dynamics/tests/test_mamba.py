import math
from typing import ClassVar

import pytest
import torch
from torch.nn import functional as F

from interestlab.testing import DynamicsTests
from interestlab_dynamics.mamba import Mamba, SelectiveSSM


class TestMamba(DynamicsTests):
    plugin = Mamba


class TestMambaDeepWithoutTime(DynamicsTests):
    plugin = Mamba
    init_args: ClassVar = {"layers": 2, "time": False, "state": 4, "conv": 1, "expand": 1}


def naive(ssm, x, dt):
    """The layer in plain Python: event by event, channel by channel, number by number."""
    events, (rank, size, _), channels, behind = len(x), ssm.sizes, len(ssm.skip), ssm.conv.kernel_size[0] - 1
    both = x @ ssm.read.weight.T
    u = torch.zeros(events, channels).double()
    for t in range(events):
        for e in range(channels):
            total = ssm.conv.bias[e]
            for k in range(behind + 1):
                if t - behind + k >= 0:
                    total = total + ssm.conv.weight[e, 0, k] * both[t - behind + k, e]
            u[t, e] = total * torch.sigmoid(total)
    out = []
    h = [[0.0] * size for _ in range(channels)]
    for t in range(events):
        chosen = ssm.select.weight @ u[t]
        low, write, read = chosen[:rank], chosen[rank : rank + size], chosen[rank + size :]
        y = torch.zeros(channels).double()
        for e in range(channels):
            raw = ssm.step_size.weight[e] @ low + ssm.step_size.bias[e] + ssm.silence[e] * math.log(1 + dt[t])
            step = math.log(1 + math.exp(raw))
            for n in range(size):
                h[e][n] = math.exp(-step * math.exp(ssm.a_log[e, n])) * h[e][n] + step * write[n].item() * u[t, e].item()
                y[e] += read[n] * h[e][n]
            gate = both[t, channels + e]
            y[e] = (y[e] + ssm.skip[e] * u[t, e]) * gate * torch.sigmoid(gate)
        out.append(ssm.write.weight @ y)
    return torch.stack(out)


@pytest.fixture
def ssm():
    torch.manual_seed(0)
    ssm = SelectiveSSM(4, 6, 3, 4, time=True).double()
    with torch.no_grad():
        ssm.silence.normal_()
        ssm.skip.normal_()
        ssm.step_size.bias.add_(2)
    return ssm


@torch.no_grad()
def test_is_a_naive_loop(ssm):
    x, dt = torch.randn(7, 4).double(), torch.rand(7).double() * 100
    zeros = torch.zeros(1, 6, 3).double()
    _, memory, y = ssm(zeros, zeros, x[None], torch.log1p(dt)[None, :, None])
    torch.testing.assert_close(y[0], naive(ssm, x, dt.tolist()))
    assert memory.shape == (1, 6, 3)


@torch.no_grad()
def test_one_channel_by_hand():
    """Δ = softplus(0) = ln 2, A = −1, B = C = u: the memory halves, and takes ln 2 u² in."""
    ssm = SelectiveSSM(1, 1, 1, 1, time=False)
    for weight, value in [(ssm.read.weight, 1.0), (ssm.conv.weight, 1.0), (ssm.conv.bias, 0.0), (ssm.write.weight, 1.0)]:
        weight.fill_(value)
    ssm.select.weight.copy_(torch.tensor([[0.0], [1.0], [1.0]]))
    ssm.step_size.weight.zero_()
    ssm.step_size.bias.zero_()
    x = torch.tensor([1.0, 2.0])
    u = F.silu(x)
    h1 = math.log(2) * u[0] ** 2
    h2 = h1 / 2 + math.log(2) * u[1] ** 2
    expected = (u * torch.stack([h1, h2]) + u) * F.silu(x)
    _, memory, y = ssm(torch.zeros(1, 1, 0), torch.zeros(1, 1, 1), x.reshape(1, 2, 1), torch.zeros(1, 2, 1))
    torch.testing.assert_close(y.flatten(), expected)
    torch.testing.assert_close(memory.flatten(), h2[None])


@torch.no_grad()
def test_a_longer_silence_forgets_more():
    ssm = SelectiveSSM(4, 6, 3, 1, time=True)
    ssm.silence.fill_(1.0)
    ssm.conv.bias.zero_()  # so that an event of zeros adds nothing to the memory
    left = [
        ssm(torch.zeros(1, 6, 0), torch.ones(1, 6, 3), torch.zeros(1, 1, 4), torch.log1p(torch.full((1, 1, 1), days)))[1]
        for days in (0.0, 1.0, 30.0, 1e4)
    ]
    for after, before in zip(left[1:], left[:-1], strict=True):
        assert (after < before).all()


def test_starts_as_mamba():
    torch.manual_seed(0)
    ssm = SelectiveSSM(64, 128, 16, 4, time=True)
    steps = F.softplus(ssm.step_size.bias)
    assert 0.001 <= steps.min() < 0.002
    assert 0.05 < steps.max() <= 0.1 + 1e-6
    torch.testing.assert_close(ssm.a_log.exp()[7], torch.arange(1.0, 17))
    dynamics, x, mask = Mamba(8).eval(), torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    assert torch.equal(dynamics(x, torch.rand(1, 5), mask), dynamics(x, torch.zeros(1, 5), mask))


def test_the_window_holds_the_last_inputs():
    torch.manual_seed(0)
    dynamics = Mamba(4, conv=3).eval()
    state = dynamics.init_state(2)
    seen = []
    for _ in range(4):
        x = torch.randn(2, 4)
        seen.append(dynamics.blocks[0].ssm.read(dynamics.norm(x))[:, :8])
        state, _ = dynamics.step(state, x, torch.zeros(2))
    torch.testing.assert_close(state.windows[0], torch.stack(seen[-2:], 2))


@pytest.mark.parametrize("argument", ["layers", "state", "conv", "expand"])
def test_arguments_out_of_range(argument):
    with pytest.raises(ValueError, match=rf"{argument} \(0\).* must be positive"):
        Mamba(4, **{argument: 0})
