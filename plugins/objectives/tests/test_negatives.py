import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab_objectives.bpr import Bpr
from interestlab_objectives.gbce import Gbce
from interestlab_objectives.interest import Interest
from interestlab_objectives.negatives import Scores, scores

WALKS = st.lists(st.lists(st.integers(0, 8), min_size=2, max_size=6), min_size=1, max_size=4)


def telling(step_of, walks, count):
    """A step whose score of an item is its index."""
    items, targets = [walk[:-1] for walk in walks], [walk[1:] for walk in walks]
    z = torch.arange(float(count)).expand(len(walks), max(map(len, items)), count)
    return step_of(items, targets, vectors=torch.eye(count), z=z)


@settings(max_examples=30, deadline=None)
@given(WALKS, st.integers(1, 40))
def test_what_counts_is_never_an_item_of_the_user(step_of, walks, n):
    step = telling(step_of, walks, 9)
    found = scores(step, n)
    assert found.wanted.tolist() == step.batch.targets[step.target_mask].tolist()
    for user, drawn, counted in zip(step.target_mask.nonzero()[:, 0], found.drawn, found.counted, strict=True):
        assert counted.tolist() == [int(item) not in walks[user] for item in drawn]


def test_what_does_not_count_has_no_share_in_the_mean():
    counted = torch.tensor([[True, False, True], [False, False, False]])
    found = Scores(torch.zeros(2), torch.zeros(2, 3), counted)
    assert found.mean(torch.tensor([[1.0, 9.0, 3.0], [4.0, 5.0, 6.0]])).tolist() == [2.0, 0.0]


def test_drawn_evenly_and_a_set_for_each_user(step_of):
    torch.manual_seed(0)
    first, same, other, _ = scores(telling(step_of, [[1, 2, 1], [3, 4, 3]], 8), 40_000).drawn
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    torch.testing.assert_close(torch.bincount(first.long()) / 40_000, torch.full((8,), 1 / 8), atol=0.01, rtol=0)


@pytest.mark.parametrize("plugin", [Bpr, Gbce, Interest])
def test_a_user_who_has_everything_is_compared_with_nothing(step_of, plugin):
    loss = plugin()(step_of([[0, 1]], [[1, 2]], vectors=torch.eye(3)))
    loss.backward()
    assert loss.isfinite()
    assert plugin is not Bpr or loss == 0


@pytest.mark.parametrize("plugin", [Bpr, Gbce, Interest])
@pytest.mark.parametrize("arguments", [{"temperature": 0.0}, {"negatives": 0}])
def test_refuses_what_has_no_meaning(plugin, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        plugin(**arguments)
