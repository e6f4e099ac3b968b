"""Convert texts to token ids."""

import hashlib
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer

VERSION = 1
"""Increase it when the same tokenizer files would give other rows, so that stored rows are not reused."""

BATCH = 4096

# The threads of the tokenizer do not survive a fork, and a worker that waits for them hangs. With this variable set before
# the fork, the library neither uses threads in workers nor warns there.
os.register_at_fork(before=partial(os.environ.setdefault, "TOKENIZERS_PARALLELISM", "false"))


class FastTokenizer:
    """The fast tokenizer of a model, with truncation and without padding.

    Args:
        folder: folder of the model.
        max_length: maximum number of tokens per text, including the special tokens that the model adds.
        special_tokens: whether the special tokens of the model (such as [CLS]) are added.

    Attributes:
        limit: maximum number of tokens of the model; a very large number if it has none.
        empty_id: token id that represents an empty text.
        key: identifies the tokenizer and its options; it changes whenever the rows change.

    Raises:
        ValueError: the folder has no fast tokenizer, or ``max_length`` leaves no room for a word.
    """

    def __init__(self, folder: Path, max_length: int, special_tokens: bool = True) -> None:
        # without these files, transformers creates a tokenizer with an empty vocabulary
        if not any(file for kind in ("tokenizer.json", "vocab*", "*.model") for file in folder.glob(kind)):
            raise ValueError(f"the folder {folder} has no tokenizer (no tokenizer.json)")
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError) as err:
            raise ValueError(f"cannot load a tokenizer from {folder}: {str(err).partition(chr(10))[0]}") from err
        if not tokenizer.is_fast:
            raise ValueError(f"the tokenizer of {folder} has no fast version (no tokenizer.json)")
        self.backend = tokenizer.backend_tokenizer
        self.special_tokens = special_tokens
        num_special = self.backend.num_special_tokens_to_add(False) if special_tokens else 0
        if max_length <= num_special:
            raise ValueError(f"max_length={max_length} leaves no room for words: the model adds {num_special} tokens to a text")
        self.backend.no_padding()
        self.backend.enable_truncation(max_length)
        self.limit: int = tokenizer.model_max_length
        # GPT-like models add no special tokens, and a text without tokens has no vector.
        self.empty_id: int = next(
            (i for i in (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id) if i is not None), 0
        )
        # The serialised tokenizer contains everything that determines a row: vocabulary, rules, special tokens, truncation.
        digest = hashlib.sha256(self.backend.to_str().encode())
        version = VERSION if special_tokens else f"{VERSION}-plain"
        self.key = f"tokens-{version}-{max_length}-{self.empty_id}-{digest.hexdigest()[:16]}"

    def __call__(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Tokenise texts.

        Args:
            texts: texts to tokenize.

        Returns:
            one int32 array ``[length]`` per text, never empty.
        """
        rows: list[np.ndarray] = []
        for start in range(0, len(texts), BATCH):
            encodings = self.backend.encode_batch_fast(
                list(texts[start : start + BATCH]), add_special_tokens=self.special_tokens
            )
            rows += [np.asarray(encoding.ids or [self.empty_id], dtype=np.int32) for encoding in encodings]
        return rows
