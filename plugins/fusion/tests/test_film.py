import pytest
import torch

from interestlab_fusion.film import Film

STREAMS = {
    "item": torch.tensor([[1.0, 2.0]]),
    "kind": torch.tensor([[3.0, 0.0]]),
    "hour": torch.tensor([[0.0, 5.0]]),
}
PRESENT = {name: torch.tensor([True]) for name in STREAMS}
MISSING = torch.tensor([False])


def film(modulators=None, names=STREAMS):
    head = Film(2, modulators)
    head.build(list(names))
    return head


@pytest.fixture
def head():
    """A head in which ``kind`` scales channel 0 and ``hour`` shifts channel 1."""
    head = film()
    with torch.no_grad():
        head.film[0, 0] = 2.0  # scale of channel 0 by kind's channel 0
        head.film[3, 3] = 0.1  # shift of channel 1 by hour's channel 1
    return head


def test_output_equals_the_formula(head):
    torch.testing.assert_close(head(STREAMS, PRESENT), torch.tensor([[(1 + 2 * 3) * 1.0, 2 + 0.1 * 5]]))


@pytest.mark.parametrize(("missing", "expected"), [("kind", [1.0, 2.5]), ("hour", [7.0, 2.0])])
def test_a_missing_modulator_has_no_effect(head, missing, expected):
    torch.testing.assert_close(head(STREAMS, PRESENT | {missing: MISSING}), torch.tensor([expected]))
    remaining = {name: x for name, x in STREAMS.items() if name != missing}
    torch.testing.assert_close(head(remaining, {name: PRESENT[name] for name in remaining}), torch.tensor([expected]))


def test_missing_content_gives_the_mean_of_the_modulators(head):
    torch.testing.assert_close(head(STREAMS, PRESENT | {"item": MISSING}), torch.tensor([[1.5, 2.5]]))
    torch.testing.assert_close(head(STREAMS, PRESENT | {"item": MISSING, "hour": MISSING}), torch.tensor([[3.0, 0.0]]))


def test_initial_output_is_the_content():
    torch.testing.assert_close(film()(STREAMS, PRESENT), STREAMS["item"])
    torch.testing.assert_close(film(["hour"])(STREAMS, PRESENT), torch.tensor([[2.0, 1.0]]))


def test_modulators_are_selected_by_name():
    head = film(["hour", "elsewhere"])
    with torch.no_grad():
        head.film[0, 1] = 1.0
    torch.testing.assert_close(head(STREAMS, PRESENT), torch.tensor([[2 + 5 * 2.0, 1.0]]))


def test_a_head_without_modulators_returns_the_mean():
    head = film(["elsewhere"])
    torch.testing.assert_close(head(STREAMS, PRESENT), torch.tensor([[4 / 3, 7 / 3]]))


def test_at_least_one_content_stream_is_required():
    with pytest.raises(ValueError, match=r"every stream \(item, kind\) is a modulator"):
        film(["kind", "item"], names=["item", "kind"])
