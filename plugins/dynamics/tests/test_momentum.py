from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.testing import DynamicsTests
from interestlab_dynamics.momentum import Momentum


class TestMomentum(DynamicsTests):
    plugin = Momentum


class TestMomentumWithoutTime(DynamicsTests):
    plugin = Momentum
    init_args: ClassVar = {"time_constant": None, "alpha": -0.3, "beta": 1.2}


class TestMomentumShortMemory(DynamicsTests):
    plugin = Momentum
    init_args: ClassVar = {"time_constant": 1e-3}


def run(dynamics, x, dt=None):
    """Return ``z`` after each event of one user in one channel."""
    x = torch.tensor(x).reshape(1, -1, 1)
    dt = torch.zeros(x.shape[:2]) if dt is None else torch.tensor([dt])
    with torch.no_grad():
        return dynamics(x, dt, torch.ones_like(dt, dtype=torch.bool)).flatten()


def test_values_computed_by_hand():
    # z2 = 1 + .5(2 − 1) = 1.5; z3 = 1.5 + .5(1.5 − 1) + .5(4 − 1.5) = 3; z4 = 3 + .5(3 − 1.5) + .5(0 − 3) = 2.25
    z = run(Momentum(1, alpha=0.5, beta=0.5, time_constant=None), [1.0, 2.0, 4.0, 0.0])
    torch.testing.assert_close(z, torch.tensor([1.0, 1.5, 3.0, 2.25]))


def test_values_with_time_computed_by_hand():
    # After ln 2 · τ days half of the memory remains: α = .25, β = .75. z2 = 1 + .75(2 − 1) = 1.75;
    # then at once (α = β = .5): z3 = 1.75 + .5(1.75 − 1) + .5(0 − 1.75) = 1.25
    half_life = 10.0 * torch.tensor(2.0).log().item()
    z = run(Momentum(1, alpha=0.5, beta=0.5, time_constant=10.0), [1.0, 2.0, 0.0], [0.0, half_life, 0.0])
    torch.testing.assert_close(z, torch.tensor([1.0, 1.75, 1.25]))


def test_forward_equals_the_expanded_equation():
    torch.manual_seed(0)
    dynamics, x = Momentum(5, alpha=0.3, beta=0.9, time_constant=None).double(), torch.randn(3, 20, 5).double()
    alpha, beta = dynamics.gains()
    dynamics.in_proj.weight.data.normal_()
    g = dynamics.in_proj(x)
    z = [g[:, 0], g[:, 0]]
    for t in range(1, 20):
        z.append((1 + alpha - beta) * z[-1] - alpha * z[-2] + beta * g[:, t])
    out = dynamics(x, torch.zeros(3, 20).double(), torch.ones(3, 20, dtype=torch.bool))
    torch.testing.assert_close(out, torch.stack(z[1:], 1))


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.5), (0.0, 0.3), (-0.9, 0.1), (0.9, 3.7)])
def test_initial_gains(alpha, beta):
    gains = Momentum(3, alpha=alpha, beta=beta).gains()
    for value, expected in zip(gains, (alpha, beta), strict=True):
        torch.testing.assert_close(value, torch.full((3,), expected))


def test_step_equals_heavy_ball_descent():
    """The equation is Polyak's step on ½‖g − z‖², with autograd's own gradient."""
    alpha, beta, g = 0.4, 0.7, 3.0
    z, previous = torch.tensor(1.0, requires_grad=True), torch.tensor(0.25)
    (gradient,) = torch.autograd.grad((g - z).square() / 2, z)
    polyak = z - beta * gradient + alpha * (z - previous)
    dynamics = Momentum(1, alpha=alpha, beta=beta)
    state = dynamics.init_state(1)._replace(z=z.reshape(1, 1), previous=previous.reshape(1, 1), started=torch.tensor([True]))
    torch.testing.assert_close(dynamics.step(state, torch.tensor([[g]]), torch.zeros(1))[1].reshape(()), polyak)


def test_momentum_overshoots_a_jump_and_an_average_does_not():
    jump = [0.0, *[1.0] * 60]
    assert run(Momentum(1, alpha=0.8, time_constant=None), jump).max() > 1.1
    assert run(Momentum(1, alpha=0.0, time_constant=None), jump).max() <= 1
    assert run(Momentum(1, alpha=0.8, time_constant=None), jump)[-1] == pytest.approx(1, abs=1e-2)


def test_memory_fades_after_a_long_time():
    z = run(Momentum(1, time_constant=1.0), [5.0, -3.0, 7.0], [0.0, 0.0, 1e4])
    assert z[-1] == pytest.approx(7)


def test_negative_elapsed_time_counts_as_zero():
    dynamics = Momentum(1, time_constant=10.0)
    torch.testing.assert_close(run(dynamics, [1.0, 2.0], [0.0, -50.0]), run(dynamics, [1.0, 2.0], [0.0, 0.0]))


@pytest.mark.parametrize("days", [1e-6, 0.001, 1.0, 365.0, 1e5])
def test_time_constant_is_in_days(days):
    alpha, _ = Momentum(1, alpha=0.5, time_constant=days).gains_after(torch.tensor([days]))
    assert alpha.item() == pytest.approx(0.5 / torch.e, rel=1e-3)


raw = st.floats(width=32, allow_nan=False, allow_infinity=False)
days = st.one_of(st.floats(0, 1e6, width=32), st.floats(-1e6, 1e6, width=32))


@given(raw_alpha=raw, raw_beta=raw, raw_rate=raw, dt=days, timed=st.booleans())
@settings(max_examples=300, deadline=None)
def test_gains_are_stable_for_all_weights_and_times(raw_alpha, raw_beta, raw_rate, dt, timed):
    dynamics = Momentum(1, time_constant=365.0 if timed else None)
    with torch.no_grad():
        dynamics.raw_alpha.fill_(raw_alpha)
        dynamics.raw_beta.fill_(raw_beta)
        if timed:
            dynamics.raw_rate.fill_(raw_rate)
        alpha, beta = (gain.double().item() for gain in dynamics.gains_after(torch.tensor([dt])))
    assert abs(alpha) < 1
    assert 0 < beta < 2 * (1 + alpha)
    # r² − (1 + α − β) r + α = 0
    half, root = (1 + alpha - beta) / 2, complex((1 + alpha - beta) ** 2 / 4 - alpha) ** 0.5
    assert max(abs(half + root), abs(half - root)) < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.0}, "alpha is 1.0; it must be between -1 and 1"),
        ({"alpha": -1.5}, "alpha is -1.5"),
        ({"alpha": 0.9999}, "alpha"),
        ({"beta": 0.0}, "beta is 0"),
        ({"alpha": 0.5, "beta": 3.0}, r"beta is 3.0; its share of 2\(1 \+ alpha\) = 3"),
        ({"time_constant": 0.0}, "time_constant is 0.0 days; it must be positive"),
        ({"time_constant": float("nan")}, "time_constant is nan"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        Momentum(4, **arguments)


class TestMomentumWithNetwork(DynamicsTests):
    plugin = Momentum
    init_args: ClassVar = {"delta": "network"}


class TestMomentumWithNetworkWithoutTime(DynamicsTests):
    plugin = Momentum
    init_args: ClassVar = {"delta": "network", "time_constant": None}


def with_network(dim=4, std=1.0):
    torch.manual_seed(0)
    dynamics = Momentum(dim, delta="network")
    for parameter in dynamics.correction.parameters():
        parameter.data.normal_(std=std)
    return dynamics


def test_network_only_adds_parameters():
    names = {"in_proj.weight", "raw_rate", "raw_alpha", "raw_beta"}
    assert Momentum(4).state_dict().keys() == names
    assert {n for n in Momentum(4, delta="network").state_dict() if not n.startswith("correction.")} == names


def test_initial_network_equals_the_evidence():
    torch.manual_seed(0)
    x, dt, mask = torch.randn(3, 20, 4), torch.rand(3, 20) * 100, torch.ones(3, 20, dtype=torch.bool)
    torch.testing.assert_close(Momentum(4, delta="network")(x, dt, mask), Momentum(4)(x, dt, mask))


def test_network_equals_its_equation():
    dynamics, x = with_network().double(), torch.randn(2, 6, 4).double()
    dt = torch.rand(2, 6).double() * 300
    net = dynamics.correction
    z = previous = x[:, 0]
    expected = []
    for t in range(6):
        s = x[:, t].square().mean(-1, keepdim=True).sqrt()
        a, b = x[:, t] / s, z / s
        correction = s * torch.tanh(net.last(torch.nn.functional.gelu(net.inner(torch.cat([a, b, a * b], -1)))))
        alpha, beta = dynamics.gains_after(dt[:, t])
        z, previous = z + alpha * (z - previous) + beta * (x[:, t] - z + correction), z
        expected.append(z)
    z = dynamics(x, dt, torch.ones(2, 6, dtype=torch.bool))
    torch.testing.assert_close(z, torch.stack(expected, 1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [0.0, 1e-3, 1e3])
def test_correction_is_bounded_and_scales_with_the_event(size):
    dynamics = with_network(std=100.0)
    x, z = torch.randn(50, 4), torch.randn(50, 4) * 10
    correction = dynamics.correction(size * x, size * z)
    assert correction.isfinite().all()
    assert (correction.abs() <= 1.0001 * size * x.square().mean(-1, keepdim=True).sqrt() + 2e-6).all()
    torch.testing.assert_close(correction, size * dynamics.correction(x, z), rtol=1e-3, atol=1e-3 * size + 2e-6)


def test_large_network_weights_stay_bounded_over_a_long_history():
    dynamics, x = with_network(std=100.0), torch.randn(2, 2000, 4)
    with torch.no_grad():
        z = dynamics(x, torch.zeros(2, 2000), torch.ones(2, 2000, dtype=torch.bool))
    assert z.abs().max() < 10 * x.abs().max()


def test_unknown_delta():
    with pytest.raises(ValueError, match="delta is 'both'"):
        Momentum(4, delta="both")


@pytest.mark.parametrize("event", [0.0, 1e-5, 1e3])
def test_correction_is_finite_in_half_precision(event):
    dynamics = with_network().half()
    event = torch.full((3, 4), event).half().requires_grad_()
    correction = dynamics.correction(event, torch.randn(3, 4).half())
    correction.float().sum().backward()
    assert correction.isfinite().all()
    assert event.grad.isfinite().all()


def test_error_names_alpha_at_the_limit():
    with pytest.raises(ValueError, match=r"alpha is 0.999; \(1 \+ alpha\) / 2 is 0.9995; it must be between"):
        Momentum(4, alpha=0.999)


@pytest.mark.parametrize("days", [0.0, float("inf"), float("nan")])
def test_time_constant_out_of_range(days):
    with pytest.raises(ValueError, match="it must be positive and finite, or None"):
        Momentum(4, time_constant=days)
