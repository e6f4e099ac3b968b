"""Any other method of PEFT, by its name."""

from dataclasses import fields
from typing import Any

from peft import PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.utils import PeftType

from interestlab_encoders.tuned import Tuned


class Peft(Tuned):
    """A text model fine-tuned by any method that PEFT has, by name and with its own options.

    Args:
        method: name of the method in PEFT, such as ``vera``, ``loha``, ``ln_tuning`` or ``prefix_tuning``.
        config: options of the method as PEFT's config takes them. ``target_modules``, where the method has them, are
            looked for in the chosen layers; by default those that PEFT names for this type of model.
        kwargs: as for every tuned text encoder.

    Raises:
        ValueError: PEFT has no such method, or it has no such option, or does not take this model.
    """

    def __init__(self, method: str, config: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.method, self.options = method, dict(config or {})

    def config(self) -> PeftConfig:
        name = self.method.upper()
        if name == "ADALORA":  # PEFT leaves its allocation and its penalty to the caller
            raise ValueError("adalora is an encoder of its own here: give it as the encoder's name")
        if name not in PEFT_TYPE_TO_CONFIG_MAPPING:
            known = ", ".join(sorted(str(kind.value).lower() for kind in PEFT_TYPE_TO_CONFIG_MAPPING))
            raise ValueError(f"PEFT has no method '{self.method}'; it has {known}")
        kind, options = PeftType(name), dict(self.options)
        cls = PEFT_TYPE_TO_CONFIG_MAPPING[kind]
        if "target_modules" in {field.name for field in fields(cls)}:
            by_model_type = getattr(PEFT_TYPE_TO_TUNER_MAPPING.get(kind), "target_module_mapping", {})
            model_type = self.chain.model.config.model_type
            if (targets := options.get("target_modules", by_model_type.get(model_type))) is None:
                raise ValueError(f"PEFT names no modules of a '{model_type}' model for {self.method}; give target_modules")
            options["target_modules"] = self.places(targets)
        elif self.layers != "all":
            raise ValueError(f"'{self.method}' reaches every layer; layers={self.layers} cannot be chosen")
        return cls(**options)
