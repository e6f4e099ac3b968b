"""Lightning's hooks, passed on from the model to its parts."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.core.hooks import CheckpointHooks, ModelHooks

from interestlab.contract import Part

# Lightning's own defaults for these switch train and eval mode of the whole tree already.
_MODES = ("_model_train", "_model_eval", "_model_zero_grad")


class HookRelay(LightningModule):
    """A LightningModule whose hooks run those of every part inside it, in the order of the tree."""

    def parts(self) -> Iterator[Part]:
        """Every plugin inside the model."""
        return (module for module in self.modules() if isinstance(module, Part))


def _relay(name: str) -> Callable[..., Any]:
    def hook(self: HookRelay, *args: Any, **kwargs: Any) -> Any:
        answers = [getattr(part, name)(*args, **kwargs) for part in self.parts()]
        return next((answer for answer in answers if answer is not None), None)  # -1 of on_train_batch_start skips

    hook.__name__, hook.__doc__ = name, f"Run ``{name}`` of every part."
    hook.__signature__ = inspect.signature(getattr(LightningModule, name))  # type: ignore[attr-defined]
    return hook


_on = [name for hooks in (ModelHooks, CheckpointHooks) for name in vars(hooks) if name.startswith("on_")]
for _name in ("setup", "configure_model", *(name for name in _on if not name.endswith(_MODES)), "teardown"):
    setattr(HookRelay, _name, _relay(_name))
