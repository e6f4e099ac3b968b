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


class TestLRUShortMemory(DynamicsTests):
    plugin = LRU
    init_args: ClassVar = {"layers": 1, "r_min": 0.01, "r_max": 0.1}


@torch.no_grad()
def recurrence(block, x):
    """Compute a block of LRURec with Python's complex numbers, channel by channel."""
    b = torch.view_as_complex(block.in_proj.weight.unflatten(0, (-1, 2)).transpose(1, 2).contiguous())
    bias = torch.view_as_complex(block.in_proj.bias.unflatten(0, (-1, 2)))
    c = block.out_proj.weight.unflatten(1, (-1, 2))
    out = torch.zeros_like(x)
    for n in range(len(b)):
        radius = torch.exp(-torch.exp(block.nu_log[n]))
        angle = torch.exp(block.theta_log[n])
        decay = complex(radius * torch.cos(angle), radius * torch.sin(angle))
        h = 0j
        for t in range(len(x)):
            h = decay * h + block.gamma_log[n].exp().item() * ((b[n] * x[t]).sum() + bias[n]).item()
            # Re(C h) for the complex C whose conjugate has these parts.
            out[t] += c[:, n, 0] * h.real + c[:, n, 1] * h.imag
    return block.feed_forward(block.norm(x + out + block.out_proj.bias))


def test_block_equals_a_complex_loop():
    torch.manual_seed(0)
    block, x = LRUBlock(3, 0.0, 0.8, 0.99).double(), torch.randn(9, 3).double()
    _, out = block(torch.zeros(1, 6, 2).double(), x[None])
    torch.testing.assert_close(out[0], recurrence(block, x))


def test_impulse_response_is_a_power_of_the_eigenvalue():
    torch.manual_seed(0)
    block = LRUBlock(2, 0.0, 0.8, 0.99).double()
    torch.nn.init.zeros_(block.in_proj.bias)
    memory = torch.zeros(1, 4, 2).double()
    impulse, zero = torch.tensor([[[1.0, 0.0]]]).double(), torch.zeros(1, 1, 2).double()
    memory, _ = block(memory, impulse)
    first = torch.view_as_complex(memory)
    for k in range(1, 20):
        memory, _ = block(memory, zero)
        torch.testing.assert_close(torch.view_as_complex(memory), block.eigenvalues() ** k * first)


def test_initial_eigenvalues_and_input_scale():
    torch.manual_seed(0)
    block = LRUBlock(200, 0.0, 0.5, 0.9)
    radius = block.eigenvalues().abs()
    assert 0.5 < radius.min() < 0.52
    assert 0.88 < radius.max() < 0.9
    torch.testing.assert_close(block.gamma_log.exp(), (1 - radius.square()).sqrt())


@given(nu=st.floats(-10, 50, width=32), theta=st.floats(-50, 5, width=32))
@settings(deadline=None)
def test_stable_for_all_weights(nu, theta):
    block = LRUBlock(1, 0.0, 0.8, 0.99)
    with torch.no_grad():
        block.nu_log.fill_(nu)
        block.theta_log.fill_(theta)
    assert block.eigenvalues().abs().max() < 1


def test_time_has_no_effect():
    torch.manual_seed(0)
    dynamics, x, mask = LRU(4).eval(), torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.bool)
    assert torch.equal(dynamics(x, torch.rand(2, 5), mask), dynamics(x, torch.zeros(2, 5), mask))


def test_blocks_are_applied_in_order():
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
        ({"r_min": 0.9, "r_max": 0.8}, "must be smaller than r_max"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        LRU(4, **arguments)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_to_single_precision(half):
    """Lightning's precisions bf16-true and 16-true; torch has no complex half precision for the recurrence."""
    torch.manual_seed(0)
    dynamics, x = LRU(8).to(half).eval(), torch.randn(2, 6, 8).to(half)
    dt, mask = torch.zeros(2, 6), torch.ones(2, 6, dtype=torch.bool)
    z, state = dynamics(x, dt, mask), dynamics.init_state(2)
    for t in range(6):
        state, last = dynamics.step(state, x[:, t], dt[:, t])
    assert z.dtype == last.dtype == half
    torch.testing.assert_close(last, z[:, -1], rtol=0.05, atol=0.05)
    torch.testing.assert_close(z.float(), dynamics.float()(x.float(), dt, mask), rtol=0.05, atol=0.05)
