"""Section ``momentum``: estimates of alpha and beta from users who follow the heavy ball."""

import argparse

import numpy as np

from benchmarks.drift.planted import DAYS, LEVEL, Values
from interestlab.data.datamodule import InterestData
from interestlab.drift.changes import label_sessions
from interestlab.drift.interests import taxonomy_interests
from interestlab.drift.session_log import build_session_log
from interestlab.errors import DataError
from interestlab.stats.heavy_ball import fit_momentum
from interestlab_sources.simulated import Simulated

MOMENTA = ((0.0, 0.3), (0.4, 0.3))
"""True alpha and beta of the logs."""


def evaluate_momentum(options: argparse.Namespace, values: Values) -> None:
    """Estimate both parameters from ``--repeats`` logs each; a fit may be refused.

    Args:
        options: the command line, with the folder of the stores.
        values: the measurements are appended here.
    """
    for alpha, beta in MOMENTA:
        for repeat in range(options.repeats):
            shop = {"users": 300, "items": 64, "categories": 8, "events": 40, "visit": 1, "days": DAYS}
            data = InterestData(Simulated(**shop, momentum=(alpha, beta), seed=repeat), cache_dir=str(options.cache))
            events = build_session_log(data.log)
            interests = taxonomy_interests(events, np.zeros((events.items.height, 1), np.float32))
            offsets, labels, _ = label_sessions(events, interests)
            key = ("momentum", alpha, beta)
            try:
                fit = fit_momentum(offsets, labels, len(interests))
            except DataError:
                values[*key, "refused"].append(1.0)
                continue
            values[*key, "refused"].append(0.0)
            for name, estimate, low, high, truth in (
                ("alpha", fit.alpha, fit.alpha_low, fit.alpha_high, alpha),
                ("beta", fit.beta, fit.beta_low, fit.beta_high, beta),
            ):
                values[*key, name].append(estimate)
                values[*key, f"{name} width"].append(high - low)
                values[*key, f"{name} covered"].append(float(low <= truth <= high))
            values[*key, "p <= .05"].append(float(fit.p <= LEVEL))
