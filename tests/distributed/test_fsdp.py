"""Strategies and parts that cannot use sharded weights are rejected, and the modules that are sharded."""

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
def test_strategies_whose_weights_cannot_be_evaluated_are_rejected(strategy):
    with pytest.raises(
        DataError, match=f"cannot read the weights that {strategy.__name__} shards; use --trainer.strategy=fsdp2"
    ):
        fsdp.check_strategy(strategy())


def test_users_of_full_weights():
    def find_users(optimizer, **encoders):
        backbone = SimpleNamespace(encoders=nn.ModuleDict(encoders))
        return fsdp.find_full_weight_users(SimpleNamespace(backbone=backbone, optim=Optim(optimizer=optimizer)))

    assert find_users("adamw", a=Part()) == []
    assert find_users("adafactor", a=Part(), b=nn.Sequential(Bounded())) == ["Bounded", "adafactor"]


def test_blocks_are_the_outermost_repeated_layers():
    inner = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    layers = nn.ModuleList([nn.Sequential(nn.ModuleList([nn.Linear(1, 1)])), nn.ModuleDict({"a": inner, "b": nn.Linear(1, 1)})])
    model = nn.ModuleDict({"backbone": nn.ModuleDict({"embedding": nn.Embedding(2, 1), "layers": layers})})
    assert list(fsdp.find_blocks(model)) == [layers[0], *inner]


class TwoLayerModel(nn.Module):
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


def test_weights_are_gathered_inside_the_context_and_sharded_outside(run_in_processes):
    """Also if only one process runs layers or reads a state dict, and for a copy that outlives the context."""

    def work(rank):
        torch.manual_seed(0)
        model = TwoLayerModel().double()
        original = {name: t.clone() for name, t in model.state_dict().items()}
        mesh = init_device_mesh("cpu", (world_size(),))
        for block in fsdp.find_blocks(model):
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        register_fsdp_forward_method(model, "training_step")
        outputs = []
        for _ in range(2):
            with fsdp.gathered_weights(model):
                assert not fsdp.is_sharded(model)
                copy = detached_copy(model.table)
                assert all(torch.equal(p, original[name]) for name, p in model.named_parameters())
                if rank == 1:
                    outputs.append(model.layers[0](torch.ones(4, dtype=torch.float64)))
                    assert torch.equal(model.state_dict()["layers.1.weight"], original["layers.1.weight"])
            assert fsdp.is_sharded(model)
            assert all(torch.equal(p, original[f"table.{name}"]) for name, p in copy.named_parameters())
            assert all(isinstance(p, DTensor) for p in model.parameters())
            model.training_step(torch.tensor([rank])).backward()
        gathered = fsdp.gather_state({"weights": dict(model.named_parameters()), "rank": rank})
        return {k: v for k, v in gathered["weights"].items() if rank == 0}

    first, *others = run_in_processes(work)
    torch.manual_seed(0)
    model = TwoLayerModel().double()
    assert others == [{}, {}]
    assert {name: t.tolist() for name, t in first.items()} == {name: p.tolist() for name, p in model.named_parameters()}
