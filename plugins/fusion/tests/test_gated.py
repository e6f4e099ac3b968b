import math

import pytest
import torch

from interestlab_fusion.gated import Gated

STREAMS = {"a": torch.tensor([[1.0, 3.0]]), "b": torch.tensor([[5.0, -1.0]])}
HERE = {name: torch.tensor([True]) for name in STREAMS}


def gated(gate):
    """Its gate of ``a``, channel 0, reads ``b``'s channel 1; that of ``b``, channel 1, is ln 3 for ever."""
    head = Gated(2, gate)
    head.build(["a", "b"])
    with torch.no_grad():
        head.gates.weight[0, 3] = -math.log(3)
        head.gates.bias[3] = math.log(3)
    return head


def test_softmax_by_hand():
    # Scores: a = (ln 3, 0), b = (0, ln 3); so weights of a = (3/4, 1/4), of b = (1/4, 3/4).
    torch.testing.assert_close(gated("softmax")(STREAMS, HERE), torch.tensor([[0.75 * 1 + 0.25 * 5, 0.25 * 3 - 0.75 * 1]]))


def test_sigmoid_by_hand():
    # Twice the sigmoids: a = (3/2, 1), b = (1, 3/2); the mean of two streams.
    torch.testing.assert_close(gated("sigmoid")(STREAMS, HERE), torch.tensor([[(1.5 * 1 + 5) / 2, (3 - 1.5 * 1) / 2]]))


@pytest.mark.parametrize(("gate", "expected"), [("softmax", [1.0, 3.0]), ("sigmoid", [1.0, 3.0])])
def test_a_missing_stream_says_nothing_to_the_gates(gate, expected):
    only = {"a": STREAMS["a"]}
    torch.testing.assert_close(gated(gate)(only, {"a": HERE["a"]}), torch.tensor([expected]))
