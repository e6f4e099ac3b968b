from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from interestlab.testing import FusionHeadTests
from interestlab_fusion.delta import Delta

NAMES = ["text", "id", "image"]


class TestDelta(FusionHeadTests):
    plugin = Delta


class TestDeltaOfTwoIds(FusionHeadTests):
    plugin = Delta
    init_args: ClassVar = {"ids": ["id", "image"], "bound": 0.1, "modality_dropout": 0.3}


def build(names=NAMES, **arguments):
    torch.manual_seed(0)
    head = Delta(8, **arguments)
    head.build(names)
    return head.eval()


def streams(rows=6):
    torch.manual_seed(1)
    return {name: torch.randn(rows, 8) for name in NAMES}


def present(rows=6, **absent):
    return {name: torch.full((rows,), name not in absent) for name in NAMES}


@pytest.mark.parametrize("how", ["zero", "missing", "omitted"])
def test_an_item_without_a_trained_id_is_its_text(how):
    x, there = streams(), present()
    text = F.normalize((x["text"] + x["image"]) / 2, dim=-1)
    if how == "zero":
        x["id"] = torch.zeros(6, 8)
    elif how == "missing":
        there["id"] = torch.zeros(6, dtype=torch.bool)
    else:
        x.pop("id"), there.pop("id")
    torch.testing.assert_close(build()(x, there), text)


@given(st.floats(0.05, 1), st.floats(0, 1e6))
def test_the_change_is_bounded(bound, length):
    """The angle between an item and its text is at most that of a change of length ``bound``: its sine is the bound."""
    x = streams()
    x["id"] = F.normalize(x["id"], dim=-1) * length
    out = build(["text", "id"], bound=bound)(
        {"text": x["text"], "id": x["id"]}, {"text": present()["text"], "id": present()["id"]}
    )
    cosine = (out * F.normalize(x["text"], dim=-1)).sum(-1)
    assert (cosine >= max(0, 1 - bound**2) ** 0.5 - 1e-3).all()


def test_small_changes_are_not_shortened():
    x = streams()
    x["id"] *= 1e-3
    text = F.normalize((x["text"] + x["image"]) / 2, dim=-1)
    torch.testing.assert_close(build()(x, present()), F.normalize(text + x["id"], dim=-1), rtol=1e-4, atol=1e-6)


def test_output_has_unit_length_and_does_not_depend_on_the_length_of_the_text():
    x = streams()
    out = build()(x, present())
    torch.testing.assert_close(out.norm(dim=-1), torch.ones(6))
    longer = x | {"text": 5 * x["text"], "image": 5 * x["image"]}
    torch.testing.assert_close(build()(longer, present()), out)


def test_an_item_without_text_follows_its_id_without_a_bound():
    head, x = build(bound=0.1), streams()
    absent = present() | {name: torch.zeros(6, dtype=torch.bool) for name in ("text", "image")}
    x["id"] *= 100
    torch.testing.assert_close(head(x, absent), F.normalize(x["id"], dim=-1), rtol=1e-2, atol=1e-2)


def test_ids_that_start_at_zero_receive_ordinary_gradients():
    head, x = build(), streams()
    x["id"] = torch.zeros(6, 8, requires_grad=True)
    absent = present() | {name: torch.tensor([True] * 3 + [False] * 3) for name in ("text", "image")}
    (head(x, absent) * torch.randn(6, 8)).sum().backward()
    norms = x["id"].grad.norm(dim=-1)
    assert (norms > 0).all()
    assert (norms < 1e3).all()


def test_a_head_without_ids_normalises_the_mean():
    x = {"item": streams()["text"], "review": streams()["image"]}
    out = build(["item", "review"])(x, {name: torch.ones(6, dtype=torch.bool) for name in x})
    torch.testing.assert_close(out, F.normalize((x["item"] + x["review"]) / 2, dim=-1))


def test_invalid_arguments():
    with pytest.raises(ValueError, match=r"bound=0 is not positive"):
        Delta(8, bound=0)
    with pytest.raises(ValueError, match=r"every stream \(id\) is in ids"):
        build(["id"])
