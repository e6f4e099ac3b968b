import math

import pytest
import torch

from interestlab_fusion.gated import Gated

STREAMS = {"a": torch.tensor([[1.0, 3.0]]), "b": torch.tensor([[5.0, -1.0]])}
PRESENT = {name: torch.tensor([True]) for name in STREAMS}


def gated(gate):
    """Build a head whose gate of ``a`` in channel 0 depends on channel 1 of ``b``; the gate of ``b`` in channel 1 is ln 3."""
    head = Gated(2, gate)
    head.build(["a", "b"])
    with torch.no_grad():
        head.gates.weight[0, 3] = -math.log(3)
        head.gates.bias[3] = math.log(3)
    return head


def test_softmax_gates():
    # Scores: a = (ln 3, 0), b = (0, ln 3); so the weights are a = (3/4, 1/4), b = (1/4, 3/4).
    torch.testing.assert_close(gated("softmax")(STREAMS, PRESENT), torch.tensor([[0.75 * 1 + 0.25 * 5, 0.25 * 3 - 0.75 * 1]]))


def test_sigmoid_gates():
    # Twice the sigmoids: a = (3/2, 1), b = (1, 3/2); then the mean of both streams.
    torch.testing.assert_close(gated("sigmoid")(STREAMS, PRESENT), torch.tensor([[(1.5 * 1 + 5) / 2, (3 - 1.5 * 1) / 2]]))


@pytest.mark.parametrize(("gate", "expected"), [("softmax", [1.0, 3.0]), ("sigmoid", [1.0, 3.0])])
def test_a_missing_stream_does_not_affect_the_gates(gate, expected):
    only = {"a": STREAMS["a"]}
    torch.testing.assert_close(gated(gate)(only, {"a": PRESENT["a"]}), torch.tensor([expected]))
