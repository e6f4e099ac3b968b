"""What all heads have in common, beyond the contract."""

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
FROM_THE_MEAN = [Concat, Attention, Gated, Transformer, Bottleneck]
HEADS = [*FROM_THE_MEAN, Film]


@pytest.fixture(params=HEADS)
def head(request):
    torch.manual_seed(0)
    head = request.param(DIM)
    head.build(NAMES)
    return head.eval()


@pytest.fixture
def streams():
    return {name: torch.randn(ROWS, DIM) for name in NAMES}


def everywhere(streams):
    return {name: torch.ones(ROWS, dtype=torch.bool) for name in streams}


def trained(head):
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return head


@pytest.mark.parametrize("head", FROM_THE_MEAN, indirect=True)
def test_starts_at_the_mean_of_what_is_present(head, streams):
    present = everywhere(streams) | {"id": torch.tensor([True, False] * 3)}
    out = head(streams, present)
    mean = torch.stack(list(streams.values())).mean(0)
    without_id = (streams["text"] + streams["image"]) / 2
    torch.testing.assert_close(out[::2], mean[::2])
    torch.testing.assert_close(out[1::2], without_id[1::2])


def test_leaves_its_start_when_it_trains(head, streams):
    target = streams["image"]  # that which every head can reach, a weighted mean too
    optimizer = torch.optim.Adam(head.parameters(), 0.03)
    losses = []
    for _ in range(60):
        loss = (head(streams, everywhere(streams)) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4


@pytest.mark.parametrize("dropped", NAMES)
def test_a_stream_not_given_is_a_stream_absent_everywhere(head, streams, dropped):
    trained(head)
    kept = {name: x for name, x in streams.items() if name != dropped}
    absent = everywhere(streams) | {dropped: torch.zeros(ROWS, dtype=torch.bool)}
    without = head(kept, everywhere(kept))
    torch.testing.assert_close(without, head(streams, absent))
    assert not torch.allclose(without, head(streams, everywhere(streams)))


def test_two_streams_are_told_apart(head, streams):
    trained(head)
    swapped = streams | {"text": streams["id"], "id": streams["text"]}
    assert not torch.allclose(head(streams, everywhere(streams)), head(swapped, everywhere(streams)))


def test_nothing_present_is_finite_and_the_same_for_every_row(head, streams):
    nothing = {name: torch.zeros(ROWS, dtype=torch.bool) for name in NAMES}
    out = trained(head)(streams, nothing)
    assert out.isfinite().all()
    torch.testing.assert_close(out, out[:1].expand_as(out))
    if not isinstance(head, Concat):
        assert not out.any()


@pytest.mark.parametrize("cls", HEADS)
def test_a_single_stream(cls, streams):
    head = cls(DIM)
    head.build(["text"])
    only = {"text": streams["text"]}
    torch.testing.assert_close(head(only, everywhere(only)), streams["text"])


def test_any_name_is_a_name(streams):
    head = Attention(DIM)
    head.build(["event.what ever"])
    x = {"event.what ever": streams["text"]}
    assert head(x, everywhere(x)).shape == (ROWS, DIM)


def test_an_unknown_stream_is_refused(head, streams):
    unknown = {"audio": streams["text"]}
    with pytest.raises(ValueError, match=r"\['audio'\] are unknown"):
        head(unknown, everywhere(unknown))
    with pytest.raises(ValueError, match="no stream is given"):
        head({}, {})


def test_no_gradient_reaches_what_is_absent(head, streams):
    x = {name: value.requires_grad_() for name, value in streams.items()}
    trained(head)(x, everywhere(x) | {"id": torch.zeros(ROWS, dtype=torch.bool)}).square().sum().backward()
    assert not x["id"].grad.any()
    assert x["text"].grad.any()
