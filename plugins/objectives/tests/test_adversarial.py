import pytest
import torch
from torch.nn import functional as F

from interestlab_objectives.adversarial import Fgm, Pgd, norm_per_history
from interestlab_objectives.next_item import NextItem

ITEMS, TARGETS = [[5, 3, 8, 1], [0], [2, 4]], [[3, 8, 1, 6], [17], [4, 6]]
EPSILON = 0.2


class RecordingDynamics:
    """A dynamics with one weight that records its inputs."""

    def __init__(self):
        self.weight = torch.randn(6, 6, requires_grad=True)
        self.inputs = []

    def __call__(self, x, dt, mask):
        self.inputs.append(x.detach().clone())
        real = (x @ self.weight) * mask.unsqueeze(-1)
        return F.normalize(real.cumsum(1), dim=-1)


@pytest.fixture
def step(make_step):
    torch.manual_seed(0)
    return make_step(ITEMS, TARGETS, run_dynamics=RecordingDynamics(), main=NextItem(temperature=0.3))


def perturbation(step):
    """Return the difference between the last inputs of the dynamics and the original embeddings."""
    return step.run_dynamics.inputs[-1] - step.event_embeddings.detach()


def relative_norm(step):
    """Return ``[B]`` norms of the perturbations, relative to the norms of the histories."""
    return (
        norm_per_history(perturbation(step)) / norm_per_history(step.event_embeddings.detach() * step.batch.mask.unsqueeze(-1))
    ).flatten()


def test_fgm_uses_the_full_radius_for_every_history(step):
    Fgm(EPSILON)(step)
    torch.testing.assert_close(relative_norm(step), torch.full((3,), EPSILON))
    assert len(step.run_dynamics.inputs) == 2


def test_fgm_perturbs_along_the_gradient(step):
    (gradient,) = torch.autograd.grad(step.loss, step.event_embeddings)
    Fgm(EPSILON)(step)
    torch.testing.assert_close(F.cosine_similarity(perturbation(step).flatten(1), gradient.flatten(1)), torch.ones(3))
    assert not perturbation(step)[~step.batch.mask].any()


@pytest.mark.parametrize(("steps", "stride"), [(1, 0.1), (3, 0.05), (3, 0.15), (5, 1.0)])
def test_pgd_stays_within_the_radius(step, steps, stride):
    Pgd(EPSILON, steps, stride)(step)
    assert (relative_norm(step) <= min(EPSILON, steps * stride) * (1 + 1e-5)).all()
    assert len(step.run_dynamics.inputs) == steps + 1


@pytest.mark.parametrize("objective", [Fgm(EPSILON), Pgd(EPSILON)], ids=["fgm", "pgd"])
def test_loss_exceeds_that_of_no_and_of_random_perturbations(step, objective):
    adversarial = objective(step)
    length = relative_norm(step)[:, None, None] * norm_per_history(
        step.event_embeddings.detach() * step.batch.mask.unsqueeze(-1)
    )
    others = []
    for _ in range(20):
        noise = torch.randn_like(step.event_embeddings) * step.batch.mask.unsqueeze(-1)
        others.append(step.with_event_embeddings(step.event_embeddings + length * noise / norm_per_history(noise)).loss)
    assert adversarial > step.loss
    assert adversarial > max(others)


@pytest.mark.parametrize("objective", [Fgm(EPSILON), Pgd(EPSILON)], ids=["fgm", "pgd"])
def test_no_gradient_flows_through_the_perturbation(step, objective):
    inputs = step.event_embeddings, step.candidates.embeddings, step.run_dynamics.weight
    actual = torch.autograd.grad(objective(step), inputs)
    expected = torch.autograd.grad(step.with_event_embeddings(step.event_embeddings + perturbation(step)).loss, inputs)
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_the_search_accumulates_no_gradients(step):
    Pgd(EPSILON)(step)
    assert step.event_embeddings.grad is step.candidates.embeddings.grad is step.run_dynamics.weight.grad is None


def test_a_history_without_targets_is_not_perturbed(make_step):
    step = make_step(ITEMS, [[3, 8, 1, 6], [-1], [-1, -1]], run_dynamics=RecordingDynamics(), main=NextItem())
    loss = Fgm(EPSILON)(step)
    assert loss.isfinite()
    torch.testing.assert_close(relative_norm(step), torch.tensor([EPSILON, 0.0, 0.0]))


def test_the_spec_of_fgm_contains_its_own_argument():
    assert Fgm(0.3).spec["init_args"] == {"epsilon": 0.3}


@pytest.mark.parametrize("arguments", [{"epsilon": 0.0}, {"steps": 0}, {"stride": -1.0}])
def test_invalid_arguments(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Pgd(**arguments)
