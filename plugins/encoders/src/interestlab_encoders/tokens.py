"""From texts to token ids."""

import hashlib
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer

VERSION = 1
"""Raise it when the same tokenizer would give other rows, so that no stored rows of the old kind are met."""

BATCH = 4096

# The threads of the tokenizer do not survive a fork, and a worker that waits for them hangs; said before the fork, the
# library neither uses them there nor warns in every worker.
os.register_at_fork(before=partial(os.environ.setdefault, "TOKENIZERS_PARALLELISM", "false"))


class Tokens:
    """A model's own fast tokenizer, cutting at ``max_length`` and padding nothing.

    Args:
        folder: of the model.
        max_length: most tokens of a text, those that the model adds included.

    Raises:
        ValueError: the folder has no fast tokenizer, or ``max_length`` leaves no room for a word.
    """

    def __init__(self, folder: Path, max_length: int) -> None:
        # transformers makes one without a vocabulary where there is none
        if not any(file for kind in ("tokenizer.json", "vocab*", "*.model") for file in folder.glob(kind)):
            raise ValueError(f"the folder {folder} has no tokenizer (no tokenizer.json)")
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError) as err:
            raise ValueError(f"no tokenizer can be read from {folder}: {str(err).partition(chr(10))[0]}") from err
        if not tokenizer.is_fast:
            raise ValueError(f"the tokenizer of {folder} has no fast version (no tokenizer.json)")
        self.backend = tokenizer.backend_tokenizer
        added = self.backend.num_special_tokens_to_add(False)
        if max_length <= added:
            raise ValueError(f"max_length={max_length} leaves no room: the model itself adds {added} tokens to a text")
        self.backend.no_padding()
        self.backend.enable_truncation(max_length)
        #: the model's own limit, a very large number where it has none
        self.limit: int = tokenizer.model_max_length
        # GPT-like models add nothing, and a text of no token has no vector.
        self.empty: int = next(
            (i for i in (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id) if i is not None), 0
        )
        # The tokenizer's own text holds all that decides a row: vocabulary, rules, special tokens and truncation.
        digest = hashlib.sha256(self.backend.to_str().encode())
        self.key = f"tokens-{VERSION}-{max_length}-{self.empty}-{digest.hexdigest()[:16]}"

    def __call__(self, texts: Sequence[str]) -> list[np.ndarray]:
        """One int32 array ``[length]`` a text, never empty."""
        rows: list[np.ndarray] = []
        for start in range(0, len(texts), BATCH):
            encodings = self.backend.encode_batch_fast(list(texts[start : start + BATCH]))
            rows += [np.asarray(encoding.ids or [self.empty], dtype=np.int32) for encoding in encodings]
        return rows
