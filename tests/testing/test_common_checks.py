"""The checks shared by all parts, each on a fusion head that fails it."""

from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from torch import nn

from interestlab.contract import FusionHead, Part
from interestlab.testing import FusionHeadTests, check_plugin, checks_for


class Head(FusionHead):
    """A sum of the streams, then a layer; satisfies the contract.

    Args:
        dim: width.
        scale (optional): a factor.
        inner: a head inside.
    """

    def __init__(self, dim: int, scale: float = 1.0, inner: FusionHead | None = None):
        super().__init__()
        self.dim = dim
        self.scale = scale
        self.layer = nn.Linear(dim, dim)

    def build(self, streams):
        self.weights = nn.ParameterDict({name: nn.Parameter(torch.rand(self.dim)) for name in streams})

    def joined(self, streams, present):
        return sum(
            torch.where(present[name].unsqueeze(-1), x, torch.zeros_like(x)) * self.weights[name]
            for name, x in sorted(streams.items())
        )

    def forward(self, streams, present):
        return self.layer(self.joined(streams, present)) * self.scale


class TestHead(FusionHeadTests):
    plugin = Head
    init_args: ClassVar = {"scale": 2.0, "dim": 4}


class TestNestedHead(FusionHeadTests):
    plugin = Head
    init_args: ClassVar = {"inner": Head(3)}


class Untyped(Head):
    """Has an argument without a type.

    Args:
        rate: without a type.
    """

    def __init__(self, dim: int, rate=1):
        super().__init__(dim)


class Undocumented(Head):
    def __init__(self, dim: int, rate: float = 1.0):
        super().__init__(dim)


class Activated(Head):
    """Has an argument that is not a plain value.

    Args:
        activation: a function.
    """

    def __init__(self, dim: int, activation: Callable = torch.tanh):
        super().__init__(dim)


class GrowsWithEveryInstance(Head):
    """Has one more parameter with every instance."""

    instances = 0

    def __init__(self, dim: int):
        super().__init__(dim)
        GrowsWithEveryInstance.instances += 1
        self.extra = nn.Parameter(torch.zeros(GrowsWithEveryInstance.instances))


class WithoutGradient(Head):
    def forward(self, streams, present):
        return super().forward(streams, present).detach()


class InfiniteGradient(Head):
    def forward(self, streams, present):
        zero = (self.layer.bias * 0).sum()
        return super().forward(streams, present) + torch.sqrt(zero)


class Unregistered(Head):
    def __init__(self, dim: int):
        super().__init__(dim)
        self.offset = [torch.randn(dim)]

    def forward(self, streams, present):
        return super().forward(streams, present) + self.offset[0]


class Stochastic(Head):
    def forward(self, streams, present):
        out = super().forward(streams, present)
        return out * (1 + 1e-6 * torch.rand_like(out))


class CountsCalls(Head):
    def __init__(self, dim: int):
        super().__init__(dim)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, streams, present):
        self.calls += 1
        return super().forward(streams, present)


class NeedsTwoToTrain(Head):
    def forward(self, streams, present):
        out = super().forward(streams, present)
        if self.training and out[..., 0].numel() < 2:
            raise ValueError("expected more than one row in training")
        return out


class Float32Only(Head):
    def forward(self, streams, present):
        return super().forward(streams, present).float()


class DiffersInFloat64(Head):
    def forward(self, streams, present):
        return super().forward(streams, present) + float(self.layer.weight.dtype == torch.float64)


class NoAutocast(Head):
    def forward(self, streams, present):
        out = super().forward(streams, present)
        result = torch.empty(out.shape, dtype=self.layer.weight.dtype)
        return result.index_copy_(0, torch.arange(len(out)), out)


class Lazy(Head):
    def __init__(self, dim: int):
        super().__init__(dim)
        self.register_buffer("last", torch.zeros(0), persistent=True)

    def forward(self, streams, present):
        out = super().forward(streams, present)
        self.last = out.detach()[..., 0]
        return out


class WrongWidth(Head):
    def forward(self, streams, present):
        return super().forward(streams, present)[..., :-1]


class Penalised(Head):
    def penalty(self):
        return self.layer.weight.square().mean()


class TestPenalised(FusionHeadTests):
    plugin = Penalised


class PenaltyPerRow(Head):
    def penalty(self):
        return self.layer.weight.square().mean(0)


class PenaltyIsNaN(Head):
    def penalty(self):
        return self.layer.weight.mean() * float("nan")


class PenaltyWithoutGradient(Head):
    def penalty(self):
        return self.layer.weight.square().mean().detach()


class ExtraState(Head):
    """Has a state that is not a tensor beside its weights."""

    def get_extra_state(self):
        return {"met": {"a": torch.ones(2)}, "pattern": None}

    def set_extra_state(self, state):
        pass


class TestExtraState(FusionHeadTests):
    plugin = ExtraState


class Abstract(FusionHead):
    pass


CAUGHT = {
    Untyped: {"arguments"},
    Undocumented: {"arguments"},
    GrowsWithEveryInstance: {"spec", "state_dict"},
    WithoutGradient: {"gradients"},
    InfiniteGradient: {"gradients", "missing_values", "all_missing"},
    Unregistered: {"state_dict"},
    Stochastic: {"evaluation_mode"},
    CountsCalls: {"evaluation_mode"},
    NeedsTwoToTrain: {"training_mode"},
    Float32Only: {"float64"},
    DiffersInFloat64: {"float64"},
    NoAutocast: {"autocast"},
    Lazy: {"batch_size", "evaluation_mode"},
    PenaltyPerRow: {"penalty"},
    PenaltyIsNaN: {"penalty"},
    PenaltyWithoutGradient: {"penalty"},
}


def failed_checks(plugin, init_args=None):
    return {outcome.check: outcome.message for outcome in check_plugin(plugin, init_args) if outcome.status == "failed"}


@pytest.mark.parametrize("plugin", CAUGHT)
def test_caught_by_the_right_checks(plugin):
    failures = failed_checks(plugin)
    assert set(failures) == CAUGHT[plugin], failures


def test_an_argument_that_is_not_a_plain_value():
    assert set(failed_checks(Activated)) == set()
    assert "not a plain value" in failed_checks(Activated, {"activation": torch.relu})["spec"]


def test_a_class_that_cannot_be_imported():
    class Local(Head):
        pass

    assert "cannot be imported" in failed_checks(Local)["spec"]


def test_a_wrong_shape_is_reported_in_full():
    assert failed_checks(WrongWidth)["row_independence"] == "forward returns shape [4, 15]; it must be [4, 16]"


def test_a_class_that_cannot_be_constructed():
    assert "abstract" in failed_checks(Abstract)["subclass"]


def test_every_common_check_can_fail():
    elsewhere = {
        "subclass",
        "row_independence",
        "row_order",
        "dim",
        "trainable",
        "parameter_groups",
    }  # covered by the tests above, and by those of each kind
    assert set(checks_for(Part)) == set()
    own = {name for name, check in checks_for(FusionHead).items() if not check.__qualname__.startswith("FusionHeadChecks.")}
    assert own == set.union(*CAUGHT.values()) - {"missing_values", "all_missing"} | elsewhere
