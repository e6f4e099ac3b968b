from typing import ClassVar

import pytest
import torch
from torch import nn

from interestlab.testing import DynamicsTests
from interestlab_dynamics.gru import GRU


class TestGRU(DynamicsTests):
    plugin = GRU


class TestGRUTwoLayersWithoutTime(DynamicsTests):
    plugin = GRU
    init_args: ClassVar = {"layers": 2, "time": False}


def test_equals_torch_on_packed_sequences():
    """The padding has no effect on real events."""
    torch.manual_seed(0)
    ours, theirs = GRU(6, layers=2).eval(), nn.GRU(7, 6, 2, batch_first=True)
    theirs.load_state_dict(ours.gru.state_dict())
    lengths = torch.tensor([5, 2, 3])
    x, dt, mask = torch.randn(3, 5, 6), torch.rand(3, 5) * 90, torch.arange(5) < lengths[:, None]
    events = torch.cat([x, torch.log(1 + dt)[..., None]], -1)
    packed = nn.utils.rnn.pack_padded_sequence(events, lengths, batch_first=True, enforce_sorted=False)
    h, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    expected = h @ ours.out.weight.T + ours.out.bias
    torch.testing.assert_close(ours(x, dt, mask)[mask], expected[mask])


def test_values_computed_by_hand():
    """One channel, weights 1 and no bias: n = tanh(x + r h), h ← (1 − u) n + u h, r = u = σ(x + h)."""
    dynamics = GRU(1, time=False).eval()
    for name, parameter in dynamics.named_parameters():
        nn.init.constant_(parameter, 0.0 if "bias" in name else 1.0)
    h, expected = torch.zeros(()), []
    for x in (1.0, -2.0):
        gate = torch.sigmoid(x + h)
        h = (1 - gate) * torch.tanh(x + gate * h) + gate * h
        expected.append(h)
    z = dynamics(torch.tensor([[[1.0], [-2.0]]]), torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(z.flatten(), torch.stack(expected))


@pytest.mark.parametrize("time", [True, False])
def test_time_option(time):
    torch.manual_seed(0)
    dynamics, x, mask = GRU(4, time=time).eval(), torch.randn(1, 3, 4), torch.ones(1, 3, dtype=torch.bool)
    zs = [dynamics(x, torch.tensor([[0.0, days, 0.0]]), mask) for days in (-5.0, 0.0, 9.0)]
    torch.testing.assert_close(zs[0], zs[1])  # negative elapsed time counts as zero
    assert torch.equal(zs[1], zs[2]) is not time


def test_layers_must_be_positive():
    with pytest.raises(ValueError, match="layers is 0"):
        GRU(4, layers=0)
