from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from interestlab.testing import DynamicsTests
from interestlab_dynamics.lru import LRU, LRUBlock


class TestLRU(DynamicsTests):
    plugin = LRU


class TestLRUFast(DynamicsTests):
    plugin = LRU
    init_args: ClassVar = {"layers": 1, "r_min": 0.01, "r_max": 0.1}


@torch.no_grad()
def recurrence(block, x):
    """The block of LRURec, in Python's complex numbers, one channel at a time."""
    b = torch.view_as_complex(block.read.weight.unflatten(0, (-1, 2)).transpose(1, 2).contiguous())
    bias = torch.view_as_complex(block.read.bias.unflatten(0, (-1, 2)))
    c = block.write.weight.unflatten(1, (-1, 2))
    out = torch.zeros_like(x)
    for n in range(len(b)):
        size = torch.exp(-torch.exp(block.nu_log[n]))
        angle = torch.exp(block.theta_log[n])
        decay = complex(size * torch.cos(angle), size * torch.sin(angle))
        h = 0j
        for t in range(len(x)):
            h = decay * h + block.gamma_log[n].exp().item() * ((b[n] * x[t]).sum() + bias[n]).item()
            # Re(C h) of the complex C whose conjugate has these parts.
            out[t] += c[:, n, 0] * h.real + c[:, n, 1] * h.imag
    return block.feed_forward(block.norm(x + out + block.write.bias))


def test_is_an_explicit_complex_loop():
    torch.manual_seed(0)
    block, x = LRUBlock(3, 0.0, 0.8, 0.99).double(), torch.randn(9, 3).double()
    _, out = block(torch.zeros(1, 6, 2).double(), x[None])
    torch.testing.assert_close(out[0], recurrence(block, x))


def test_an_impulse_rings_as_the_powers_of_the_eigenvalue():
    torch.manual_seed(0)
    block = LRUBlock(2, 0.0, 0.8, 0.99).double()
    torch.nn.init.zeros_(block.read.bias)
    memory = torch.zeros(1, 4, 2).double()
    impulse, silence = torch.tensor([[[1.0, 0.0]]]).double(), torch.zeros(1, 1, 2).double()
    first, _ = block(memory, impulse)
    after = torch.view_as_complex(first)
    memory = first
    for k in range(1, 20):
        memory, _ = block(memory, silence)
        torch.testing.assert_close(torch.view_as_complex(memory), block.eigenvalues() ** k * after)


def test_starts_on_the_ring_with_inputs_and_memories_of_one_size():
    torch.manual_seed(0)
    block = LRUBlock(200, 0.0, 0.5, 0.9)
    size = block.eigenvalues().abs()
    assert 0.5 < size.min() < 0.52
    assert 0.88 < size.max() < 0.9
    torch.testing.assert_close(block.gamma_log.exp(), (1 - size.square()).sqrt())


@given(nu=st.floats(-10, 50, width=32), theta=st.floats(-50, 5, width=32))
@settings(max_examples=50, deadline=None)
def test_stable_whatever_is_learnt(nu, theta):
    block = LRUBlock(1, 0.0, 0.8, 0.99)
    with torch.no_grad():
        block.nu_log.fill_(nu)
        block.theta_log.fill_(theta)
    assert block.eigenvalues().abs().max() < 1


def test_time_is_not_seen():
    torch.manual_seed(0)
    dynamics, x, mask = LRU(4).eval(), torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.bool)
    assert torch.equal(dynamics(x, torch.rand(2, 5), mask), dynamics(x, torch.zeros(2, 5), mask))


def test_blocks_follow_each_other():
    torch.manual_seed(0)
    dynamics, x = LRU(4, layers=2).eval(), torch.randn(1, 5, 4)
    z = F.layer_norm(x, (4,))
    for block in dynamics.blocks:
        z = recurrence(block, z[0])[None]
    torch.testing.assert_close(dynamics(x, torch.zeros(1, 5), torch.ones(1, 5, dtype=torch.bool)), z, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 0}, "layers is 0"),
        ({"r_min": 0.0}, r"r_min \(0.0\)"),
        ({"r_max": 1.0}, r"r_max \(1.0\)"),
        ({"r_max": 1 - 1e-9}, "between 0 and 1 − 1e-06"),
        ({"r_min": 0.9, "r_max": 0.8}, "in this order"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        LRU(4, **arguments)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_a_module_of_halves_is_near_the_whole(half):
    """As Lightning's precisions bf16-true and 16-true make it; complex halves are not to be had."""
    torch.manual_seed(0)
    dynamics, x = LRU(8).to(half).eval(), torch.randn(2, 6, 8).to(half)
    dt, mask = torch.zeros(2, 6), torch.ones(2, 6, dtype=torch.bool)
    z, state = dynamics(x, dt, mask), dynamics.init_state(2)
    for t in range(6):
        state, last = dynamics.step(state, x[:, t], dt[:, t])
    assert z.dtype == last.dtype == half
    torch.testing.assert_close(last, z[:, -1], rtol=0.05, atol=0.05)
    torch.testing.assert_close(z.float(), dynamics.float()(x.float(), dt, mask), rtol=0.05, atol=0.05)
