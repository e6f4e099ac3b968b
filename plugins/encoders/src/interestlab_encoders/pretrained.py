"""Loading pretrained models from a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging


def load_pretrained(folder: Path, kind: str = "text") -> PreTrainedModel:
    """Load the model of a folder in float32 and evaluation mode, without its pooler and without network access.

    Args:
        folder: folder with a config and safetensors weights.
        kind: kind of model for error messages, such as ``text`` or ``vision``.

    Returns:
        the model.

    Raises:
        ValueError: the folder holds no readable model, an encoder-decoder, or incomplete weights.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if config.is_encoder_decoder:
            raise ValueError("it is an encoder-decoder; use an encoder or a decoder")
        # The key-value cache is for generation; here it would only use memory.
        config.use_cache = False
        with _quiet():
            model, info = _from_pretrained(folder, config)
    except Exception as err:  # a config can be wrong in many ways, each with its own type of error
        raise ValueError(f"cannot load a {kind} model from {folder}: {one_line(err)}") from err
    # transformers only warns and initialises missing tensors randomly.
    if missing := sorted(info["missing_keys"]):
        raise ValueError(f"the weights in {folder} lack {len(missing)} tensors of the model, for example {missing[0]}")
    return model.float()


def one_line(err: Exception) -> str:
    """Format an error in one line, with its type unless the message is self-explanatory (``KeyError: 'gelu'``).

    Args:
        err: the error.

    Returns:
        the first line of its message.
    """
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
        # The parameters of a pooler would never receive a gradient: the poolings here use the tokens themselves.
        return AutoModel.from_pretrained(folder, add_pooling_layer=False, **arguments)
    except TypeError:  # most models have no such option
        return AutoModel.from_pretrained(folder, **arguments)


def max_positions(model: PreTrainedModel) -> int | None:
    """Return the largest number of tokens for which a model has positions.

    Args:
        model: a text model.

    Returns:
        the number, or None if the model has no limit.
    """
    limit = getattr(model.config, "max_position_embeddings", None) or 0
    for name, module in model.named_modules():
        # The positions of RoBERTa start after the index of the padding.
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
