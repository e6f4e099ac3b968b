"""Pretrained weights: identified by hash, and omitted from checkpoints if they are unchanged."""

import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

KEY = "base_sha256"
"""Name of the buffer that identifies the base weights in a state dict."""

IGNORED_CONFIG_KEYS = {"_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype", "use_cache"}
"""Keys of a model's config that do not affect its output."""


class BaseWeights:
    """The weights of a pretrained model before fine-tuning.

    Args:
        model: the model as it was loaded.
        name: the name or folder that the user gave.
        preprocessing: description of the preprocessing that belongs to the model, if any; part of the hash.

    Attributes:
        name: the name or folder that the user gave.
        sha256: hash of the config, of all tensors in the order of their names, and of ``preprocessing``.
    """

    def __init__(self, model: PreTrainedModel, name: str, preprocessing: str = "") -> None:
        self.name = name
        # The config is part of the hash: the same tensors with another number of heads are another model.
        config = {key: value for key, value in model.config.to_diff_dict().items() if key not in IGNORED_CONFIG_KEYS}
        digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
        for key, tensor in sorted(model.state_dict().items()):
            digest.update(key.encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        digest.update(preprocessing.encode())
        self.sha256 = digest.hexdigest()
        # Modules and attribute names instead of parameters, because a strategy that shards weights replaces parameters.
        slots = {id(p): (module, key) for module in model.modules() for key, p in module.named_parameters(recurse=False)}
        self._slots = [slots[id(p)] for p in model.parameters()]
        self._fingerprints = [_fingerprint(p) for p in self.parameters]
        self._unchanged: list[tuple[nn.Module, str]] = []

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The model's own parameters; fine-tuning may train them or wrap their modules."""
        return [getattr(*slot) for slot in self._slots]

    def exclude_from_state_dict(self, encoder: nn.Module) -> None:
        """Omit frozen, unchanged weights from an encoder's state dict and store the hash of the base weights instead.

        Loading a state dict that was saved with other base weights raises an error.

        Args:
            encoder: the module that owns this object as its attribute ``base``.
        """
        # Some methods start by moving a part of a weight into their own parameters (PiSSA): it then differs from the base.
        self._unchanged = [
            slot
            for slot, fingerprint in zip(self._slots, self._fingerprints, strict=True)
            if _fingerprint(getattr(*slot)) == fingerprint
        ]
        encoder.register_buffer(KEY, torch.frombuffer(bytearray.fromhex(self.sha256), dtype=torch.uint8))
        encoder.register_state_dict_post_hook(_remove_base_weights)
        encoder.register_load_state_dict_pre_hook(_add_base_weights)

    def unchanged_ids(self) -> set[int]:
        """Return the ids of all frozen parameters that still have their pretrained values.

        A parameter that was trainable in any earlier call counts as changed.

        Returns:
            ``id`` of each parameter.
        """
        self._unchanged = [slot for slot in self._unchanged if not getattr(*slot).requires_grad]
        return {id(getattr(*slot)) for slot in self._unchanged}

    def changeable_parameters(self, module: nn.Module) -> list[nn.Parameter]:
        """Return the parameters of a module that are trainable or differ from the pretrained values.

        Args:
            module: the fine-tuned model.

        Returns:
            the parameters, in the order of the module.
        """
        unchanged = self.unchanged_ids()
        return [p for p in module.parameters() if id(p) not in unchanged]

    def unchanged_parameters(self, encoder: nn.Module) -> list[tuple[str, nn.Parameter]]:
        """Return the parameters of an encoder that are frozen and still have their pretrained values.

        Args:
            encoder: the encoder.

        Returns:
            names and parameters.
        """
        unchanged = self.unchanged_ids()
        named = encoder.named_parameters(remove_duplicate=False)  # PEFT registers some embeddings under a second name
        return [(name, p) for name, p in named if id(p) in unchanged]

    def mark_changed(self, parameter: nn.Parameter) -> None:
        """Treat a parameter as different from its pretrained values from now on.

        Args:
            parameter: one of :attr:`parameters`.
        """
        self._unchanged = [slot for slot in self._unchanged if getattr(*slot) is not parameter]


def _fingerprint(p: nn.Parameter) -> tuple[int, int, float]:
    """Return values that change when a parameter is written; the sum covers OLoRA, whose writes torch does not count."""
    return p.data_ptr(), p._version, float(p.detach().sum())


def _remove_base_weights(encoder: Any, state_dict: dict[str, Tensor], prefix: str, _metadata: Any) -> None:
    """Remove unchanged base weights from a state dict (a hook of torch)."""
    for name, _ in encoder.base.unchanged_parameters(encoder):
        state_dict.pop(prefix + name, None)


def _add_base_weights(
    encoder: Any,
    state_dict: dict[str, Tensor],
    prefix: str,
    _metadata: Any,
    _strict: bool,
    _missing: list[str],
    _unexpected: list[str],
    errors: list[str],
) -> None:
    """Add unchanged base weights to a state dict, or report an error if it belongs to another base (a hook of torch)."""
    base, expected = encoder.base, getattr(encoder, KEY)
    actual = state_dict.setdefault(prefix + KEY, expected)  # a checkpoint without a hash holds all weights
    if not torch.equal(actual.cpu(), expected.cpu()):
        errors.append(
            f"{prefix.rstrip('.')} was trained from base weights with sha256 {bytes(actual.tolist()).hex()[:12]}…, but "
            f"'{base.name}' has {base.sha256[:12]}…; use the model that it was trained from."
        )
        state_dict[prefix + KEY] = expected
    for name, p in base.unchanged_parameters(encoder):
        value = state_dict.setdefault(prefix + name, p.detach())
        if not torch.equal(value.to(p), p):
            base.mark_changed(p)
