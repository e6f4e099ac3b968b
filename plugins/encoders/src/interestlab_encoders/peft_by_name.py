"""Any method of PEFT, by its name."""

from dataclasses import fields
from typing import Any

from peft import PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.utils import PeftType

from interestlab_encoders.peft_encoder import PeftEncoder


class Peft(PeftEncoder):
    """A pretrained text encoder fine-tuned with any other method of PEFT, selected by name.

    Args:
        method: name of the method in PEFT, such as ``vera``, ``loha``, ``ln_tuning`` or ``prefix_tuning``.
        config: options of the method's PEFT config. ``target_modules``, if the method has them, are searched in the selected
            layers; the default is PEFT's default for this type of model.
        kwargs: arguments of every PEFT text encoder.

    Raises:
        ValueError: PEFT has no such method or option, or the method does not support this model.
    """

    def __init__(self, method: str, config: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.method, self.options = method, dict(config or {})

    def peft_config(self) -> PeftConfig:
        name = self.method.upper()
        if name == "ADALORA":  # PEFT leaves its allocation and its penalty to the caller
            raise ValueError("adalora is an encoder of its own: use adalora as the name of the encoder")
        if name not in PEFT_TYPE_TO_CONFIG_MAPPING:
            available = ", ".join(sorted(str(kind.value).lower() for kind in PEFT_TYPE_TO_CONFIG_MAPPING))
            raise ValueError(f"PEFT has no method '{self.method}'; it has {available}")
        kind, options = PeftType(name), dict(self.options)
        cls = PEFT_TYPE_TO_CONFIG_MAPPING[kind]
        if "target_modules" in {field.name for field in fields(cls)}:
            defaults = getattr(PEFT_TYPE_TO_TUNER_MAPPING.get(kind), "target_module_mapping", {})
            model_type = self.layer_stack.model.config.model_type
            if (targets := options.get("target_modules", defaults.get(model_type))) is None:
                raise ValueError(f"{self.method} has no default modules for a '{model_type}' model; set target_modules")
            options["target_modules"] = self.find_modules(targets)
        elif self.layers != "all":
            raise ValueError(f"'{self.method}' affects every layer, so layers={self.layers} is not possible; use layers=all")
        return cls(**options)
