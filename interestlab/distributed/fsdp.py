"""FSDP2: each process keeps only a shard of the weights, of their gradients and of the optimiser's state.

Whatever reads weights outside of a training step (an evaluation, the frozen-weight check, the cache of frozen layers) reads
them inside :func:`gathered_weights`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

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
from interestlab.distributed.rank import is_rank_zero
from interestlab.errors import DataError

P = ParamSpec("P")
R = TypeVar("R")
ModuleT = TypeVar("ModuleT", bound=nn.Module)


class FSDP2Strategy(DDPStrategy):
    """``--trainer.strategy=fsdp2``: the training step of DDP with sharded weights.

    A process gathers the weights of a repeated block of layers while the block runs, and all other weights for the length of
    a step. A checkpoint is one file, as under DDP. See :func:`torch.distributed.fsdp.fully_shard` (arXiv 2304.11277).
    """

    def setup(self, trainer: Trainer) -> None:
        assert self.model is not None
        if not fsdp_modules(self.model):
            super().setup(trainer)
            return
        if trainer.state.fn == TrainerFn.FITTING:
            raise DataError("fsdp2 cannot train a model twice in one process; load its checkpoint in a new process.")
        # The model was trained before this test, so its weights are sharded already.
        assert self.accelerator is not None
        self.accelerator.setup(trainer)
        self.setup_precision_plugin()

    def teardown(self) -> None:
        assert self.model is not None
        if not fsdp_modules(self.model):
            super().teardown()
            return
        # Lightning's teardown moves weights to the CPU, where shards of a GPU cannot be gathered.
        assert self.cluster_environment is not None
        assert self.accelerator is not None
        self.cluster_environment.teardown()
        self.precision_plugin.teardown()
        self.accelerator.teardown()
        self.checkpoint_io.teardown()

    def configure_ddp(self) -> None:
        """Shard the weights.

        Raises:
            DataError: an encoder has a penalty, which would see only shards, or the optimiser needs full matrices.
        """
        model: Any = self.model
        if names := find_full_weight_users(model):
            raise DataError(f"{', '.join(names)} needs full weights, which fsdp2 shards; use --trainer.strategy=ddp.")
        mesh = init_device_mesh(self.root_device.type, (self.world_size,))
        _sync_module_states(model)
        for block in find_blocks(model.backbone.encoders):
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
        states = []
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            sharded = {i: {name: shard_like(v, parameters[i]) for name, v in s.items()} for i, s in saved["state"].items()}
            states.append({**saved, "state": sharded})
        super().load_optimizer_state_dict({"optimizer_states": states})


StrategyRegistry.register("fsdp2", FSDP2Strategy, description="Weights, gradients and optimiser state sharded")


def check_strategy(strategy: Strategy) -> None:
    """Check that an evaluation can read the weights under a strategy.

    Args:
        strategy: the strategy of the trainer.

    Raises:
        DataError: it is a sharding strategy of Lightning's, under which an evaluation would silently read shards.
    """
    if isinstance(strategy, FSDPStrategy | ModelParallelStrategy | DeepSpeedStrategy):
        name = type(strategy).__name__
        raise DataError(f"an evaluation cannot read the weights that {name} shards; use --trainer.strategy=fsdp2.")


def find_full_weight_users(model: Any) -> list[str]:
    """Find what needs full weights in a training step.

    Args:
        model: an ``InterestModel``.

    Returns:
        Class names of the encoders with a penalty on their weights, and ``adafactor`` if it is the optimiser.
    """
    parts = (part for part in model.backbone.encoders.modules() if isinstance(part, Part))
    names = [type(part).__name__ for part in parts if type(part).penalty is not Part.penalty]
    return [*names, "adafactor"] if model.optim.optimizer == "adafactor" else names


def find_blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Find the repeated layers of a module.

    Args:
        module: searched from the outside in.

    Yields:
        Each layer of the outermost ``nn.ModuleList``.
    """
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            for layer in child:
                # Containers are never called, so torch would not gather the weights in them.
                is_container = isinstance(layer, nn.ModuleList | nn.ModuleDict)
                yield from find_blocks(nn.ModuleList([layer])) if is_container else [layer]
        else:
            yield from find_blocks(child)


def fsdp_modules(module: nn.Module) -> list[Any]:
    """Return the sharded submodules of a module; none under another strategy.

    Args:
        module: the module.
    """
    return [m for m in module.modules() if isinstance(m, FSDPModule)]


HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_state_dict_pre_hooks")
"""The hooks by which torch gathers and frees weights."""


@contextmanager
def gathered_weights(module: nn.Module) -> Iterator[None]:
    """Gather the full weights of a module. Inside the context they may be read, but neither changed nor stored.

    All processes have to enter and leave together. In between each may run the module alone: the hooks that would
    communicate are removed.

    Args:
        module: sharded, or not; then nothing happens.
    """
    sharded = fsdp_modules(module)
    for part in sharded:
        part.unshard()
    hook_dicts = [vars(m)[name] for m in module.modules() for name in HOOKS if sharded]
    saved = [hooks.copy() for hooks in hook_dicts]
    for hooks in hook_dicts:
        for key in [key for key, hook in hooks.items() if is_fsdp_hook(hook)]:
            del hooks[key]
    try:
        yield
    finally:
        for hooks, before in zip(hook_dicts, saved, strict=True):
            hooks.clear()
            hooks.update(before)
        for part in sharded:
            part.reshard()


def with_gathered_weights(method: Callable[Concatenate[ModuleT, P], R]) -> Callable[Concatenate[ModuleT, P], R]:
    """Run a method of a module inside :func:`gathered_weights`.

    Args:
        method: reads weights of its module; all processes call it together.
    """

    @wraps(method)
    def run(module: ModuleT, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with gathered_weights(module):
            return method(module, *args, **kwargs)

    return run


def is_sharded(module: nn.Module) -> bool:
    """Return whether a module has only shards of its weights now, which it gathers while it runs.

    Args:
        module: the module.
    """
    return any(is_fsdp_hook(hook) for part in fsdp_modules(module) for hook in part._forward_pre_hooks.values())


def is_fsdp_hook(hook: Any) -> bool:
    """Return whether torch registered a hook to gather or free weights.

    Args:
        hook: a hook of a module.
    """
    return str(getattr(hook, "__module__", "")).startswith("torch.distributed.fsdp")


def shard_like(value: Any, like: Tensor | None) -> Any:
    """Shard a tensor as a parameter is sharded.

    Args:
        value: anything; only a tensor of the parameter's shape is sharded.
        like: the parameter.

    Returns:
        The shard, or the unchanged value.
    """
    if isinstance(like, DTensor) and isinstance(value, Tensor) and value.shape == like.shape:
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return value


def gather_state(state: Any) -> Any:
    """Replace shards by full tensors on the CPU of the first process. All processes have to call it together.

    Args:
        state: a collection of tensors and plain values.

    Returns:
        The state; in other processes than the first with its shards.
    """

    def gather(shard: DTensor) -> Tensor:
        tensor = shard.full_tensor()
        return tensor.cpu() if is_rank_zero() else shard

    return apply_to_collection(state, DTensor, gather)
