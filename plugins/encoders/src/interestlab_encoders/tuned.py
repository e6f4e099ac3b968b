"""A text model fine-tuned by a method of PEFT: a few new parameters beside frozen pretrained ones."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from peft import PeftConfig, PeftModel, TaskType, get_peft_model
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from interestlab_encoders.text import TextEncoder
from interestlab_encoders.weights import MINILM

Layers = int | Literal["all"]


class Tuned(TextEncoder):
    """A text model that a method of PEFT fine-tunes. Subclasses name the method and its options in :meth:`config`.

    Args:
        layers: how many of the top layers are tuned, or ``all``. What lies under them is computed once a text.
        kwargs: as for every text encoder.
    """

    backbone: PeftModel

    def __init__(self, layers: Layers = "all", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers = layers

    @abstractmethod
    def config(self) -> PeftConfig:
        """The method, as PEFT takes it; :meth:`places` says what can be named in it."""

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        try:
            config = self.config()
            config.task_type = TaskType.FEATURE_EXTRACTION
            model = get_peft_model(backbone, config)
        except (ImportError, TypeError, ValueError) as err:
            reason = " ".join(str(err).split())
            raise ValueError(f"{type(self).__name__.lower()} does not fit '{self.base.name}': {reason}") from err
        # Where the base of an exported adapter is looked for, on another machine too.
        config.base_model_name_or_path = MINILM if self.base.name == "minilm" else self.base.name
        if not any(p.requires_grad for p in model.parameters()):
            raise ValueError(f"{type(self).__name__.lower()} found nothing to train in '{self.base.name}'")
        return model

    def places(self, endings: str | list[str] | None) -> list[str]:
        """Full names of modules in the chosen layers, or in the whole model where all are chosen.

        Args:
            endings: how the names end; or ``all-linear``, which None is too.

        Raises:
            ValueError: no module is called so.
        """
        roots = [self.chain.model] if self.layers == "all" else self.chain.choose(self.layers)
        inside = [module for root in roots for module in root.modules()]
        linear = self.chain.names([module for module in inside if isinstance(module, nn.Linear | Conv1D)])
        if endings in ("all-linear", None):
            return linear
        endings = [endings] if isinstance(endings, str) else endings
        found = [name for name in self.chain.names(inside) if any(f".{name}".endswith(f".{ending}") for ending in endings)]
        if not found:
            shown = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
            raise ValueError(f"no module is called {', '.join(endings)}; the linear ones are called {shown}")
        return found

    def targets_of(self, targets: str | list[str], mapping: Mapping[str, Any]) -> list[str]:
        """:meth:`places` of an argument; ``auto``: what PEFT's ``mapping`` says of this type of model, or every linear one."""
        return self.places(mapping.get(self.chain.model.config.model_type) if targets == "auto" else targets)

    def export(self, folder: Path, *, merged: bool) -> None:
        if not merged:
            self.backbone.save_pretrained(str(folder))
            return
        try:
            model = self.backbone.merge_and_unload(safe_merge=True)
        except (AttributeError, NotImplementedError) as err:
            raise ValueError(
                f"what {type(self).__name__.lower()} learnt of '{self.base.name}' is no change of its weights"
            ) from err
        self.write_model(model, folder)
