import math
from typing import ClassVar

import pytest
import torch

from interestlab.testing import DynamicsTests
from interestlab_dynamics.ode import ODE


class TestODE(DynamicsTests):
    plugin = ODE


class TestODEEuler(DynamicsTests):
    plugin = ODE
    init_args: ClassVar = {"solver": "euler", "steps": 3, "time_constant": 20.0}


class TestODERungeKutta(DynamicsTests):
    plugin = ODE
    init_args: ClassVar = {"solver": "rk4", "steps": 2}


def perturbed(**arguments):
    """Build an ODE in double precision with perturbed weights."""
    torch.manual_seed(0)
    dynamics = ODE(5, **arguments).double().eval()
    with torch.no_grad():
        for parameter in dynamics.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.5)
    return dynamics


def days(value, rows=3):
    return torch.full((rows,), value).double()


@torch.no_grad()
def reference_advance(dynamics, h, days, steps):
    """Integrate the equation with the midpoint rule."""
    rate = torch.exp(dynamics.log_rate)

    def slope(h):
        m = dynamics.rest_state if dynamics.network is None else dynamics.rest_state + dynamics.network(h)
        return rate * (m - h)

    size = days / steps
    for _ in range(steps):
        h = h + size * slope(h + size / 2 * slope(h))
    return h


def test_half_of_the_distance_remains_after_a_half_life():
    dynamics = ODE(2, time_constant=10.0)
    with torch.no_grad():
        dynamics.rest_state.copy_(torch.tensor([1.0, -1.0]))
    h = dynamics.advance(torch.tensor([[0.0, 3.0]]), torch.tensor([10 * math.log(2)]))
    torch.testing.assert_close(h, torch.tensor([[0.5, 1.0]]))


@pytest.mark.parametrize(
    ("arguments", "rtol"),
    [({}, 1e-6), ({"solver": "rk4", "steps": 20}, 1e-5), ({"solver": "euler", "steps": 400}, 1e-2)],
    ids=["linear", "rk4", "euler"],
)
@torch.no_grad()
def test_advance_equals_the_integral(arguments, rtol):
    dynamics = perturbed(time_constant=10.0, **arguments)
    h = torch.randn(3, 5).double()
    torch.testing.assert_close(
        dynamics.advance(h, days(15.0)), reference_advance(dynamics, h, 15.0, 1000), rtol=rtol, atol=rtol
    )


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("rk4", 4)])
@torch.no_grad()
def test_order_of_convergence(solver, order):
    h = torch.randn(3, 5, generator=torch.Generator().manual_seed(1)).double()
    solutions = {n: perturbed(solver=solver, steps=n, time_constant=10.0).advance(h, days(5.0)) for n in (8, 16, 256)}
    small, large = ((solutions[n] - solutions[256]).abs().max() for n in (16, 8))
    assert math.log2(large / small) == pytest.approx(order, abs=0.35)


@pytest.mark.parametrize("solver", ["linear", "euler", "rk4"])
@torch.no_grad()
def test_advance_then_step_equals_a_step_with_elapsed_time(solver):
    dynamics, x = perturbed(solver=solver), torch.randn(3, 5).double()
    state, _ = dynamics.step(dynamics.init_state(3), x, days(0.0))
    for span in (0.5, 40.0, 1e4):
        _, expected = dynamics.step(state, x, days(span))
        advanced = dynamics.advance(state, days(span))
        torch.testing.assert_close(dynamics.step(advanced, x, days(0.0))[1], expected, rtol=0, atol=0)
        torch.testing.assert_close(dynamics.readout(advanced), dynamics.out(advanced))


@torch.no_grad()
def test_linear_advance_is_additive():
    dynamics, h = perturbed(), torch.randn(3, 5).double()
    twice = dynamics.advance(dynamics.advance(h, days(200.0)), days(77.0))
    torch.testing.assert_close(twice, dynamics.advance(h, days(277.0)))


@pytest.mark.parametrize("solver", ["linear", "euler", "rk4"])
@torch.no_grad()
def test_rest_state_is_the_limit_and_the_initial_state(solver):
    dynamics = ODE(5, solver=solver, steps=12)
    dynamics.rest_state.normal_()
    rest = dynamics.rest_state.expand(3, -1)
    torch.testing.assert_close(dynamics.advance(torch.randn(3, 5), torch.full((3,), 1e7)), rest, rtol=0, atol=1e-4)
    torch.testing.assert_close(dynamics.advance(dynamics.init_state(3), torch.full((3,), 50.0)), rest)


@pytest.mark.parametrize("solver", ["euler", "rk4"])
@torch.no_grad()
def test_initial_solution_equals_the_linear_one(solver):
    h, span = torch.randn(3, 5), torch.full((3,), 300.0)
    torch.testing.assert_close(ODE(5, solver=solver, steps=500).advance(h, span), ODE(5).advance(h, span), rtol=2e-3, atol=2e-3)


@torch.no_grad()
def test_negative_elapsed_time_counts_as_zero():
    dynamics, h = perturbed(), torch.randn(3, 5).double()
    assert torch.equal(dynamics.advance(h, days(-9.0)), h)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"solver": "heun"}, "solver is 'heun'; it must be linear, euler or rk4"),
        ({"time_constant": 0.0}, "time_constant is 0.0 days; it must be positive"),
        ({"time_constant": math.nan}, "time_constant is nan"),
        ({"time_constant": math.inf}, "time_constant is inf"),
        ({"steps": 0}, "steps is 0"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        ODE(4, **arguments)
