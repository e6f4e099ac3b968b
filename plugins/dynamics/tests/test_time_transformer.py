import math
from typing import ClassVar

import pytest
import torch
from torch.nn import functional as F

from interestlab.testing import DynamicsTests
from interestlab_dynamics.time_transformer import TimeTransformer, to_seconds

KINDS = ("hstu", "rotary", "interval")
DAY = 86_400


class TestHSTU(DynamicsTests):
    plugin = TimeTransformer


class TestRotary(DynamicsTests):
    plugin = TimeTransformer
    init_args: ClassVar = {"kind": "rotary"}


class TestInterval(DynamicsTests):
    plugin = TimeTransformer
    init_args: ClassVar = {"kind": "interval"}


class TestRotaryWithOnePair(DynamicsTests):
    """A head with a single pair, which encodes time; none is left for the position."""

    plugin = TimeTransformer
    init_args: ClassVar = {"kind": "rotary", "layers": 1, "heads": 8}


class TestIntervalShortMaxLength(DynamicsTests):
    """Histories longer than ``max_length`` and than ``span``."""

    plugin = TimeTransformer
    init_args: ClassVar = {"kind": "interval", "layers": 1, "max_length": 3, "span": 2, "unit": 0.5, "expansion": 1}


class TestHSTUShortMaxLength(DynamicsTests):
    plugin = TimeTransformer
    init_args: ClassVar = {"layers": 1, "max_length": 3, "heads": 4}


def history(events=6, dim=8, users=2):
    dt = torch.rand(users, events, dtype=torch.float64).pow(4) * 300
    dt[:, 0] = 0
    return torch.randn(users, events, dim, dtype=torch.float64), dt, torch.ones(users, events, dtype=torch.bool)


def make_block(kind, **arguments):
    """Build a block with two heads of four channels and random weights, in float64."""
    torch.manual_seed(0)
    block = TimeTransformer(8, kind=kind, layers=1, **arguments).double().eval().blocks[0]
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_(std=0.5)
    return block


def reference_block(block, h, attend):
    """Compute a block from ``attend(q, k, v, i, head)``, the attention output of event ``i`` in one head."""
    heads = block.query_key_value(block.attention_norm(h)).view(len(h), 3, 2, 4)
    attended = torch.stack([torch.cat([attend(*heads[:, :, n].unbind(1), i, n) for n in range(2)]) for i in range(len(h))])
    h = h + block.attention_out(attended)
    return h + block.feed_forward(h)


@pytest.fixture
def case():
    torch.manual_seed(1)
    x, dt, _ = history(users=1)
    times = (dt * DAY).round().long().cumsum(1)
    return x, times


def test_hstu_equals_its_equation(case):
    x, times = case
    block = make_block("hstu", max_length=4)
    out, _ = block(x, block.encode_times(times, 6))
    h, t = x[0], times[0].tolist()
    u, v, q, k = F.silu(block.gate_value_query_key(block.norm(h))).view(6, 4, 2, 4).unbind(1)
    attended = torch.zeros(6, 2, 4, dtype=torch.float64)
    for i in range(6):
        for j in range(i + 1):
            # The bucket of the public code.
            bucket = int(math.log(max(1, t[i] - t[j])) / 0.301)
            bias = block.order_bias.weight[min(i - j, 3)] + block.time_bias.weight[bucket]
            for head in range(2):
                attended[i, head] += F.silu(q[i, head] @ k[j, head] + bias) * v[j, head] / (i + 1)
    expected = h + block.out(block.attended_norm(attended.flatten(1)) * u.flatten(1))
    torch.testing.assert_close(out[0], expected)


def test_rotary_equals_its_equation(case):
    x, times = case
    block = make_block("rotary")
    out, _ = block(x, block.encode_times(times, 6))
    assert block.periods.item() == pytest.approx(2 * math.pi * 3600, abs=1)
    turns = times[0].double() / block.periods

    def attend(q, k, v, i, head):
        # Two channel pairs as complex numbers: the first is rotated by position, the second by time.
        query, key = (torch.view_as_complex(t.view(-1, 2, 2).contiguous()) for t in (q, k))
        angles = torch.stack([torch.arange(6) - i, 2 * math.pi * (turns - turns[i])], 1)
        scores = (query[i].conj() * key * torch.polar(torch.ones_like(angles), angles)).sum(1).real / 2
        return scores[: i + 1].softmax(0) @ v[: i + 1]

    torch.testing.assert_close(out[0], reference_block(block, x[0], attend))


def test_interval_equals_its_equation(case):
    x, times = case
    block = make_block("interval", max_length=4, span=5, unit=2.0)
    out, _ = block(x, block.encode_times(times, 6))

    def attend(q, k, v, i, head):
        channels = slice(4 * head, 4 * head + 4)
        keys, values = [], []
        for j in range(i + 1):
            interval = min(int((times[0, i] - times[0, j]) // (2 * DAY)), 5)
            keys.append(k[j] + (block.position_keys.weight[min(j, 3)] + block.interval_keys.weight[interval])[channels])
            values.append(v[j] + (block.position_values.weight[min(j, 3)] + block.interval_values.weight[interval])[channels])
        return (torch.stack(keys) @ q[i] / 2).softmax(0) @ torch.stack(values)

    torch.testing.assert_close(out[0], reference_block(block, x[0], attend))


@pytest.mark.parametrize("kind", KINDS)
def test_elapsed_time_affects_the_next_event(kind):
    torch.manual_seed(0)
    dynamics = TimeTransformer(8, kind=kind).double().eval()
    for parameter in dynamics.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.3)
    x, dt, _ = history()
    state = dynamics.init_state(2)
    for t in range(5):
        state, _ = dynamics.step(state, x[:, t], dt[:, t])
    elapsed, zero = torch.tensor([3.0, 90.0]).double(), torch.zeros(2).double()
    _, expected = dynamics.step(state, x[:, 5], elapsed)
    _, advanced = dynamics.step(dynamics.advance(state, elapsed), x[:, 5], zero)
    torch.testing.assert_close(advanced, expected, rtol=0, atol=0)
    assert not torch.allclose(dynamics.step(state, x[:, 5], zero)[1], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_time_between_events_matters(kind):
    """Also in float32, after a hundred thousand days."""
    torch.manual_seed(0)
    dynamics = TimeTransformer(8, kind=kind).eval()
    x, dt, mask = history()
    x, dt, late = x.float(), dt.float(), dt.float().clone()
    late[:, 0] = 1e5
    torch.testing.assert_close(dynamics(x, late, mask), dynamics(x, dt, mask), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dynamics(x, dt.where(dt > 0, -5.0), mask), dynamics(x, dt, mask), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_state_size(kind):
    dynamics = TimeTransformer(8, kind=kind).eval()
    state = dynamics.init_state(3)
    for events in range(4):
        assert [tuple(key.shape) for key, _ in state.caches] == [(3, 2, events, 4)] * 2
        assert state.times.tolist() == [[DAY * t for t in range(1, events + 1)]] * 3
        state, _ = dynamics.step(state, torch.randn(3, 8), torch.ones(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 10, "heads": 4}, "dim 10 is not divisible by heads 4"),
        ({"dim": 6, "heads": 2, "kind": "rotary"}, "even number of channels per head"),
        ({"dim": 8, "layers": 0}, "must be positive"),
        ({"dim": 8, "span": 0}, "must be positive"),
        ({"dim": 8, "unit": float("nan")}, "must be positive"),
        ({"dim": 8, "kind": "sasrec"}, "kind is 'sasrec'"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        TimeTransformer(**arguments)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_to_seconds_in_half_precision(half):
    days = torch.tensor([1.5, 200.0, -3.0])
    assert to_seconds(days.to(half)).tolist() == to_seconds(days).tolist() == [DAY * 3 // 2, 200 * DAY, 0]
    assert to_seconds(torch.tensor([1e5 + 1 / DAY], dtype=torch.float64)).tolist() == [int(1e5) * DAY + 1]


def test_rotary_angles_in_half_precision():
    block, times = TimeTransformer(8, kind="rotary").blocks[0], torch.arange(400)[None]
    angles = block.encode_times(times, 400)
    torch.testing.assert_close(block.bfloat16().encode_times(times, 400), angles, rtol=0, atol=1e-3)
