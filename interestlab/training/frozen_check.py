"""Whether training changed what it should, and nothing else."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from interestlab.errors import TrainingError

STEPS = 3
"""Steps after which every trained tensor must have moved: LoRA's A, for one, has no gradient before B left zero."""


class FrozenWeightCheck:
    """Remembers what of some modules was to be trained when they were built, and looks after training, by hash.

    An adapter that no optimiser sees, or a base that it does, trains without an error and gives numbers that mean
    something else than they say.

    Args:
        modules: by the name under which an error tells of them.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._modules = dict(modules)
        self._trained = {name for name, p in self._parameters() if p.requires_grad}
        self._before: dict[str, str] = {}
        self._first_step = 0
        self._goes_on = False

    def _parameters(self) -> list[tuple[str, nn.Parameter]]:
        return [
            (f"{key}.{name}", p) for key, module in self._modules.items() for name, p in module.named_parameters() if p.numel()
        ]

    def start(self, step: int) -> None:
        """Remember every tensor as it is at a step, unless a training goes on that remembers them."""
        if not self._goes_on:
            self._before, self._first_step = {name: digest(p) for name, p in self._parameters()}, step
        self._goes_on = False

    def state_dict(self) -> dict[str, Any]:
        """What is remembered, as plain values."""
        return {"before": dict(self._before), "first_step": self._first_step}

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Remember what :meth:`state_dict` gave, for the training that goes on."""
        if state and {name: kind(p) for name, p in self._parameters()} == {k: v.split()[0] for k, v in state["before"].items()}:
            self._before, self._first_step, self._goes_on = dict(state["before"]), state["first_step"], True

    def check(self, step: int) -> None:
        """Compare every tensor with what it was; nothing where none is remembered, as of a checkpoint of an earlier version.

        Raises:
            TrainingError: a frozen tensor moved, or a trained one did not.
        """
        if not self._before:
            return
        steps = step - self._first_step
        moved = {name for name, p in self._parameters() if self._before.get(name) != digest(p)}
        if wrong := sorted(moved - self._trained):
            raise TrainingError(
                f"training changed {told(wrong)}, frozen when the model was built; whatever was measured is not of this method."
            )
        still = sorted(self._trained - moved)
        # Not after a single step: a fusion head that starts at zero may hand no encoder a gradient before it moved itself.
        if (steps >= STEPS and still) or (steps > 1 and self._trained and len(still) == len(self._trained)):
            raise TrainingError(
                f"{steps} steps of training did not change {told(still)}; was it frozen after it was built, left out of the "
                "optimiser, or is its learning rate too small for its precision?"
            )


def told(names: list[str]) -> str:
    """Names of tensors, or the first and how many more."""
    return names[0] if len(names) == 1 else f"{len(names)} tensors, {names[0]} among them"


def digest(tensor: torch.Tensor) -> str:
    """Hash of a tensor's numbers, after what kind of numbers they are."""
    # A copy: sharded weights are freed by resizing, which torch does not do to what numpy has seen.
    numbers = tensor.detach().to("cpu", copy=True).contiguous().view(-1).view(torch.uint8).numpy().data
    return f"{kind(tensor)} {hashlib.sha256(numbers).hexdigest()}"


def kind(tensor: torch.Tensor) -> str:
    """What kind of numbers a tensor holds."""
    return str(tensor.dtype).removeprefix("torch.")
