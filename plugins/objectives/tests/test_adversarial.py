import pytest
import torch
from torch.nn import functional as F

from interestlab_objectives.adversarial import Fgm, Pgd, norm
from interestlab_objectives.next_item import NextItem

ITEMS, TARGETS = [[5, 3, 8, 1], [0], [2, 4]], [[3, 8, 1, 6], [17], [4, 6]]
EPSILON = 0.2


class Followed:
    """A dynamics with a weight that keeps what it was asked to follow."""

    def __init__(self):
        self.weight = torch.randn(6, 6, requires_grad=True)
        self.asked = []

    def __call__(self, x, dt, mask):
        self.asked.append(x.detach().clone())
        real = (x @ self.weight) * mask.unsqueeze(-1)
        return F.normalize(real.cumsum(1), dim=-1)


@pytest.fixture
def step(step_of):
    torch.manual_seed(0)
    return step_of(ITEMS, TARGETS, follow=Followed(), main=NextItem(temperature=0.3))


def move(step):
    """How far the events stand that were followed last from where they were."""
    return step.run_dynamics.asked[-1] - step.event_embeddings.detach()


def share(step):
    """``[B]`` length of the move, as a share of that of the history's own vectors."""
    return (norm(move(step)) / norm(step.event_embeddings.detach() * step.batch.mask.unsqueeze(-1))).flatten()


def test_fgm_moves_every_history_as_far_as_it_may(step):
    Fgm(EPSILON)(step)
    torch.testing.assert_close(share(step), torch.full((3,), EPSILON))
    assert len(step.run_dynamics.asked) == 2


def test_fgm_moves_along_the_gradient(step):
    (gradient,) = torch.autograd.grad(step.loss, step.event_embeddings)
    Fgm(EPSILON)(step)
    torch.testing.assert_close(F.cosine_similarity(move(step).flatten(1), gradient.flatten(1)), torch.ones(3))
    assert not move(step)[~step.batch.mask].any()


@pytest.mark.parametrize(("steps", "stride"), [(1, 0.1), (3, 0.05), (3, 0.15), (5, 1.0)])
def test_pgd_never_moves_further_than_it_may(step, steps, stride):
    Pgd(EPSILON, steps, stride)(step)
    assert (share(step) <= min(EPSILON, steps * stride) * (1 + 1e-5)).all()
    assert len(step.run_dynamics.asked) == steps + 1


@pytest.mark.parametrize("objective", [Fgm(EPSILON), Pgd(EPSILON)], ids=["fgm", "pgd"])
def test_is_worse_than_standing_still_and_than_a_move_by_chance(step, objective):
    moved = objective(step)
    length = share(step)[:, None, None] * norm(step.event_embeddings.detach() * step.batch.mask.unsqueeze(-1))
    others = []
    for _ in range(20):
        noise = torch.randn_like(step.event_embeddings) * step.batch.mask.unsqueeze(-1)
        others.append(step.with_event_embeddings(step.event_embeddings + length * noise / norm(noise)).loss)
    assert moved > step.loss
    assert moved > max(others)


@pytest.mark.parametrize("objective", [Fgm(EPSILON), Pgd(EPSILON)], ids=["fgm", "pgd"])
def test_the_move_is_a_constant(step, objective):
    learnt = step.event_embeddings, step.candidates.embeddings, step.run_dynamics.weight
    actual = torch.autograd.grad(objective(step), learnt)
    expected = torch.autograd.grad(step.with_event_embeddings(step.event_embeddings + move(step)).loss, learnt)
    for got, due in zip(actual, expected, strict=True):
        torch.testing.assert_close(got, due)


def test_looking_for_the_move_leaves_no_gradient_behind(step):
    Pgd(EPSILON)(step)
    assert step.event_embeddings.grad is step.candidates.embeddings.grad is step.run_dynamics.weight.grad is None


def test_a_history_without_targets_stays_where_it_is(step_of):
    step = step_of(ITEMS, [[3, 8, 1, 6], [-1], [-1, -1]], follow=Followed(), main=NextItem())
    loss = Fgm(EPSILON)(step)
    assert loss.isfinite()
    torch.testing.assert_close(share(step), torch.tensor([EPSILON, 0.0, 0.0]))


def test_fgm_is_rebuilt_from_its_own_argument():
    assert Fgm(0.3).spec["init_args"] == {"epsilon": 0.3}


@pytest.mark.parametrize("arguments", [{"epsilon": 0.0}, {"steps": 0}, {"stride": -1.0}])
def test_refuses_what_has_no_meaning(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Pgd(**arguments)
