"""Characters that a tokenizer does not know, and a model with a larger vocabulary."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interestlab.pretraining.base import TextModel, load_masked_lm, load_tokenizer, quiet


def unknown_share(rows: Sequence[np.ndarray], unknown: int | None, special: Sequence[int]) -> float:
    """Return the share of unknown tokens among all tokens of texts that are no other special token.

    Args:
        rows: tokens of each text.
        unknown: the unknown token; None if the tokenizer has none.
        special: all special tokens, perhaps with the unknown one.
    """
    tokens = np.concatenate(rows)
    ignored = [token for token in special if token != unknown]
    words = tokens[~np.isin(tokens, ignored)]
    return float((words == unknown).mean()) if len(words) and unknown is not None else 0.0


def unknown_characters(texts: Sequence[str], tokenizer: Any, count: int) -> list[str]:
    """Return the characters that a tokenizer does not know and that occur most often.

    Args:
        texts: the texts.
        tokenizer: a tokenizer of transformers.
        count: largest number of characters.

    Returns:
        Characters that occur at least twice, most frequent first; equally frequent ones by code point.
    """
    frequency = Counter(character for text in texts for character in text if not character.isspace())
    candidates = sorted((c for c, n in frequency.items() if n > 1), key=lambda c: (-frequency[c], c))
    encodings = tokenizer(candidates, add_special_tokens=False)["input_ids"] if candidates else []
    unknown = [c for c, ids in zip(candidates, encodings, strict=True) if tokenizer.unk_token_id in ids]
    return unknown[:count]


def write_extended_model(base: TextModel, characters: Sequence[str], folder: Path) -> None:
    """Write a copy of a model whose vocabulary has further tokens, with the seed of torch.

    Their vectors are drawn with the mean and the standard deviation of the others: transformers would draw almost the same
    vector for all, and so for all texts of new tokens.

    Args:
        base: the model.
        characters: the new tokens.
        folder: an existing folder.
    """
    from tokenizers import AddedToken
    from transformers import MODEL_FOR_MASKED_LM_MAPPING

    tokenizer = load_tokenizer(base.folder)
    # matched as they are written: the normaliser of BERT would put spaces around them
    tokenizer.add_tokens([AddedToken(c, normalized=False, special=False) for c in characters])
    model: Any = base.pretrained_model
    if type(model.config) in MODEL_FOR_MASKED_LM_MAPPING:
        masked, new = load_masked_lm(base.folder)
        model = model if new else masked  # a head that the base brings is kept
    # the table may have more rows than the tokenizer has tokens
    size = max(len(model.get_input_embeddings().weight), len(tokenizer))
    model.resize_token_embeddings(size, mean_resizing=False)
    table = model.get_input_embeddings().weight.detach()
    first = len(tokenizer) - len(characters)
    table[first:] = table[:first].mean(0) + table[:first].std(0) * torch.randn_like(table[first:])
    with quiet():
        base.write_model(model, folder)
    tokenizer.save_pretrained(folder)
