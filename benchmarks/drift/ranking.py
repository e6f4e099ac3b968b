"""Section ``rank``: how well scores separate one kind of user from another, and the tests of evolution."""

import argparse
from collections.abc import Iterator

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.drift.planted import KINDS, LEVEL, Key, PlantedLog, Values
from interestlab import encoders
from interestlab.drift.evolution import measure_evolution
from interestlab.drift.migration import measure_migration
from interestlab.drift.shares import InterestShares
from interestlab.drift.vectors import cooccurrence_vectors, encode_items, reduce_dimensions

MIGRATION_SCORES = ("|M|", "M excess", "tv")
"""Scores of migration; the others are scores of evolution."""
Scores = dict[str, np.ndarray]
"""``[U]`` one value per user, by name."""


def evaluate_ranking(options: argparse.Namespace, values: Values, log: PlantedLog, key: Key, seed: int) -> None:
    """Score users with each kind of item vectors, in windows of each size.

    Args:
        options: the command line.
        values: the measurements are appended here.
        log: the log.
        key: visit and reading of the log.
        seed: seed of the log.
    """
    for vectors, positions in item_vectors(options, log):
        interests = log.interests_at(positions)
        for n in options.events:
            shares, has_enough = log.windows(interests, n)
            rng = np.random.default_rng([seed, n])
            scores: Scores = {"|M|": np.linalg.norm(shares.decomposition.migration, axis=1)}
            p_values: Scores = {}
            if key[1] == "all":  # evolvers are the same in both readings
                evolution_scores, p_values = score_evolution(shares, options.draws, rng)
                scores |= evolution_scores
            if vectors == options.vectors[0]:  # these do not depend on the vectors
                result = measure_migration(shares, options.draws, rng)
                scores |= {"M excess": result.excess, "tv": result.tv}
            record_auroc(values, log, has_enough, scores, (*key, n, vectors))
            for name, p in p_values.items():
                for kind in KINDS:
                    users = has_enough & (log.kind == kind)
                    values["evolution", *key, n, vectors, kind, name].append(float((p[users] <= LEVEL).mean()))


def score_evolution(shares: InterestShares, draws: int, rng: np.random.Generator) -> tuple[Scores, Scores]:
    """Return the scores of evolution, and the p-values of its tests.

    Args:
        shares: interest shares before and after.
        draws: permutations of the tests.
        rng: random state of the tests.
    """
    result = measure_evolution(shares, draws, rng)
    p_values = {
        "evolution": result.p,
        "displacement": result.p_displacement,
        "entropy": result.p_entropy,
        "depth": result.p_depth,
    }
    scores = {"|E|": np.linalg.norm(shares.decomposition.evolution, axis=1), "E excess": result.excess}
    return scores | {"-p entropy": -result.p_entropy, "-p depth": -result.p_depth}, p_values


def record_auroc(values: Values, log: PlantedLog, has_enough: np.ndarray, scores: Scores, key: Key) -> None:
    """Append the AUROC of each score against each other kind of users."""
    for name, score in scores.items():
        positive = "migrate" if name in MIGRATION_SCORES else "evolve"
        for other in {*KINDS} - {positive}:
            users = has_enough & np.isin(log.kind, (positive, other))
            ranked = np.nan_to_num(score[users], nan=np.nanmin(score))
            values["rank", *key, name, other].append(roc_auc_score(log.kind[users] == positive, ranked))


def item_vectors(options: argparse.Namespace, log: PlantedLog) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and ``[N, D]`` of each kind of item vectors."""
    for name in options.vectors:
        if name == "users":
            yield name, cooccurrence_vectors(log.session_log)
        else:
            encoder = encoders.frozen(fields=["item.title"], max_length=64)
            yield name, reduce_dimensions(encode_items(log.data, log.session_log, encoder))[0]
