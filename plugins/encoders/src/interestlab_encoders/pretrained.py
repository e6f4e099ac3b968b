"""From a folder to the model in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging


def load(folder: Path, kind: str = "text") -> PreTrainedModel:
    """The model of a folder, in float32 and in evaluation mode, without its pooler; the hub is never asked.

    Raises:
        ValueError: the folder holds no model of that kind, an encoder-decoder, or not all of its weights.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if config.is_encoder_decoder:
            raise ValueError("it is an encoder-decoder; an encoder or a decoder is needed")
        # Keys and values of the past are for writing text; reading it would only fill memory with them.
        config.use_cache = False
        with _quiet():
            model, info = _from_pretrained(folder, config)
    except Exception as err:  # a config can be wrong in any way, and each has an error of its own
        raise ValueError(f"no {kind} model can be read from {folder}: {told(err)}") from err
    # transformers only warns, and starts from random numbers.
    if missing := sorted(info["missing_keys"]):
        raise ValueError(f"the weights in {folder} lack {len(missing)} of the model's tensors, {missing[0]} among them")
    return model.float()


def told(err: Exception) -> str:
    """An error in one line, with its type where the message alone would be a riddle (``KeyError: 'gelu'``)."""
    reason = str(err).strip().partition("\n")[0]
    return reason if isinstance(err, OSError | ValueError) else f"{type(err).__name__}: {reason}"


def _from_pretrained(folder: Path, config: AutoConfig) -> tuple[PreTrainedModel, dict[str, set[str]]]:
    arguments = {
        "config": config,
        "local_files_only": True,
        "use_safetensors": True,
        "trust_remote_code": False,
        "output_loading_info": True,
    }
    try:
        # A pooler would be parameters that never see a gradient: the poolings here read the tokens themselves.
        return AutoModel.from_pretrained(folder, add_pooling_layer=False, **arguments)
    except TypeError:  # most models have none to leave out
        return AutoModel.from_pretrained(folder, **arguments)


def positions(model: PreTrainedModel) -> int | None:
    """How many tokens the model can tell apart by place; None where it sets no limit."""
    limit = getattr(model.config, "max_position_embeddings", None) or 0
    for name, module in model.named_modules():
        # RoBERTa counts from behind the padding's own index.
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            limit = module.num_embeddings - module.padding_idx - 1
    return limit if limit > 0 else None


@contextmanager
def _quiet() -> Iterator[None]:
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
