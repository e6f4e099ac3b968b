"""FSDP2: a job whose processes each hold a share of the weights, of their gradients and of what the optimiser keeps of them.

Outside of a training step there are whole weights only: an evaluation, the guard and what is kept of frozen layers read them
in :func:`whole`.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import (
    DDPStrategy,
    DeepSpeedStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
    Strategy,
    StrategyRegistry,
)
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from interestlab import processes
from interestlab.contract import DataError, Part


class FSDP2Strategy(DDPStrategy):
    """``--trainer.strategy=fsdp2``: the step of DDP, of which each process keeps its share of the weights alone.

    A repeated block of layers is whole in a process while it runs, everything else for the length of a step. A checkpoint
    is the one file that DDP writes. See :func:`torch.distributed.fsdp.fully_shard` (arXiv 2304.11277).
    """

    def setup(self, trainer: Trainer) -> None:
        assert self.model is not None
        if not shares(self.model):
            super().setup(trainer)
            return
        # What was trained is tested: its weights are in their places, and the same in all processes.
        assert self.accelerator is not None
        self.accelerator.setup(trainer)
        self.setup_precision_plugin()

    def teardown(self) -> None:
        """Leave the weights where they are: Lightning's own moves them to the CPU, from where shares cannot be gathered."""
        assert self.cluster_environment is not None
        assert self.accelerator is not None
        self.cluster_environment.teardown()
        self.precision_plugin.teardown()
        self.accelerator.teardown()

    def configure_ddp(self) -> None:
        """Share out the weights, which are whole until now."""
        assert self.model is not None
        mesh = init_device_mesh(self.root_device.type, (self.world_size,))
        with torch.no_grad():
            for tensor in (*self.model.parameters(), *self.model.buffers()):
                distributed.broadcast(tensor, 0)
        for block in blocks(self.model.get_submodule("encoders")):
            fully_shard(block, mesh=mesh)
        fully_shard(self.model, mesh=mesh)
        register_fsdp_forward_method(self.model, "training_step")

    def lightning_module_state_dict(self) -> dict[str, Any]:
        return collected(super().lightning_module_state_dict())

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        assert self.lightning_module is not None
        parameters = dict(self.lightning_module.named_parameters())
        state = {name: shared(value, parameters.get(name)) for name, value in checkpoint["state_dict"].items()}
        super().load_model_state_dict({**checkpoint, "state_dict": state}, strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        return collected(super().optimizer_state(optimizer))

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        super().load_optimizer_state_dict(checkpoint)
        for optimizer in self.optimizers:
            for parameter, kept in optimizer.state.items():
                kept.update({name: shared(value, parameter) for name, value in kept.items()})


StrategyRegistry.register("fsdp2", FSDP2Strategy, description="Weights, gradients and optimiser split over the processes")


def supported(strategy: Strategy, parts: Iterable[Part], optimizer: str) -> None:
    """Refuse what would read a share of the weights as if it were all.

    Raises:
        DataError: the strategy splits weights and is one of Lightning's own, which an evaluation cannot read; or is
            ``fsdp2``, and a part has a penalty on weights inside of its layers, or the optimiser looks at whole matrices.
    """
    if isinstance(strategy, FSDPStrategy | ModelParallelStrategy | DeepSpeedStrategy):
        said = f"{type(strategy).__name__} splits weights over processes in a way that an evaluation cannot read"
        raise DataError(f"{said}; take --trainer.strategy=fsdp2.")
    if isinstance(strategy, FSDP2Strategy):
        whole = [type(part).__name__ for part in parts if type(part).penalty is not Part.penalty]
        whole += ["adafactor"] if optimizer == "adafactor" else []
        if whole:
            raise DataError(f"{', '.join(whole)} needs whole weights, which fsdp2 splits; take --trainer.strategy=ddp.")


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The repeated layers of a module: what its outermost ``nn.ModuleList`` hold."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from blocks(child)


def shares(module: nn.Module) -> list[FSDPModule]:
    """What of a module is shared out; nothing under another strategy."""
    return [m for m in module.modules() if isinstance(m, FSDPModule)]


@contextmanager
def whole(module: nn.Module) -> Iterator[None]:
    """Every weight of a module as one tensor, to be read and not to be written. All processes enter and leave together."""
    held = shares(module)
    for share in held:
        share.set_reshard_after_forward(False, recurse=False)
        share.unshard()
    try:
        yield
    finally:
        for share in held:
            share.set_reshard_after_forward(share is not held[0], recurse=False)  # the outermost is whole for a step
            share.reshard()


def shared(value: Any, like: Tensor | None) -> Any:
    """A value as shares like those of a parameter, if it is one for each of its numbers."""
    if isinstance(like, DTensor) and isinstance(value, Tensor) and value.shape == like.shape:
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return value


def collected(state: Any) -> Any:
    """A state with whole tensors in the place of shares, on the CPU of the first process; called by all together."""

    def gathered(share: DTensor) -> Tensor:
        whole = share.full_tensor()
        return whole.cpu() if processes.first() else share

    return apply_to_collection(state, DTensor, gathered)
