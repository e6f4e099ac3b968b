import pytest
import torch
from torch.nn import functional as F

from interestlab.batch import Batch, Candidates
from interestlab_objectives.next_item import NextItem, log_inclusion

CATALOGUE, DIM = 20, 6


def batch_of(targets):
    rows, steps = targets.shape
    mask = targets >= 0
    return Batch(
        users=torch.arange(rows),
        items=torch.zeros(rows, steps, dtype=torch.long),
        rows=torch.zeros(rows, steps, dtype=torch.long),
        dt=torch.zeros(rows, steps),
        mask=mask,
        targets=targets,
        seen=torch.zeros(rows, 0, dtype=torch.long),
    )


def candidates_of(items):
    vectors = F.normalize(torch.randn(len(items), DIM), dim=-1).requires_grad_()
    return Candidates(vectors, items, torch.randn(len(items)).log_softmax(0))


TARGETS = torch.tensor([[3, 11, -1], [17, -1, -1]])


def test_is_the_mean_over_targets_only():
    z = torch.randn(2, 3, DIM, requires_grad=True)
    candidates = candidates_of(torch.arange(CATALOGUE))
    loss = NextItem(temperature=0.5)(z, candidates, batch_of(TARGETS))
    rows = torch.stack([z[0, 0], z[0, 1], z[1, 0]])
    torch.testing.assert_close(loss, F.cross_entropy(rows @ candidates.vectors.T / 0.5, torch.tensor([3, 11, 17])))
    loss.backward()
    assert z.grad[TARGETS >= 0].abs().sum(-1).all()
    assert not z.grad[TARGETS < 0].any()


def test_the_catalogue_is_never_corrected():
    z, candidates = torch.randn(2, 3, DIM), candidates_of(torch.arange(CATALOGUE))
    batch = batch_of(TARGETS)
    assert torch.equal(NextItem(log_q=True)(z, candidates, batch), NextItem(log_q=False)(z, candidates, batch))


@pytest.mark.parametrize("log_q", [True, False])
def test_targets_are_found_among_the_items_of_the_batch(log_q):
    z, candidates = torch.randn(2, 3, DIM), candidates_of(torch.tensor([1, 3, 8, 11, 17]))
    batch = batch_of(TARGETS)
    loss = NextItem("batch", 1.0, log_q)(z, candidates, batch)
    logits = z[TARGETS >= 0] @ candidates.vectors.T
    if log_q:
        events = 3 + 2
        logits = logits - (1 - (1 - candidates.log_q.exp()) ** events).log()
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.tensor([1, 3, 4])))


def test_the_correction_makes_batches_estimate_the_full_softmax():
    torch.manual_seed(0)
    share = torch.tensor([0.5, 0.2, 0.1, 0.1, 0.06, 0.04])
    scores, events, draws = torch.tensor([2.0, 0.0, 1.0, -1.0, 0.5, 1.5]), 8, 20_000
    drawn = torch.multinomial(share, events * draws, replacement=True).view(draws, events)
    present = F.one_hot(drawn, len(share)).amax(1)
    partition = (present * (scores - log_inclusion(share.log(), events)).exp()).sum(1).mean()
    torch.testing.assert_close(partition, scores.exp().sum(), rtol=0.02, atol=0)


def test_for_rare_items_the_correction_is_log_q():
    log_q = torch.tensor([1e-6, 3e-6, 1e-5]).log()
    shift = log_inclusion(log_q, 100) - log_q
    torch.testing.assert_close(shift, shift[:1].expand(3), rtol=0, atol=1e-3)


def test_an_item_without_events_counts_as_the_rarest():
    corrected = log_inclusion(torch.tensor([-2.0, -torch.inf, -5.0]), 10)
    assert corrected[1] == corrected[2]
    assert corrected.isfinite().all()
    assert log_inclusion(torch.full((2,), -torch.inf), 10).isfinite().all()


def test_a_batch_without_targets_has_no_loss():
    z, candidates = torch.randn(2, 3, DIM, requires_grad=True), candidates_of(torch.arange(CATALOGUE))
    loss = NextItem()(z, candidates, batch_of(torch.full((2, 3), -1)))
    loss.backward()
    assert loss.item() == 0
    assert not z.grad.any()
    assert not candidates.vectors.grad.any()


def test_can_learn_which_item_comes_next():
    torch.manual_seed(0)
    items = torch.nn.Parameter(torch.randn(CATALOGUE, DIM))
    z = torch.nn.Parameter(torch.randn(2, 3, DIM))
    optimizer = torch.optim.Adam([items, z], 0.1)
    for _ in range(50):
        optimizer.zero_grad()
        candidates = Candidates(F.normalize(items, dim=-1), torch.arange(CATALOGUE), torch.zeros(CATALOGUE))
        loss = NextItem()(F.normalize(z, dim=-1), candidates, batch_of(TARGETS))
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_candidates_are_declared_and_the_spec_is_plain():
    objective = NextItem(candidates="batch", temperature=1.0)
    assert objective.candidates == "batch"
    assert objective.spec["init_args"] == {"candidates": "batch", "temperature": 1.0}


@pytest.mark.parametrize("arguments", [{"temperature": 0.0}, {"chunk_elements": 0}, {"candidates": "some"}])
def test_refuses_what_has_no_meaning(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        NextItem(**arguments)
