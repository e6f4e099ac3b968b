"""Modality dropout, in every head."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab_fusion.attention import Attention
from interestlab_fusion.bottleneck import Bottleneck
from interestlab_fusion.concat import Concat
from interestlab_fusion.film import Film
from interestlab_fusion.gated import Gated
from interestlab_fusion.streams import drop_streams
from interestlab_fusion.transformer import Transformer

HEADS = [Concat, Attention, Gated, Transformer, Bottleneck, Film]


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=8), st.floats(0, 1), st.integers(0, 99))
def test_every_row_keeps_a_stream_that_was_present(rows, rate, seed):
    torch.manual_seed(seed)
    mask = torch.tensor(rows)
    values = torch.randn(len(rows), 4, 3)
    new_values, new_mask = drop_streams(values, mask, rate)
    assert not (new_mask & ~mask).any()
    assert torch.equal(new_mask.any(-1), mask.any(-1))
    assert torch.equal(new_values, values * new_mask.unsqueeze(-1))


@pytest.mark.parametrize(("rate", "present"), [(0.3, 4), (0.9, 4), (0.5, 2), (1.0, 3), (0.7, 1)])
def test_drop_rate(rate, present):
    torch.manual_seed(0)
    mask = torch.zeros(40_000, 4, dtype=torch.bool)
    mask[:, :present] = True
    _, new_mask = drop_streams(torch.ones(40_000, 4, 1), mask, rate)
    drop_rate = 1 - new_mask[:, :present].double().mean(0)
    expected = rate - rate**present / present
    torch.testing.assert_close(drop_rate, torch.full_like(drop_rate, expected), rtol=0, atol=0.01)


@pytest.fixture(params=HEADS)
def heads(request):
    """A head without and one with modality dropout, with equal weights."""
    torch.manual_seed(0)
    plain, with_dropout = request.param(8), request.param(8, modality_dropout=0.5)
    for head in (plain, with_dropout):
        head.build(["text", "id", "image"])
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    with_dropout.load_state_dict(plain.state_dict())
    return plain, with_dropout


def example():
    streams = {name: torch.randn(32, 8) for name in ("text", "id", "image")}
    return streams, {name: torch.ones(32, dtype=torch.bool) for name in streams}


def test_nothing_is_dropped_in_evaluation(heads):
    plain, with_dropout = (head.eval() for head in heads)
    inputs = example()
    assert torch.equal(plain(*inputs), with_dropout(*inputs))


def test_a_dropped_stream_equals_a_missing_stream(heads):
    plain, with_dropout = heads
    streams, present = example()
    torch.manual_seed(3)
    out = with_dropout.train()(streams, present)
    torch.manual_seed(3)
    _, mask = drop_streams(torch.ones(32, 3, 1), torch.ones(32, 3, dtype=torch.bool), 0.5)
    assert 0 < mask.sum() < mask.numel()
    remaining = dict(zip(streams, mask.unbind(-1), strict=True))
    torch.testing.assert_close(out, plain.train()(streams, remaining))
    assert not torch.allclose(out, plain(streams, present))


def test_a_rate_of_zero_draws_no_random_numbers(heads):
    plain, _ = heads
    state = torch.get_rng_state()
    plain.train()(*example())
    after = torch.get_rng_state()
    torch.set_rng_state(state)
    example()
    assert torch.equal(torch.get_rng_state(), after)
