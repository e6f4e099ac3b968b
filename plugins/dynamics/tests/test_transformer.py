from typing import ClassVar

import pytest
import torch
from torch import nn

from interestlab.testing import DynamicsTests
from interestlab_dynamics.transformer import Transformer, init_weights


class TestTransformer(DynamicsTests):
    plugin = Transformer


class TestTransformerShortMaxLength(DynamicsTests):
    """Histories longer than ``max_length``."""

    plugin = Transformer
    init_args: ClassVar = {"max_length": 3, "layers": 1, "heads": 4, "expansion": 1}


class TestTransformerWithRecencyBias(DynamicsTests):
    plugin = Transformer
    init_args: ClassVar = {"positions": "recency", "layers": 1}


def test_recency_bias_depends_on_distances_alone():
    """Without the first events, what attends to the later ones alone is the same."""
    torch.manual_seed(0)
    dynamics = Transformer(8, layers=1, positions="recency").eval()
    dynamics.blocks[0].raw_slopes.data.fill_(20.0)  # events attend to themselves alone
    x = torch.randn(1, 9, 8)
    z = dynamics(x, torch.zeros(1, 9), torch.ones(1, 9, dtype=torch.bool))
    later = dynamics(x[:, 4:], torch.zeros(1, 5), torch.ones(1, 5, dtype=torch.bool))
    torch.testing.assert_close(z[:, 4:], later)


def test_equals_torch_encoder_layers():
    """SASRec's blocks equal torch's encoder layers with the same weights."""
    torch.manual_seed(0)
    ours = Transformer(16, layers=2, heads=4, max_length=10).eval()
    theirs = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(16, 4, 64, 0.2, "gelu", batch_first=True, norm_first=True),
        2,
        nn.LayerNorm(16),
        enable_nested_tensor=False,
    ).eval()
    our_names = {
        "self_attn.in_proj_": "query_key_value.",
        "self_attn.out_proj.": "attention_out.",
        "norm1.": "attention_norm.",
        "norm2.": "feed_forward.0.",
        "linear1.": "feed_forward.1.",
        "linear2.": "feed_forward.4.",
    }
    weights = {name: torch.randn_like(value) * 0.3 for name, value in theirs.state_dict().items()}
    theirs.load_state_dict(weights)
    for name, value in weights.items():
        name = name.replace("layers.", "blocks.")
        for torch_name, our_name in our_names.items():
            name = name.replace(torch_name, our_name)
        ours.get_parameter(name).data.copy_(value)
    x, mask = torch.randn(3, 10, 16), torch.ones(3, 10, dtype=torch.bool)
    expected = theirs(x + ours.positions.weight, nn.Transformer.generate_square_subsequent_mask(10), is_causal=True)
    torch.testing.assert_close(ours(x, torch.zeros(3, 10), mask), expected, rtol=1e-4, atol=1e-5)


def test_later_positions_share_the_last_embedding():
    torch.manual_seed(0)
    dynamics = Transformer(8, max_length=4).eval()
    x = torch.zeros(1, 9, 8)
    positions = dynamics.add_positions(x, torch.arange(9))[0]
    torch.testing.assert_close(positions[:4], dynamics.positions.weight)
    torch.testing.assert_close(positions[4:], dynamics.positions.weight[3:].expand(5, 8))


def test_order_matters_and_time_does_not():
    torch.manual_seed(0)
    dynamics = Transformer(8).eval()
    x, dt, mask = torch.randn(1, 5, 8), torch.rand(1, 5), torch.ones(1, 5, dtype=torch.bool)
    z = dynamics(x, dt, mask)[:, -1]
    torch.testing.assert_close(dynamics(x, 100 * dt, mask)[:, -1], z)
    assert not torch.allclose(dynamics(x[:, [1, 0, 2, 3, 4]], dt, mask)[:, -1], z)


def test_cache_grows_by_one_event_per_step():
    dynamics = Transformer(8, heads=2).eval()
    state = dynamics.init_state(3)
    for events in range(4):
        caches, _ = state
        assert [tuple(key.shape) for key, _ in caches] == [(3, 2, events, 4)] * 2
        state, _ = dynamics.step(state, torch.randn(3, 8), torch.zeros(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 10, "heads": 4}, "dim 10 is not divisible by heads 4"),
        ({"dim": 8, "layers": 0}, "must be positive"),
        ({"dim": 8, "max_length": 0}, "must be positive"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        Transformer(**arguments)


def test_layers_without_bias_are_initialised():
    layer = torch.nn.Linear(200, 50, bias=False)
    init_weights(layer)
    assert 0.018 < layer.weight.std() < 0.022
