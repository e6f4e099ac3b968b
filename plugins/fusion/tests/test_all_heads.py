"""Properties of all heads beyond the contract."""

import pytest
import torch

from interestlab_fusion.attention import Attention
from interestlab_fusion.bottleneck import Bottleneck
from interestlab_fusion.concat import Concat
from interestlab_fusion.film import Film
from interestlab_fusion.gated import Gated
from interestlab_fusion.transformer import Transformer

NAMES = ["text", "id", "image"]
ROWS, DIM = 6, 8
START_AT_MEAN = [Concat, Attention, Gated, Transformer, Bottleneck]
HEADS = [*START_AT_MEAN, Film]


@pytest.fixture(params=HEADS)
def head(request):
    torch.manual_seed(0)
    head = request.param(DIM)
    head.build(NAMES)
    return head.eval()


@pytest.fixture
def streams():
    return {name: torch.randn(ROWS, DIM) for name in NAMES}


def all_present(streams):
    return {name: torch.ones(ROWS, dtype=torch.bool) for name in streams}


def perturb(head):
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return head


@pytest.mark.parametrize("head", START_AT_MEAN, indirect=True)
def test_initial_output_is_the_mean_of_the_present_streams(head, streams):
    present = all_present(streams) | {"id": torch.tensor([True, False] * 3)}
    out = head(streams, present)
    mean = torch.stack(list(streams.values())).mean(0)
    without_id = (streams["text"] + streams["image"]) / 2
    torch.testing.assert_close(out[::2], mean[::2])
    torch.testing.assert_close(out[1::2], without_id[1::2])


def test_training_reduces_the_loss(head, streams):
    target = streams["image"]  # reachable for every head, including weighted means
    optimizer = torch.optim.Adam(head.parameters(), 0.03)
    losses = []
    for _ in range(60):
        loss = (head(streams, all_present(streams)) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4


@pytest.mark.parametrize("absent", NAMES)
def test_omitting_a_stream_equals_marking_it_missing(head, streams, absent):
    perturb(head)
    others = {name: x for name, x in streams.items() if name != absent}
    present = all_present(streams) | {absent: torch.zeros(ROWS, dtype=torch.bool)}
    without = head(others, all_present(others))
    torch.testing.assert_close(without, head(streams, present))
    assert not torch.allclose(without, head(streams, all_present(streams)))


def test_streams_are_not_interchangeable(head, streams):
    perturb(head)
    swapped = streams | {"text": streams["id"], "id": streams["text"]}
    assert not torch.allclose(head(streams, all_present(streams)), head(swapped, all_present(streams)))


def test_rows_without_streams_are_finite_and_equal(head, streams):
    none_present = {name: torch.zeros(ROWS, dtype=torch.bool) for name in NAMES}
    out = perturb(head)(streams, none_present)
    assert out.isfinite().all()
    torch.testing.assert_close(out, out[:1].expand_as(out))
    if not isinstance(head, Concat):
        assert not out.any()


@pytest.mark.parametrize("cls", HEADS)
def test_a_single_stream(cls, streams):
    head = cls(DIM)
    head.build(["text"])
    only = {"text": streams["text"]}
    torch.testing.assert_close(head(only, all_present(only)), streams["text"])


def test_stream_names_may_contain_any_characters(streams):
    head = Attention(DIM)
    head.build(["event.what ever"])
    x = {"event.what ever": streams["text"]}
    assert head(x, all_present(x)).shape == (ROWS, DIM)


def test_unknown_or_no_streams_are_rejected(head, streams):
    unknown = {"audio": streams["text"]}
    with pytest.raises(ValueError, match=r"\['audio'\] are unknown"):
        head(unknown, all_present(unknown))
    with pytest.raises(ValueError, match="no stream was passed"):
        head({}, {})


def test_missing_streams_receive_no_gradient(head, streams):
    x = {name: value.requires_grad_() for name, value in streams.items()}
    perturb(head)(x, all_present(x) | {"id": torch.zeros(ROWS, dtype=torch.bool)}).square().sum().backward()
    assert not x["id"].grad.any()
    assert x["text"].grad.any()
