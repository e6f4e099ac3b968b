"""What cannot read a share of the weights is refused, and what is shared out of a model."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import strategies
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from interestlab.contract import Part
from interestlab.distributed import fsdp
from interestlab.distributed.rank import world_size
from interestlab.errors import DataError
from interestlab.model.frozen import detached_copy
from interestlab.training.optimizers import Optim


class Bounded(Part):
    def penalty(self):
        return torch.zeros(())


@pytest.mark.parametrize("strategy", [strategies.FSDPStrategy, strategies.ModelParallelStrategy])
def test_a_strategy_that_an_evaluation_cannot_read_is_refused(strategy):
    with pytest.raises(
        DataError, match=f"cannot read the weights that {strategy.__name__} shards; use --trainer.strategy=fsdp2"
    ):
        fsdp.check_strategy(strategy())


def test_what_needs_whole_weights():
    def of(optimizer, **encoders):
        backbone = SimpleNamespace(encoders=nn.ModuleDict(encoders))
        return fsdp.find_full_weight_users(SimpleNamespace(backbone=backbone, optim=Optim(optimizer=optimizer)))

    assert of("adamw", a=Part()) == []
    assert of("adafactor", a=Part(), b=nn.Sequential(Bounded())) == ["Bounded", "adafactor"]


def test_blocks_are_the_outermost_repeated_layers():
    inner = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    layers = nn.ModuleList([nn.Sequential(nn.ModuleList([nn.Linear(1, 1)])), nn.ModuleDict({"a": inner, "b": nn.Linear(1, 1)})])
    model = nn.ModuleDict({"backbone": nn.ModuleDict({"embedding": nn.Embedding(2, 1), "layers": layers})})
    assert list(fsdp.find_blocks(model)) == [layers[0], *inner]


class Stepping(nn.Module):
    """Two layers and a table."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

    def training_step(self, items):
        states = self.table(items)
        for layer in self.layers:
            states = layer(states).tanh()
        return states.square().mean()


def test_weights_are_whole_inside_and_shares_outside(in_each):
    """Also where one process alone runs layers or reads a state dict, and where a float64 copy is kept."""

    def work(rank):
        torch.manual_seed(0)
        model = Stepping().double()
        told = {name: t.clone() for name, t in model.state_dict().items()}
        mesh = init_device_mesh("cpu", (world_size(),))
        for block in fsdp.find_blocks(model):
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        register_fsdp_forward_method(model, "training_step")
        found = []
        for _ in range(2):
            with fsdp.gathered_weights(model):
                assert not fsdp.is_sharded(model)
                copy = detached_copy(model.table)
                assert all(torch.equal(p, told[name]) for name, p in model.named_parameters())
                if rank == 1:
                    found.append(model.layers[0](torch.ones(4, dtype=torch.float64)))
                    assert torch.equal(model.state_dict()["layers.1.weight"], told["layers.1.weight"])
            assert fsdp.is_sharded(model)
            assert all(torch.equal(p, told[f"table.{name}"]) for name, p in copy.named_parameters())
            assert all(isinstance(p, DTensor) for p in model.parameters())
            model.training_step(torch.tensor([rank])).backward()
        whole = fsdp.gather_state({"weights": dict(model.named_parameters()), "rank": rank})
        return {k: v for k, v in whole["weights"].items() if rank == 0}

    first, *others = in_each(work)
    torch.manual_seed(0)
    model = Stepping().double()
    assert others == [{}, {}]
    assert {name: t.tolist() for name, t in first.items()} == {name: p.tolist() for name, p in model.named_parameters()}
