"""Base class of the text encoders that PEFT fine-tunes: few new parameters besides frozen pretrained ones."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from peft import PeftConfig, PeftModel, TaskType, get_peft_model
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from interestlab_encoders.model_folder import MINILM
from interestlab_encoders.text import TextEncoder

Layers = int | Literal["all"]


class PeftEncoder(TextEncoder):
    """A text encoder fine-tuned with PEFT. Subclasses return the method and its options in :meth:`peft_config`.

    Args:
        layers: number of top layers to fine-tune, or ``all``. The layers below are computed once per text.
        kwargs: arguments of every text encoder.
    """

    pretrained_model: PeftModel

    def __init__(self, layers: Layers = "all", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers = layers

    @abstractmethod
    def peft_config(self) -> PeftConfig:
        """Return the configuration of the PEFT method; :meth:`find_modules` gives the names of its target modules."""

    def adapt(self, pretrained_model: PreTrainedModel) -> nn.Module:
        name = type(self).__name__.lower()
        try:
            config = self.peft_config()
            config.task_type = TaskType.FEATURE_EXTRACTION
            model = get_peft_model(pretrained_model, config)
        except (ImportError, TypeError, ValueError) as err:
            reason = " ".join(str(err).split())
            raise ValueError(f"{name} does not support '{self.base.name}' with these options: {reason}") from err
        # Where PEFT looks for the base model of an exported adapter, also on another machine.
        config.base_model_name_or_path = MINILM if self.base.name == "minilm" else self.base.name
        if not any(p.requires_grad for p in model.parameters()):
            raise ValueError(f"{name} has no parameter to train in '{self.base.name}'; change its options")
        return model

    def find_modules(self, suffixes: str | list[str] | None) -> list[str]:
        """Find modules in the selected layers, or in the whole model if all layers are selected.

        Args:
            suffixes: suffixes of their names; ``all-linear`` or None for all linear modules.

        Returns:
            full names.

        Raises:
            ValueError: no module has such a name.
        """
        roots = [self.layer_stack.model] if self.layers == "all" else self.layer_stack.top_layers(self.layers)
        modules = [module for root in roots for module in root.modules()]
        linear = self.layer_stack.module_names([module for module in modules if isinstance(module, nn.Linear | Conv1D)])
        if suffixes in ("all-linear", None):
            return linear
        suffixes = [suffixes] if isinstance(suffixes, str) else suffixes
        names = self.layer_stack.module_names(modules)
        matches = [name for name in names if any(f".{name}".endswith(f".{suffix}") for suffix in suffixes)]
        if not matches:
            available = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
            raise ValueError(f"no module is named {', '.join(suffixes)}; the linear modules are named {available}")
        return matches

    def resolve_targets(self, targets: str | list[str], defaults: Mapping[str, Any]) -> list[str]:
        """Find the modules that an argument names.

        Args:
            targets: an argument of :meth:`find_modules`, or ``auto``.
            defaults: PEFT's default suffixes by type of model, for ``auto``; a missing type means all linear modules.

        Returns:
            full names.

        Raises:
            ValueError: no module has such a name.
        """
        return self.find_modules(defaults.get(self.layer_stack.model.config.model_type) if targets == "auto" else targets)

    def export(self, folder: Path, *, merged: bool) -> None:
        if not merged:
            self.pretrained_model.save_pretrained(str(folder))
            return
        try:
            model = self.pretrained_model.merge_and_unload(safe_merge=True)
        except (AttributeError, NotImplementedError) as err:
            name = type(self).__name__.lower()
            raise ValueError(f"{name} does not change weights of '{self.base.name}', so it cannot be merged into them") from err
        self.write_model(model, folder)
