"""Streams that go missing in training, in every head alike."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab_fusion.attention import Attention
from interestlab_fusion.bottleneck import Bottleneck
from interestlab_fusion.concat import Concat
from interestlab_fusion.film import Film
from interestlab_fusion.gated import Gated
from interestlab_fusion.streams import dropped
from interestlab_fusion.transformer import Transformer

HEADS = [Concat, Attention, Gated, Transformer, Bottleneck, Film]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=8), st.floats(0, 1), st.integers(0, 99))
def test_a_row_keeps_one_of_what_it_had(rows, rate, seed):
    torch.manual_seed(seed)
    mask = torch.tensor(rows)
    values = torch.randn(len(rows), 4, 3)
    kept, left = dropped(values, mask, rate)
    assert not (left & ~mask).any()
    assert torch.equal(left.any(-1), mask.any(-1))
    assert torch.equal(kept, values * left.unsqueeze(-1))


@pytest.mark.parametrize(("rate", "present"), [(0.3, 4), (0.9, 4), (0.5, 2), (1.0, 3), (0.7, 1)])
def test_streams_go_at_the_rate_that_is_told(rate, present):
    torch.manual_seed(0)
    mask = torch.zeros(40_000, 4, dtype=torch.bool)
    mask[:, :present] = True
    _, left = dropped(torch.ones(40_000, 4, 1), mask, rate)
    gone = 1 - left[:, :present].double().mean(0)
    expected = rate - rate**present / present
    torch.testing.assert_close(gone, torch.full_like(gone, expected), rtol=0, atol=0.01)


@pytest.fixture(params=HEADS)
def heads(request):
    """A head, and the same with modality dropout."""
    torch.manual_seed(0)
    plain, other = request.param(8), request.param(8, modality_dropout=0.5)
    for head in (plain, other):
        head.build(["text", "id", "image"])
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    other.load_state_dict(plain.state_dict())
    return plain, other


def example():
    streams = {name: torch.randn(32, 8) for name in ("text", "id", "image")}
    return streams, {name: torch.ones(32, dtype=torch.bool) for name in streams}


def test_nothing_goes_in_an_evaluation(heads):
    plain, other = (head.eval() for head in heads)
    given = example()
    assert torch.equal(plain(*given), other(*given))


def test_what_goes_is_as_if_it_had_never_been_there(heads):
    plain, other = heads
    streams, present = example()
    torch.manual_seed(3)
    out = other.train()(streams, present)
    torch.manual_seed(3)
    _, left = dropped(torch.ones(32, 3, 1), torch.ones(32, 3, dtype=torch.bool), 0.5)
    assert 0 < left.sum() < left.numel()
    absent = dict(zip(streams, left.unbind(-1), strict=True))
    torch.testing.assert_close(out, plain.train()(streams, absent))
    assert not torch.allclose(out, plain(streams, present))


def test_without_it_no_luck_is_drawn(heads):
    plain, _ = heads
    state = torch.get_rng_state()
    plain.train()(*example())
    drawn = torch.get_rng_state()
    torch.set_rng_state(state)
    example()
    assert torch.equal(torch.get_rng_state(), drawn)
