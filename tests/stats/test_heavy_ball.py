from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.data.event_store import PreparationSettings, open_event_store
from interestlab.drift.changes import label_sessions
from interestlab.drift.interests import taxonomy_interests
from interestlab.drift.session_log import build_session_log
from interestlab.errors import DataError
from interestlab.stats.heavy_ball import fit_momentum, log_likelihood
from interestlab_sources.momentum import GAIN, sample_popularity, simulate_categories
from interestlab_sources.simulated import Simulated


def simulate(alpha: float, beta: float, users: int = 400, steps: float = 25, interests: int = 8, seed: int = 0):
    rng = np.random.default_rng(seed)
    lengths = 2 + rng.poisson(rng.gamma(2.0, (steps - 2) / 2, size=users))
    return offsets_of(lengths), simulate_categories(rng, lengths, sample_popularity(rng, interests), alpha, beta)


def offsets_of(lengths) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def stepwise_log_likelihood(offsets, labels, parameters: torch.Tensor) -> torch.Tensor:
    """``[U]`` log-likelihood of each user, one label at a time, as the equations are written."""
    alpha, beta, gain = parameters[:3]
    b = torch.cat([parameters[3:], torch.zeros(1, dtype=parameters.dtype)])
    values = []
    for begin, end in pairwise(offsets):
        value, now, last = parameters.sum() * 0, torch.zeros_like(b), torch.zeros_like(b)
        for label in labels[begin:end]:
            value = value + torch.log_softmax(gain * now + b, 0)[label]
            target = torch.zeros_like(b)
            target[label] = 1
            target -= 1 / len(b)  # as in the simulation; the fit does not centre
            now, last = (1 + alpha - beta) * now - alpha * last + beta * target, now
        values.append(value)
    return torch.stack(values)


@settings(deadline=None)
@given(st.data())
def test_likelihood_and_derivatives_are_those_of_the_equations(data):
    interests = data.draw(st.integers(2, 4))
    lengths = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    labels = np.array(
        data.draw(st.lists(st.integers(0, interests - 1), min_size=sum(lengths), max_size=sum(lengths))), np.int64
    )
    alpha = data.draw(st.floats(-0.9, 0.9))
    beta = data.draw(st.floats(0.05, 0.95)) * 2 * (1 + alpha)
    rest = data.draw(st.lists(st.floats(-2, 2), min_size=interests - 1, max_size=interests - 1))
    parameters = torch.tensor([alpha, beta, data.draw(st.floats(0.1, 5)), *rest], dtype=torch.float64)
    offsets = offsets_of(lengths)

    fit = log_likelihood(offsets, labels, parameters.numpy(), with_hessian=True)
    assert fit.value == pytest.approx(stepwise_log_likelihood(offsets, labels, parameters).sum().item(), abs=1e-9)
    scores = torch.autograd.functional.jacobian(lambda p: stepwise_log_likelihood(offsets, labels, p), parameters).numpy()
    hessian = torch.autograd.functional.hessian(lambda p: stepwise_log_likelihood(offsets, labels, p).sum(), parameters).numpy()
    for ours, theirs in ((fit.gradient, scores.sum(axis=0)), (fit.score_covariance, scores.T @ scores), (fit.hessian, hessian)):
        np.testing.assert_allclose(ours, theirs, atol=1e-7 * (1 + np.abs(theirs).max()))


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.3), (-0.4, 0.6), (0.8, 0.1)])
def test_recovers_the_simulated_parameters(alpha, beta):
    offsets, labels = simulate(alpha, beta)
    fit = fit_momentum(offsets, labels, 8, level=0.01)
    assert fit.alpha_low < alpha < fit.alpha_high
    assert fit.beta_low < beta < fit.beta_high
    assert fit.gain_low < GAIN < fit.gain_high
    assert fit.p < 1e-6
    assert fit.alpha_high - fit.alpha_low < 0.2
    assert (fit.num_users, fit.num_labels) == (400, len(labels))


def test_an_exponential_average_has_no_momentum():
    fit = fit_momentum(*simulate(0.0, 0.3), 8)
    assert fit.alpha_low < 0 < fit.alpha_high
    assert fit.p > 0.05
    assert fit.beta_low < 0.3 < fit.beta_high


def test_recovers_the_parameters_from_an_event_log(tmp_path):
    source = Simulated(users=400, visit=1.0, events=30, momentum=(0.5, 0.3), seed=1)
    log = build_session_log(open_event_store(source, PreparationSettings(), tmp_path, 0.0))
    interests = taxonomy_interests(log, np.zeros((log.items.height, 1), np.float32))
    fit = fit_momentum(*label_sessions(log, interests)[:2], len(interests))
    assert fit.alpha_low < 0.5 < fit.alpha_high
    assert fit.beta_low < 0.3 < fit.beta_high
    assert fit.gain_low < GAIN < fit.gain_high


def test_order_of_users_and_numbering_of_interests_change_nothing():
    offsets, labels = simulate(0.4, 0.3, users=120, interests=5)
    rng = np.random.default_rng(1)
    order, names = rng.permutation(120), rng.permutation(7)  # two interests have no labels
    shuffled = np.concatenate([names[labels[offsets[u] : offsets[u + 1]]] for u in order])
    original = fit_momentum(offsets, labels, 5)
    reordered = fit_momentum(offsets_of(np.diff(offsets)[order]), shuffled, 7)
    for name in ("alpha", "alpha_low", "beta", "beta_high", "gain", "gain_low", "log_likelihood", "p"):
        assert getattr(reordered, name) == pytest.approx(getattr(original, name), rel=1e-3, abs=1e-4)


def test_errors_are_clustered_by_user():
    """Doubling the users narrows the intervals by the square root of two."""
    offsets, labels = simulate(0.4, 0.3, users=120, interests=5)
    single = fit_momentum(offsets, labels, 5)
    doubled = fit_momentum(offsets_of(np.tile(np.diff(offsets), 2)), np.tile(labels, 2), 5)
    ratio = (single.alpha_high - single.alpha_low) / (doubled.alpha_high - doubled.alpha_low)
    assert ratio == pytest.approx(np.sqrt(2), rel=0.02)
    assert doubled.alpha == pytest.approx(single.alpha, abs=1e-3)


rng = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("lengths", "labels", "match"),
    [
        ([10] * 5, rng.integers(4, size=50), "too few"),
        ([2] * 300, rng.integers(4, size=600), "too few"),
        ([20] * 100, rng.integers(4, size=2000), "no more than at random"),
        ([20] * 100, np.repeat(rng.integers(4, size=100), 20), "does not converge"),
        ([20] * 100, np.zeros(2000, int), "one interest"),
        ([20] * 100, np.full(2000, 4), "labels must be 0 to 3"),
        ([20] * 100, np.full(2000, -1), "labels must be 0 to 3"),
        ([20] * 100, np.zeros(1999, int), "offsets"),
        ([], np.zeros(0, int), "too few"),
    ],
)
def test_data_without_an_estimate_are_reported_in_one_line(lengths, labels, match):
    with pytest.raises(DataError, match=match) as error:
        fit_momentum(offsets_of(lengths), labels, 4)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_intervals_have_their_coverage(alpha):
    fits = [fit_momentum(*simulate(alpha, 0.3, users=150, steps=20, interests=4, seed=s), 4) for s in range(40)]
    for name, truth in (("alpha", alpha), ("beta", 0.3), ("gain", GAIN)):
        inside = [getattr(f, f"{name}_low") <= truth <= getattr(f, f"{name}_high") for f in fits]
        assert np.mean(inside) >= 0.85
        values = np.array([getattr(f, name) for f in fits])
        assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(len(values))
