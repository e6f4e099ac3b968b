"""Export the step of a frozen model with :func:`torch.export.export`, to run without this package."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

from interestlab.contract import State
from interestlab.model.frozen import FrozenModel


class StepModule(nn.Module):
    """:meth:`FrozenModel.step` as the forward of a module. A state is a list of tensors, so it needs no class of a plugin.

    Args:
        frozen: the frozen model.
    """

    def __init__(self, frozen: FrozenModel) -> None:
        super().__init__()
        self.frozen = frozen
        _, self._structure = pytree.tree_flatten(frozen.init_state(1))

    def forward(self, state: Sequence[Tensor], event_embedding: Tensor, dt: Tensor) -> tuple[list[Tensor], Tensor]:
        """Follow one event of each user.

        Args:
            state: state of B users before the event, from :func:`flatten_state`.
            event_embedding: ``[B, D]``.
            dt: ``[B]`` days since the previous event.

        Returns:
            The state after the event, and the user state ``[B, D]`` or ``[B, K, D]``.
        """
        after, user_state = self.frozen.step(pytree.tree_unflatten(state, self._structure), event_embedding, dt)
        return flatten_state(after), user_state


def flatten_state(state: State) -> list[Tensor]:
    """Return the tensors of a state, in a fixed order.

    Args:
        state: a tensor, or a tuple, list or dict of tensors.
    """
    return pytree.tree_leaves(state)


@torch.no_grad()
def has_constant_state(frozen: FrozenModel) -> bool:
    """Return whether the state of a user keeps its size from event to event.

    The state of attention over the whole history does not: it contains the keys and values of every event.

    Args:
        frozen: the frozen model.
    """
    state = frozen.init_state(1)
    shapes = [tensor.shape for tensor in flatten_state(state)]
    for _ in range(2):
        state, _ = frozen.step(state, frozen.items[:1], frozen.items.new_zeros(1))
        if [tensor.shape for tensor in flatten_state(state)] != shapes:
            return False
    return True


@torch.no_grad()
def export_step(frozen: FrozenModel) -> ExportedProgram:
    """Export :class:`StepModule` for any batch size.

    Args:
        frozen: the frozen model.

    Returns:
        A program that maps a list of state tensors, ``event_embedding [B, D]`` and ``dt [B]`` to the state after the event and
        the user state.

    Raises:
        ValueError: the state grows with the history, so its shape is not known in advance.
    """
    if not has_constant_state(frozen):
        name = type(frozen.dynamics).__name__
        raise ValueError(f"the state of {name} grows with the history, so its step cannot be exported; use another dynamics.")
    # Clones, as torch takes tensors that share memory for one input, and an initial state may hold one tensor twice.
    state = [tensor.clone() for tensor in flatten_state(frozen.init_state(2))]
    inputs = (state, frozen.items.new_zeros(2, frozen.items.shape[1]), frozen.items.new_zeros(2))
    batch = Dim("batch")
    dynamic_shapes = ([{0: batch} for _ in state], {0: batch}, {0: batch})
    return torch.export.export(StepModule(frozen), inputs, dynamic_shapes=dynamic_shapes)
