import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab_objectives.bpr import Bpr
from interestlab_objectives.gbce import Gbce
from interestlab_objectives.interest import Interest
from interestlab_objectives.negatives import SampledScores, score_with_negatives

HISTORIES = st.lists(st.lists(st.integers(0, 8), min_size=2, max_size=6), min_size=1, max_size=4)


def step_with_index_scores(make_step, histories, count):
    """Build a step in which the score of an item is its index."""
    items, targets = [history[:-1] for history in histories], [history[1:] for history in histories]
    z = torch.arange(float(count)).expand(len(histories), max(map(len, items)), count)
    return make_step(items, targets, vectors=torch.eye(count), z=z)


@settings(deadline=None)
@given(HISTORIES, st.integers(1, 40))
def test_valid_negatives_are_never_items_of_the_user(make_step, histories, n):
    step = step_with_index_scores(make_step, histories, 9)
    scores = score_with_negatives(step, n)
    assert scores.positive.tolist() == step.batch.targets[step.target_mask].tolist()
    for user, negative, valid in zip(step.target_mask.nonzero()[:, 0], scores.negative, scores.valid, strict=True):
        assert valid.tolist() == [int(item) not in histories[user] for item in negative]


def test_invalid_negatives_are_excluded_from_the_mean():
    valid = torch.tensor([[True, False, True], [False, False, False]])
    scores = SampledScores(torch.zeros(2), torch.zeros(2, 3), valid)
    assert scores.mean_over_negatives(torch.tensor([[1.0, 9.0, 3.0], [4.0, 5.0, 6.0]])).tolist() == [2.0, 0.0]


def test_sampling_is_uniform_and_per_user(make_step):
    torch.manual_seed(0)
    first, same, other, _ = score_with_negatives(step_with_index_scores(make_step, [[1, 2, 1], [3, 4, 3]], 8), 40_000).negative
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    torch.testing.assert_close(torch.bincount(first.long()) / 40_000, torch.full((8,), 1 / 8), atol=0.01, rtol=0)


@pytest.mark.parametrize("plugin", [Bpr, Gbce, Interest])
def test_a_user_who_has_every_item_has_no_negatives(make_step, plugin):
    loss = plugin()(make_step([[0, 1]], [[1, 2]], vectors=torch.eye(3)))
    loss.backward()
    assert loss.isfinite()
    assert plugin is not Bpr or loss == 0


@pytest.mark.parametrize("plugin", [Bpr, Gbce, Interest])
@pytest.mark.parametrize("arguments", [{"temperature": 0.0}, {"negatives": 0}])
def test_invalid_arguments(plugin, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        plugin(**arguments)
