"""Forward Lightning's hooks from the model to the plugins inside it."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.core.hooks import CheckpointHooks, ModelHooks

from interestlab.contract import Part

# Lightning's defaults of these hooks already switch the mode of all submodules.
_MODE_HOOKS = ("_model_train", "_model_eval", "_model_zero_grad")


class PluginHooks(LightningModule):
    """A LightningModule whose hooks call the hooks of every plugin inside it, in the order of the module tree."""

    def parts(self) -> Iterator[Part]:
        """Iterate over every plugin inside the model."""
        return (module for module in self.modules() if isinstance(module, Part))


def _make_hook(name: str) -> Callable[..., Any]:
    def hook(self: PluginHooks, *args: Any, **kwargs: Any) -> Any:
        results = [getattr(part, name)(*args, **kwargs) for part in self.parts()]
        return next((result for result in results if result is not None), None)  # -1 of on_train_batch_start skips the epoch

    hook.__name__, hook.__doc__ = name, f"Call ``{name}`` of every plugin."
    hook.__signature__ = inspect.signature(getattr(LightningModule, name))  # type: ignore[attr-defined]
    return hook


_on_hooks = [name for hooks in (ModelHooks, CheckpointHooks) for name in vars(hooks) if name.startswith("on_")]
for _name in ("setup", "configure_model", *(name for name in _on_hooks if not name.endswith(_MODE_HOOKS)), "teardown"):
    setattr(PluginHooks, _name, _make_hook(_name))
