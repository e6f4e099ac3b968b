"""Fusion heads that each break one promise, and the checks that fail on them."""

import pytest
import torch
from torch import nn

from interestlab.contract import FusionHead
from interestlab.testing import FusionHeadTests, check_plugin, checks_for


class Sum(FusionHead):
    """A weighted sum that satisfies the contract.

    Args:
        dim: width.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def build(self, streams):
        self.maps = nn.ModuleDict({name: nn.Linear(self.dim, self.dim, bias=False) for name in streams})

    def value(self, x, present):
        return torch.where(present.unsqueeze(-1), x, torch.zeros_like(x))

    def forward(self, streams, present):
        return torch.stack([self.maps[name](self.value(x, present[name])) for name, x in streams.items()]).sum(0)


class TestSum(FusionHeadTests):
    plugin = Sum


class ReadsAbsentValues(Sum):
    def value(self, x, present):
        return x


class MultipliesAbsentValues(Sum):
    """NaN times zero is NaN."""

    def value(self, x, present):
        return x * present.unsqueeze(-1)


class GradientOfAbsentValues(Sum):
    """``where`` comes after the layer, so the gradient of missing values is NaN."""

    def forward(self, streams, present):
        return sum(
            torch.where(present[name].unsqueeze(-1), self.maps[name](x), torch.zeros_like(x)) for name, x in streams.items()
        )


class DividesByTheNumberPresent(Sum):
    def forward(self, streams, present):
        return super().forward(streams, present) / sum(present.values()).unsqueeze(-1)


class NeedsEveryStream(Sum):
    def forward(self, streams, present):
        return super().forward({name: streams[name] for name in self.maps}, present)


class FavoursTheFirstStream(Sum):
    def forward(self, streams, present):
        first = next(iter(streams))
        return super().forward(streams, present) + self.value(streams[first], present[first])


class IgnoresImages(Sum):
    def forward(self, streams, present):
        out = super().forward(streams, present)
        if "image" in streams:
            out = out - self.maps["image"](self.value(streams["image"], present["image"]))
        return out


class AssumesTwoDimensions(Sum):
    def forward(self, streams, present):
        out = super().forward(streams, present)
        return out - out.mean(1, keepdim=True)


class NormalizesTheBatch(Sum):
    def build(self, streams):
        super().build(streams)
        self.norm = nn.BatchNorm1d(self.dim)

    def forward(self, streams, present):
        out = super().forward(streams, present)
        return self.norm(out.reshape(-1, self.dim)).reshape(out.shape)


class WeightsRowsByPosition(Sum):
    def forward(self, streams, present):
        out = super().forward(streams, present)
        return out * torch.linspace(1, 2, out[..., 0].numel()).reshape(*out.shape[:-1], 1)


CAUGHT = {
    ReadsAbsentValues: {"missing_values"},
    MultipliesAbsentValues: {"missing_values"},
    GradientOfAbsentValues: {"missing_values"},
    DividesByTheNumberPresent: {"all_missing", "subsets"},
    NeedsEveryStream: {"subsets"},
    FavoursTheFirstStream: {"stream_order"},
    IgnoresImages: {"effect"},
    AssumesTwoDimensions: {"leading_shapes"},
    NormalizesTheBatch: {"training_mode"},
    WeightsRowsByPosition: {"row_independence", "row_order"},
}


@pytest.mark.parametrize("plugin", CAUGHT)
def test_caught_by_the_right_checks(plugin):
    outcomes = check_plugin(plugin)
    assert {outcome.check for outcome in outcomes if outcome.status == "failed"} == CAUGHT[plugin], outcomes


def test_every_check_can_fail():
    own = {name for name, check in checks_for(FusionHead).items() if check.__qualname__.startswith("FusionHeadChecks.")}
    assert own <= set.union(*CAUGHT.values())
