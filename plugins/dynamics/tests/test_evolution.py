from typing import ClassVar

import pytest
import torch
from torch import nn

from interestlab.testing import DynamicsTests
from interestlab_dynamics.evolution import Evolution


class TestEvolution(DynamicsTests):
    plugin = Evolution


class TestEvolutionWithoutTime(DynamicsTests):
    plugin = Evolution
    init_args: ClassVar = {"time": False}


@torch.no_grad()
def test_forward_equals_the_equations():
    torch.manual_seed(0)
    dynamics = Evolution(4).double().eval()
    x, dt = torch.randn(6, 4).double(), torch.rand(6).double() * 100
    extractor = nn.GRUCell(5, 4).double()
    for name, parameter in extractor.named_parameters():
        parameter.copy_(dynamics.extractor.get_parameter(f"{name}_l0"))
    w_r, w_u, w_n = dynamics.inputs.weight.chunk(3)
    b_r, b_u, b_n = dynamics.inputs.bias.chunk(3)
    u_r, u_u, u_n = dynamics.recurrent.weight.chunk(3)
    interest, h, expected = torch.zeros(1, 4).double(), torch.zeros(4).double(), []
    for t in range(6):
        interest = extractor(torch.cat([x[t], torch.log(1 + dt[t : t + 1])])[None], interest)
        i = interest[0]
        a = torch.sigmoid((dynamics.key.weight @ i + dynamics.key.bias) @ h / 2)
        r = torch.sigmoid(w_r @ i + u_r @ h + b_r)
        u = a * torch.sigmoid(w_u @ i + u_u @ h + b_u)
        n = torch.tanh(w_n @ i + r * (u_n @ h) + b_n)
        h = (1 - u) * h + u * n
        expected.append(dynamics.out.weight @ h + dynamics.out.bias)
    z = dynamics(x[None], dt[None], torch.ones(1, 6, dtype=torch.bool))
    torch.testing.assert_close(z[0], torch.stack(expected))


@torch.no_grad()
def test_attention_scales_the_update():
    """With attention 0 the interest does not change; with attention 1 it changes as in a plain GRU."""
    torch.manual_seed(0)
    dynamics = Evolution(4)
    h, gate = torch.rand(1, 4) - 0.5, torch.randn(1, 12)
    key = h / h.square().sum()  # key·h = 1
    torch.testing.assert_close(dynamics.evolve(h, -100 * key, gate), h)
    cell = nn.GRUCell(4, 4)
    nn.init.zeros_(cell.bias_hh)
    # The update gate of torch keeps the state, that of DIEN replaces it: the same gate with the opposite sign.
    sign = torch.tensor([1.0, -1.0, 1.0]).repeat_interleave(4)
    cell.weight_hh.copy_(dynamics.recurrent.weight * sign[:, None])
    nn.init.zeros_(cell.weight_ih)
    cell.bias_ih.copy_(gate[0] * sign)
    torch.testing.assert_close(dynamics.evolve(h, 100 * key, gate), cell(torch.zeros(1, 4), h))


@pytest.mark.parametrize("time", [True, False])
def test_time_option(time):
    torch.manual_seed(0)
    dynamics, x, mask = Evolution(4, time=time).eval(), torch.randn(1, 3, 4), torch.ones(1, 3, dtype=torch.bool)
    zs = [dynamics(x, torch.tensor([[0.0, days, 0.0]]), mask) for days in (-5.0, 0.0, 9.0)]
    torch.testing.assert_close(zs[0], zs[1])  # negative elapsed time counts as zero
    assert torch.equal(zs[1], zs[2]) is not time
