"""The probability that an item is among the candidates of a step."""

import pytest
import torch
from torch.nn import functional as F

from interestlab.training.logq import log_inclusion

SHARE = torch.tensor([0.5, 0.2, 0.1, 0.1, 0.06, 0.04])
CATALOGUE = len(SHARE)


def present(events, sampled, draws):
    """Return ``[draws, items]``: 1 where an item is among the candidates, else 0."""
    torch.manual_seed(0)
    event_items = torch.multinomial(SHARE, events * draws, replacement=True).view(draws, events)
    candidates = torch.cat([event_items, torch.randint(CATALOGUE, (draws, sampled))], 1)
    return F.one_hot(candidates, CATALOGUE).amax(1).float()


@pytest.mark.parametrize(("events", "sampled"), [(8, 0), (3, 5), (1, 1)])
def test_inclusion_probability_equals_the_frequency(events, sampled):
    expected = present(events, sampled, 20_000).mean(0)
    probability = log_inclusion(SHARE.log(), events, sampled, CATALOGUE).exp()
    torch.testing.assert_close(probability, expected, rtol=0, atol=0.015)


@pytest.mark.parametrize(("events", "sampled"), [(8, 0), (3, 5)])
def test_candidates_estimate_the_sum_over_the_catalogue(events, sampled):
    scores = torch.tensor([2.0, 0.0, 1.0, -1.0, 0.5, 1.5])
    corrected = scores - log_inclusion(SHARE.log(), events, sampled, CATALOGUE)
    partition = (present(events, sampled, 20_000) * corrected.exp()).sum(1).mean()
    torch.testing.assert_close(partition, scores.exp().sum(), rtol=0.02, atol=0)


def test_inclusion_of_rare_items_is_proportional_to_q():
    log_q = torch.tensor([1e-6, 3e-6, 1e-5]).log()
    correction = log_inclusion(log_q, 100, 0, CATALOGUE) - log_q
    torch.testing.assert_close(correction, correction[:1].expand(3), rtol=0, atol=1e-3)


def test_uniform_samples_dominate_if_there_are_many():
    log_q = torch.tensor([1e-6, 1e-2]).log()
    few, many = (log_inclusion(log_q, 10, sampled, 10_000) for sampled in (0, 100_000))
    assert few[1] - few[0] > 9
    assert (many[1] - many[0]).abs() < 1e-4


@pytest.mark.parametrize("catalogue", [1, 2])
def test_an_item_with_every_event_is_finite(catalogue):
    log_probability = log_inclusion(torch.zeros(1), torch.tensor(5), 7, catalogue)
    assert log_probability.isfinite().all()
    assert (log_probability <= 0).all()


def test_result_is_float32():
    assert log_inclusion(SHARE.double().log(), torch.tensor(8), 0, CATALOGUE).dtype == torch.float32
