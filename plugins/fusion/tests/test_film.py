import pytest
import torch

from interestlab_fusion.film import Film

STREAMS = {
    "item": torch.tensor([[1.0, 2.0]]),
    "kind": torch.tensor([[3.0, 0.0]]),
    "hour": torch.tensor([[0.0, 5.0]]),
}
HERE = {name: torch.tensor([True]) for name in STREAMS}
GONE = torch.tensor([False])


def film(modulators=None, names=STREAMS):
    head = Film(2, modulators)
    head.build(list(names))
    return head


@pytest.fixture
def head():
    """``kind`` doubles channel 0 for each of its own, ``hour`` shifts channel 1 by a tenth of its second."""
    head = film()
    with torch.no_grad():
        head.film[0, 0] = 2.0  # scale of channel 0 by kind's channel 0
        head.film[3, 3] = 0.1  # shift of channel 1 by hour's channel 1
    return head


def test_by_hand(head):
    torch.testing.assert_close(head(STREAMS, HERE), torch.tensor([[(1 + 2 * 3) * 1.0, 2 + 0.1 * 5]]))


@pytest.mark.parametrize(("missing", "expected"), [("kind", [1.0, 2.5]), ("hour", [7.0, 2.0])])
def test_a_missing_modulator_changes_nothing(head, missing, expected):
    torch.testing.assert_close(head(STREAMS, HERE | {missing: GONE}), torch.tensor([expected]))
    left = {name: x for name, x in STREAMS.items() if name != missing}
    torch.testing.assert_close(head(left, {name: HERE[name] for name in left}), torch.tensor([expected]))


def test_without_content_the_modulators_are_joined_by_their_mean(head):
    torch.testing.assert_close(head(STREAMS, HERE | {"item": GONE}), torch.tensor([[1.5, 2.5]]))
    torch.testing.assert_close(head(STREAMS, HERE | {"item": GONE, "hour": GONE}), torch.tensor([[3.0, 0.0]]))


def test_starts_from_the_content():
    torch.testing.assert_close(film()(STREAMS, HERE), STREAMS["item"])
    torch.testing.assert_close(film(["hour"])(STREAMS, HERE), torch.tensor([[2.0, 1.0]]))


def test_chosen_modulators_are_those_that_modulate():
    head = film(["hour", "elsewhere"])
    with torch.no_grad():
        head.film[0, 1] = 1.0
    torch.testing.assert_close(head(STREAMS, HERE), torch.tensor([[2 + 5 * 2.0, 1.0]]))


def test_a_head_without_any_of_them_is_a_mean():
    head = film(["elsewhere"])
    torch.testing.assert_close(head(STREAMS, HERE), torch.tensor([[4 / 3, 7 / 3]]))


def test_something_must_be_left_to_be_modulated():
    with pytest.raises(ValueError, match="all of item, kind modulate, and nothing is left"):
        film(["kind", "item"], names=["item", "kind"])
