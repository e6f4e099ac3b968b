"""What cannot read a share of the weights is refused, and what is shared out of a model."""

import pytest
import torch
from lightning.pytorch import strategies
from torch import nn

from interestlab import sharding
from interestlab.contract import DataError, Part


class Bounded(Part):
    def penalty(self):
        return torch.zeros(())


@pytest.mark.parametrize("strategy", [strategies.FSDPStrategy, strategies.ModelParallelStrategy])
def test_a_strategy_that_an_evaluation_cannot_read_is_refused(strategy):
    with pytest.raises(DataError, match=f"{strategy.__name__} splits weights .* take --trainer.strategy=fsdp2"):
        sharding.supported(strategy(), [], "adamw")


@pytest.mark.parametrize(("parts", "optimizer", "told"), [([Bounded()], "adamw", "Bounded"), ([], "adafactor", "adafactor")])
def test_what_needs_whole_weights_is_refused(parts, optimizer, told):
    with pytest.raises(DataError, match=f"{told} needs whole weights, which fsdp2 splits; take --trainer.strategy=ddp"):
        sharding.supported(sharding.FSDP2Strategy(), parts, optimizer)
    sharding.supported(strategies.DDPStrategy(), parts, optimizer)


def test_blocks_are_the_outermost_repeated_layers():
    inner = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    layers = nn.ModuleList([nn.Sequential(nn.Linear(1, 1)), nn.ModuleDict({"a": inner})])
    model = nn.ModuleDict({"backbone": nn.ModuleDict({"embedding": nn.Embedding(2, 1), "layers": layers})})
    assert list(sharding.blocks(model)) == list(layers)


def test_a_model_that_is_not_shared_out_is_whole():
    layer = nn.Linear(2, 2)
    with sharding.whole(layer):
        assert type(layer.weight) is nn.Parameter
