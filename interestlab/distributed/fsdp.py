"""FSDP2: a job whose processes each hold a share of the weights, of their gradients and of what the optimiser keeps of them.

Outside of a training step there are whole weights only: an evaluation, the guard and what is kept of frozen layers read them
in :func:`gathered_weights`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.overrides.distributed import _sync_module_states
from lightning.pytorch.strategies import (
    DDPStrategy,
    DeepSpeedStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
    Strategy,
    StrategyRegistry,
)
from lightning.pytorch.trainer.states import TrainerFn
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from interestlab.contract import Part
from interestlab.distributed import collectives
from interestlab.errors import DataError


class FSDP2Strategy(DDPStrategy):
    """``--trainer.strategy=fsdp2``: the step of DDP, of which each process keeps its share of the weights alone.

    A repeated block of layers is whole in a process while it runs, everything else for the length of a step. A checkpoint
    is the one file that DDP writes. See :func:`torch.distributed.fsdp.fully_shard` (arXiv 2304.11277).
    """

    def setup(self, trainer: Trainer) -> None:
        assert self.model is not None
        if not fsdp_modules(self.model):
            super().setup(trainer)
            return
        if trainer.state.fn == TrainerFn.FITTING:
            raise DataError("a model that fsdp2 trained cannot be trained again in the same process; load its checkpoint.")
        # What was trained is tested: its weights are in their places, and the same in all processes.
        assert self.accelerator is not None
        self.accelerator.setup(trainer)
        self.setup_precision_plugin()

    def teardown(self) -> None:
        assert self.model is not None
        if not fsdp_modules(self.model):
            super().teardown()
            return
        # Lightning's own moves weights to the CPU, from where shares of a GPU cannot be gathered.
        assert self.cluster_environment is not None
        assert self.accelerator is not None
        self.cluster_environment.teardown()
        self.precision_plugin.teardown()
        self.accelerator.teardown()
        self.checkpoint_io.teardown()

    def configure_ddp(self) -> None:
        """Share out the weights, which are whole until now.

        Raises:
            DataError: an encoder has a penalty, which would see shares of its weights, or the optimiser needs whole matrices.
        """
        model: Any = self.model
        if named := needing_whole_weights(model):
            raise DataError(f"{', '.join(named)} needs whole weights, which fsdp2 splits; take --trainer.strategy=ddp.")
        mesh = init_device_mesh(self.root_device.type, (self.world_size,))
        _sync_module_states(model)
        for block in blocks(model.encoders):
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        register_fsdp_forward_method(model, "training_step")

    def lightning_module_state_dict(self) -> dict[str, Any]:
        return gather_state(super().lightning_module_state_dict())

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        assert self.lightning_module is not None
        parameters = dict(self.lightning_module.named_parameters(remove_duplicate=False))
        state = {name: shard_like(value, parameters.get(name)) for name, value in checkpoint["state_dict"].items()}
        super().load_model_state_dict({**checkpoint, "state_dict": state}, strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        return gather_state(super().optimizer_state(optimizer))

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        held = []
        for optimizer, told in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            kept = {i: {name: shard_like(v, parameters[i]) for name, v in kept.items()} for i, kept in told["state"].items()}
            held.append({**told, "state": kept})
        super().load_optimizer_state_dict({"optimizer_states": held})


StrategyRegistry.register("fsdp2", FSDP2Strategy, description="Weights, gradients and optimiser split over the processes")


def check_strategy(strategy: Strategy) -> None:
    """Refuse Lightning's own strategies that split weights.

    Raises:
        DataError: it is one; an evaluation reads whole weights, and would read parts without a word.
    """
    if isinstance(strategy, FSDPStrategy | ModelParallelStrategy | DeepSpeedStrategy):
        said = f"{type(strategy).__name__} splits weights over processes in a way that an evaluation cannot read"
        raise DataError(f"{said}; take --trainer.strategy=fsdp2.")


def needing_whole_weights(model: Any) -> list[str]:
    """Of an InterestModel, the encoders with a penalty on weights, and an optimiser that looks at whole matrices."""
    parts = (part for part in model.encoders.modules() if isinstance(part, Part))
    named = [type(part).__name__ for part in parts if type(part).penalty is not Part.penalty]
    return [*named, "adafactor"] if model.optim.optimizer == "adafactor" else named


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The repeated layers of a module: what its outermost ``nn.ModuleList`` hold."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            for layer in child:
                # Containers are not called, so nothing would gather what they hold.
                yield from blocks(nn.ModuleList([layer])) if isinstance(layer, nn.ModuleList | nn.ModuleDict) else [layer]
        else:
            yield from blocks(child)


def fsdp_modules(module: nn.Module) -> list[Any]:
    """What of a module is shared out; nothing under another strategy."""
    return [m for m in module.modules() if isinstance(m, FSDPModule)]


HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_state_dict_pre_hooks")
"""Where torch gathers and frees weights. Some of what runs in :func:`gathered_weights` runs in one process alone."""


@contextmanager
def gathered_weights(module: nn.Module) -> Iterator[None]:
    """Every weight of a module as one tensor, to be read and not to be written, nor kept: it is freed on leaving.

    All processes enter and leave together; inside of it each does as it likes.
    """
    held = fsdp_modules(module)
    for share in held:
        share.unshard()
    hooks = [vars(m)[name] for m in module.modules() for name in HOOKS if held]
    before = [hooked.copy() for hooked in hooks]
    for hooked in hooks:
        for key in [key for key, hook in hooked.items() if of_fsdp(hook)]:
            del hooked[key]
    try:
        yield
    finally:
        for hooked, was in zip(hooks, before, strict=True):
            hooked.clear()
            hooked.update(was)
        for share in held:
            share.reshard()


def is_sharded(module: nn.Module) -> bool:
    """Whether this process holds shares of a module's weights just now, and gathers them while it runs."""
    return any(of_fsdp(hook) for share in fsdp_modules(module) for hook in share._forward_pre_hooks.values())


def of_fsdp(hook: Any) -> bool:
    """Whether a hook is one of torch's, that gathers or frees weights."""
    return str(getattr(hook, "__module__", "")).startswith("torch.distributed.fsdp")


def shard_like(value: Any, like: Tensor | None) -> Any:
    """A value as shares like those of a parameter, if it is one for each of its numbers."""
    if isinstance(like, DTensor) and isinstance(value, Tensor) and value.shape == like.shape:
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return value


def gather_state(state: Any) -> Any:
    """A state with whole tensors in the place of shares, on the CPU of the first process; called by all together."""

    def gathered(share: DTensor) -> Tensor:
        tensor = share.full_tensor()
        return tensor.cpu() if collectives.is_rank_zero() else share

    return apply_to_collection(state, DTensor, gathered)
