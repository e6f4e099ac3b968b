"""The pretrained weights that an encoder starts from: named by hash, and left out of its checkpoints where unchanged."""

import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

KEY = "base_sha256"
"""The buffer in which a state dict names its base."""

ASIDE = {"_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype", "use_cache"}
"""What of a config does not decide a vector."""


class Base:
    """Pretrained weights, as they were before fine-tuning touched the model.

    Args:
        model: as it was loaded.
        name: it was asked for by.
        form: what makes its inputs, where that is a part of it.

    Attributes:
        name: of the model.
        sha256: hash of its config, of all of its tensors, in the order of their names, and of ``form``.
    """

    def __init__(self, model: PreTrainedModel, name: str, form: str = "") -> None:
        self.name = name
        # The same tensors are another model with another number of heads; who saved it when does not matter.
        config = {key: value for key, value in model.config.to_diff_dict().items() if key not in ASIDE}
        digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
        for key, tensor in sorted(model.state_dict().items()):
            digest.update(key.encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        digest.update(form.encode())
        self.sha256 = digest.hexdigest()
        # By place: a strategy that shards weights puts others there.
        places = {id(p): (module, key) for module in model.modules() for key, p in module.named_parameters(recurse=False)}
        self._places = [places[id(p)] for p in model.parameters()]
        self._as_loaded = [written(p) for p in self.parameters]
        self._unchanged: list[tuple[nn.Module, str]] = []

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The model's own parameters, which fine-tuning may go on to train, and to wrap."""
        return [getattr(*place) for place in self._places]

    def leave_out_of(self, encoder: nn.Module) -> None:
        """Let the state dict of ``encoder`` name this base instead of repeating what of it is frozen and as it was loaded.

        A state dict over another base is then refused.
        """
        # Some methods start by moving a part of a weight into their own (PiSSA): that weight is no longer the base's.
        self._unchanged = [
            place
            for place, as_loaded in zip(self._places, self._as_loaded, strict=True)
            if written(getattr(*place)) == as_loaded
        ]
        encoder.register_buffer(KEY, torch.frombuffer(bytearray.fromhex(self.sha256), dtype=torch.uint8))
        encoder.register_state_dict_post_hook(leave_out)
        encoder.register_load_state_dict_pre_hook(fill_in)

    def unchanged(self) -> set[int]:
        """Ids of the parameters that are as they were loaded; one that was once met as trained no longer is."""
        self._unchanged = [place for place in self._unchanged if not getattr(*place).requires_grad]
        return {id(getattr(*place)) for place in self._unchanged}

    def changing(self, module: nn.Module) -> list[nn.Parameter]:
        """Parameters of a module that are not as this base gives them, or need not stay so."""
        unchanged = self.unchanged()
        return [p for p in module.parameters() if id(p) not in unchanged]

    def held(self, encoder: nn.Module) -> list[tuple[str, nn.Parameter]]:
        """Parameters of ``encoder`` that this base gives, by name."""
        unchanged = self.unchanged()
        named = encoder.named_parameters(remove_duplicate=False)  # PEFT gives some embeddings a second name
        return [(name, p) for name, p in named if id(p) in unchanged]

    def give_up(self, parameter: nn.Parameter) -> None:
        """Count a parameter no longer as this base's."""
        self._unchanged = [place for place in self._unchanged if getattr(*place) is not parameter]


def written(p: nn.Parameter) -> tuple[int, int, float]:
    """What changes when a parameter's numbers are written; their sum, as OLoRA writes where torch does not count it."""
    return p.data_ptr(), p._version, float(p.detach().sum())


def leave_out(encoder: Any, state_dict: dict[str, Tensor], prefix: str, _metadata: Any) -> None:
    """Drop from a state dict what the base gives."""
    for name, _ in encoder.base.held(encoder):
        state_dict.pop(prefix + name, None)


def fill_in(
    encoder: Any,
    state_dict: dict[str, Tensor],
    prefix: str,
    _metadata: Any,
    _strict: bool,
    _missing: list[str],
    _unexpected: list[str],
    errors: list[str],
) -> None:
    """Complete a state dict with what the base gives, or refuse one that was made over another base."""
    base, ours = encoder.base, getattr(encoder, KEY)
    theirs = state_dict.setdefault(prefix + KEY, ours)  # a checkpoint of before bases were named holds all of its weights
    if not torch.equal(theirs.cpu(), ours.cpu()):
        errors.append(
            f"{prefix.rstrip('.')} was trained on a base of sha256 {bytes(theirs.tolist()).hex()[:12]}…, and '{base.name}' is "
            f"{base.sha256[:12]}…; give the model that it was trained on."
        )
        state_dict[prefix + KEY] = ours
    for name, p in base.held(encoder):
        given = state_dict.setdefault(prefix + name, p.detach())
        if not torch.equal(given.to(p), p):
            base.give_up(p)
