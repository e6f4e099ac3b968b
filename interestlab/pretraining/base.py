"""The model that is pretrained further: found, tokenised, pooled and written by the project's text encoder ``full``.

The core imports no plugin, so the encoder is loaded by its name.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from interestlab.batch import Inputs
from interestlab.errors import DataError
from interestlab.registry import ENCODERS


class TextModel(Protocol):
    """What pretraining uses of a text encoder.

    Attributes:
        folder: folder of the model.
        pretrained_model: the model itself, without a head.
    """

    folder: Path
    pretrained_model: Any

    def pool(self, hidden: Tensor, inputs: Inputs) -> Tensor:
        """Pool token vectors ``[U, L, D]`` to text vectors ``[U, D]``.

        Args:
            hidden: the token vectors.
            inputs: the lengths of the texts.
        """

    def preprocess(self, values: Any) -> list[np.ndarray]:
        """Return the tokens of texts.

        Args:
            values: the texts.
        """

    def write_model(self, model: Any, folder: Path) -> None:
        """Write a model with the tokenizer and the pooling of this one.

        Args:
            model: a model of transformers.
            folder: an existing folder.
        """


def open_base(base: str, max_length: int) -> TextModel:
    """Load the model to start from.

    Args:
        base: ``minilm``, the name of a model on the Hugging Face hub, or its folder.
        max_length: maximum number of tokens per text.

    Raises:
        DataError: there is no such model, or it cannot be used.
        PluginError: the encoders of the project are not installed.
    """
    encoder: Any = ENCODERS.load("full")
    try:
        model: TextModel = encoder(fields=["item.title"], model=base, max_length=max_length)
    except ValueError as err:
        raise DataError(f"--base={base}: {' '.join(str(err).split())}") from err
    return model


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of transformers, which knows the special tokens of the model.

    Args:
        folder: folder of the model.
    """
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def load_masked_lm(folder: Path) -> tuple[Any, list[nn.Parameter]]:
    """Load a model with a head for masked language modelling.

    Args:
        folder: folder of a model; :func:`open_base` has checked it.

    Returns:
        The model, and the parameters of its head that are new because the folder has none.

    Raises:
        DataError: the type of model has no such head.
    """
    from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoConfig, AutoModelForMaskedLM

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        raise DataError(f"{folder}: a model of type {config.model_type} has no masked language model; use another objective.")
    with quiet():  # it would warn about the new head
        model, info = AutoModelForMaskedLM.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    new = set(info["missing_keys"])
    return model.float(), [p for name, p in model.named_parameters() if name in new]


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the progress bars and warnings of transformers inside of the ``with`` block."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
