"""Conformance checks of a fusion head, and tests of this class."""

import torch
from interestlab.testing import FusionHeadTests

from my_plugin.fusion import MyPlugin


class TestMyPlugin(FusionHeadTests):
    plugin = MyPlugin


def test_initial_output_is_the_mean_of_the_present_streams():
    head = MyPlugin(dim=2)
    head.build(["id", "text"])
    streams = {"id": torch.tensor([[1.0, 2.0], [1.0, 2.0]]), "text": torch.tensor([[3.0, 4.0], [9.0, 9.0]])}
    present = {"id": torch.tensor([True, True]), "text": torch.tensor([True, False])}
    torch.testing.assert_close(head(streams, present), torch.tensor([[2.0, 3.0], [1.0, 2.0]]))
