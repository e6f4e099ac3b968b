import pytest
import torch
from torch.nn import functional as F

from interestlab_objectives.next_item import NextItem

ITEMS, TARGETS = [[5, 3], [0]], [[3, 11], [17]]


@pytest.fixture
def make_example(make_step):
    """Two users with three targets, over the catalogue or some of its items."""
    return lambda **options: make_step(ITEMS, TARGETS, **options)


def test_loss_is_the_mean_over_targets(make_example):
    step = make_example()
    loss = NextItem(temperature=0.5)(step)
    rows = torch.stack([step.user_states[0, 0], step.user_states[0, 1], step.user_states[1, 0]])
    torch.testing.assert_close(loss, F.cross_entropy(rows @ step.candidates.embeddings.T / 0.5, torch.tensor([3, 11, 17])))
    loss.backward()
    assert step.event_embeddings.grad[step.target_mask].abs().sum(-1).all()
    assert not step.event_embeddings.grad[~step.target_mask].any()


def test_log_q_has_no_effect_with_the_catalogue(make_example):
    step = make_example(log_inclusion=-torch.rand(20))
    assert torch.equal(NextItem(log_q=True)(step), NextItem(log_q=False)(step))


@pytest.mark.parametrize("log_q", [True, False])
def test_batch_candidates(make_example, log_q):
    step = make_example(candidate_items=[0, 3, 5, 11, 17], log_inclusion=-torch.rand(5))
    logits = step.user_states[step.target_mask] @ step.candidates.embeddings.T
    if log_q:
        logits = logits - step.candidates.log_inclusion
    torch.testing.assert_close(NextItem("batch", 1.0, log_q)(step), F.cross_entropy(logits, torch.tensor([1, 3, 4])))


def test_a_batch_without_targets_has_zero_loss(make_step):
    step = make_step(ITEMS, [[-1, -1], [-1]])
    loss = NextItem()(step)
    loss.backward()
    assert loss.item() == 0
    assert not step.event_embeddings.grad.any()
    assert not step.candidates.embeddings.grad.any()


def test_training_reduces_the_loss(make_example):
    torch.manual_seed(0)
    items, z = (torch.nn.Parameter(torch.randn(*shape)) for shape in ((20, 6), (2, 2, 6)))
    optimizer = torch.optim.Adam([items, z], 0.1)
    for _ in range(50):
        optimizer.zero_grad()
        loss = NextItem()(make_example(vectors=F.normalize(items, dim=-1), z=F.normalize(z, dim=-1)))
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_candidates_attribute_and_spec():
    objective = NextItem(candidates="batch", temperature=1.0)
    assert objective.candidates == "batch"
    assert objective.spec["init_args"] == {"candidates": "batch", "temperature": 1.0}


@pytest.mark.parametrize("arguments", [{"temperature": 0.0}, {"chunk_elements": 0}])
def test_invalid_arguments(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        NextItem(**arguments)


def test_probability_is_not_defined():
    with pytest.raises(ValueError, match=r"NextItem .*no probability.*interest"):
        NextItem().probability(torch.zeros(3))
