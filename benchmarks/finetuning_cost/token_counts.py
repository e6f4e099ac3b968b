"""Count users, targets, titles and tokens of batches under each choice of padding."""

import argparse
from typing import Any

import numpy as np

from benchmarks.finetuning_cost.data import SampledBatches, occurrences
from benchmarks.finetuning_cost.methods import AMORTISED, has_trained_layers
from benchmarks.harness.reference import MAX_HISTORY
from interestlab.data.fields import FieldValues
from interestlab.model.chunking import split_into_chunks

TOKEN_ROWS = {
    "1. histories padded to 50, titles to max_length: as published": "tokens_published",
    "2. histories padded to the longest of the batch": "tokens_histories_of_the_batch",
    "3. real events only": "tokens_real_events",
    "4. titles padded to the longest of the batch: plain": "tokens_plain",
    "5. each distinct title once": "tokens_distinct",
    "6. in chunks of similar length: interestlab": "tokens_ours",
    "   of these recomputed in the backward pass": "tokens_ours_again",
}
"""Key of each count, by the line that reports it."""


def count_batches(
    data: SampledBatches, titles: FieldValues, batches: list[list[int]], options: argparse.Namespace
) -> dict[str, np.ndarray]:
    """Return one array per count, with one value per batch.

    Args:
        data: the log.
        titles: titles of the catalogue as tokens.
        batches: indices of the users of each batch.
        options: the command line.
    """
    assert titles.rows is not None
    lengths, histories, counts = titles.rows.lengths, data.histories, []
    for users_of_batch in batches:
        batch = histories[users_of_batch]
        codes = titles.codes[occurrences(batch).numpy()]
        distinct = np.unique(codes[codes >= 0])
        widest = int(lengths[distinct].max())
        parts = split_into_chunks(distinct, titles.rows, options.max_tokens)
        chunk_tokens = [len(part) * int(lengths[part].max()) for part in parts]
        users, longest = batch.mask.shape
        counts.append(
            {
                "users": users,
                "events": int(batch.mask.sum()),
                "targets": int((batch.targets >= 0).sum()),
                "titles": len(codes),
                "distinct": len(distinct),
                "tokens_published": users * (MAX_HISTORY + 1) * options.max_length,
                "tokens_histories_of_the_batch": users * (longest + 1) * options.max_length,
                "tokens_real_events": len(codes) * options.max_length,
                "tokens_plain": len(codes) * widest,
                "tokens_distinct": len(distinct) * widest,
                "tokens_ours": sum(chunk_tokens),
                "tokens_ours_again": sum(chunk_tokens[options.chunks_with_activations :]),
            }
        )
    return {key: np.array([count[key] for count in counts]) for key in counts[0]}


def count_refresh_tokens(titles: FieldValues, options: argparse.Namespace) -> int:
    """Return the tokens of the whole catalogue, which a refresh of the table of vectors reads.

    Args:
        titles: titles of the catalogue as tokens.
        options: the command line.
    """
    assert titles.rows is not None
    parts = split_into_chunks(np.arange(titles.size), titles.rows, options.max_tokens)
    return sum(len(part) * int(titles.rows.lengths[part].max()) for part in parts)


def layer_passes(side: str, epoch: dict[str, Any]) -> list[tuple[int, int]]:
    """Return the tokens of an epoch and the layers that they pass through, forward and then backward.

    Args:
        side: name of the side.
        epoch: counts of the epoch.
    """
    kind, _, method = side.partition(" ")
    is_plain = kind == "plain"
    layers = 0 if not is_plain and not has_trained_layers(method) else 2 if method.startswith("lora, top 2") else 6
    if method.endswith(AMORTISED):  # few chunks remain, so few are recomputed
        encoded = round(epoch["share"] * epoch["tokens_ours"])
        return [(encoded + epoch["tokens_refresh"], layers), (encoded, layers)]
    tokens = epoch["tokens_plain"] if is_plain else epoch["tokens_ours"]
    recomputed = 0 if is_plain else epoch["tokens_ours_again"]
    return [((tokens + recomputed) * (layers > 0), layers), (tokens * (layers > 0 and method != "frozen"), layers)]
