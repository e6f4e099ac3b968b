"""Check after training that it changed the trainable weights and no others."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from interestlab.errors import TrainingError
from interestlab.model.tensor_hash import dtype_name, hash_tensor

MIN_STEPS = 3
"""Steps after which every trainable tensor must have changed: LoRA's A has no gradient until B is no longer zero."""


class FrozenWeightCheck:
    """Record which weights are trainable when the modules are built, and compare hashes after training.

    Without it, an adapter that the optimiser misses, or a base that it trains by mistake, gives no error but metrics of
    another method.

    Args:
        modules: the modules by the name that errors use.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._modules = dict(modules)
        self._trainable = {name for name, p in self._parameters() if p.requires_grad}
        self._before: dict[str, str] = {}
        self._first_step = 0
        self._is_resumed = False

    def _parameters(self) -> list[tuple[str, nn.Parameter]]:
        return [
            (f"{key}.{name}", p) for key, module in self._modules.items() for name, p in module.named_parameters() if p.numel()
        ]

    def start(self, step: int) -> None:
        """Record the hash of every tensor, unless a resumed training has them from its checkpoint.

        Args:
            step: optimiser steps so far.
        """
        if not self._is_resumed:
            self._before, self._first_step = {name: hash_tensor(p) for name, p in self._parameters()}, step
        self._is_resumed = False

    def state_dict(self) -> dict[str, Any]:
        """Return the recorded hashes and the step, as plain values."""
        return {"before": dict(self._before), "first_step": self._first_step}

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Restore the hashes of a training that is resumed. Those of another model or precision are ignored.

        Args:
            state: from :meth:`state_dict`; None if the checkpoint has none.
        """
        dtypes = {name: dtype_name(p) for name, p in self._parameters()}
        if state and dtypes == {name: value.split()[0] for name, value in state["before"].items()}:
            self._before, self._first_step, self._is_resumed = dict(state["before"]), state["first_step"], True

    def check(self, step: int) -> None:
        """Compare every tensor with its recorded hash; nothing happens if none is recorded.

        Args:
            step: optimiser steps so far.

        Raises:
            TrainingError: a frozen tensor changed, or a trainable one did not.
        """
        if not self._before:
            return
        steps = step - self._first_step
        changed = {name for name, p in self._parameters() if self._before.get(name) != hash_tensor(p)}
        if wrong := sorted(changed - self._trainable):
            raise TrainingError(
                f"training changed {summarize(wrong)}, frozen when the model was built; its metrics do not measure this method."
            )
        unchanged = sorted(self._trainable - changed)
        # Not after one step: a fusion head that starts at zero passes no gradient to an encoder before its own first step.
        if (steps >= MIN_STEPS and unchanged) or (steps > 1 and self._trainable and len(unchanged) == len(self._trainable)):
            raise TrainingError(
                f"{steps} steps of training did not change {summarize(unchanged)}; was it frozen after it was built, left out "
                "of the optimiser, or is its learning rate too small for its precision?"
            )


def summarize(names: list[str]) -> str:
    """Summarize names of tensors: the name, or how many there are and the first.

    Args:
        names: at least one.
    """
    return names[0] if len(names) == 1 else f"{len(names)} tensors, {names[0]} among them"
