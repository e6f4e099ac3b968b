"""Hand-made training steps and reference implementations for losses with sampled negatives."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from interestlab.batch import Batch, Candidates
from interestlab.contract import Objective
from interestlab.step import Step

DIM = 6


def pad(rows: list[list[float]], value: float, dtype: torch.dtype) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows], dtype=dtype)


def make_step(
    items, targets, *, vectors=None, candidate_items=None, z=None, dt=None, run_dynamics=None, main=None, **candidates
) -> Step:
    """Build a step from histories; missing tensors are random.

    Args:
        items: item of each event, per user.
        targets: target of each event, per user; -1 for none.
        vectors: vectors of the candidates.
        candidate_items: item index of each candidate; default: one per vector, or 20.
        z: user states ``[B, T, D]`` that replace the output of a dynamics.
        dt: days since the previous event, per user.
        run_dynamics: the dynamics; default: :func:`normalize_events`, or ``z`` if given.
        main: the model's objective.
        candidates: further fields of the candidates.
    """
    mask = pad([[1] * len(row) for row in items], 0, torch.bool)
    if candidate_items is None:
        candidate_items = torch.arange(20 if vectors is None else len(vectors))
    else:
        candidate_items = torch.tensor(candidate_items)
    zeros = torch.zeros(mask.shape, dtype=torch.int64)
    batch = Batch(
        users=torch.arange(len(items)),
        items=pad(items, 0, torch.int64),
        event_index=zeros,
        dt=zeros.float() if dt is None else pad(dt, 0.0, torch.float32),
        mask=mask,
        targets=pad(targets, -1, torch.int64),
        history_items=zeros[:, :0],
    )
    if vectors is None:
        vectors = F.normalize(torch.randn(len(candidate_items), DIM), dim=-1).requires_grad_()
    rest = {"log_inclusion": torch.zeros(len(candidate_items)), "catalogue_size": len(candidate_items)} | candidates
    x = torch.randn(*mask.shape, vectors.shape[1], requires_grad=True)
    run_dynamics = run_dynamics or (normalize_events if z is None else lambda *history: z)
    return Step(batch, Candidates(vectors, candidate_items, **rest), x, run_dynamics, main)


def normalize_events(x: torch.Tensor, dt: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """A dynamics whose state is the normalised last event."""
    return F.normalize(x, dim=-1)


def mean_reference_loss(step: Step, temperature: float, loss: Callable[[float, list[float]], float]) -> float:
    """Average ``loss(target score, scores of all items that are not the user's)`` over the positions with a target."""
    losses = []
    for user, position in step.target_mask.nonzero().tolist():
        score = [
            float(step.user_states[user, position].detach() @ v.detach()) / temperature for v in step.candidates.embeddings
        ]
        own = {*step.batch.items[user][step.batch.mask[user]].tolist(), *step.batch.targets[user].tolist()}
        others = [s for item, s in enumerate(score) if item not in own]
        losses.append(loss(score[int(step.batch.targets[user, position])], others))
    return sum(losses) / len(losses)


def fit_logit(objective: Objective, catalogue: int, users: int) -> list[float]:
    """Fit the logit of an objective and return its probabilities at scores 0 and 1.

    Half of the items have score 0 and half score 1; 80% of the targets have score 1.
    """
    torch.manual_seed(0)
    targets = 2 * torch.randint(catalogue // 2, (users,)) + (torch.rand(users) < 0.8)
    histories = [[int(i)] for i in targets]
    score = torch.arange(catalogue) % 2
    step = make_step(histories, histories, vectors=score[:, None].float(), z=torch.ones(users, 1, 1))
    optimizer = torch.optim.LBFGS(objective.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        torch.manual_seed(1)
        optimizer.zero_grad()
        value = objective(step)
        value.backward()
        return value

    optimizer.step(loss)
    return objective.logit(torch.tensor([0.0, 1.0])).sigmoid().tolist()


# Session scope, because hypothesis refuses function-scoped fixtures.


@pytest.fixture(scope="session", name="make_step")
def make_step_fixture() -> Callable[..., Step]:
    return make_step


@pytest.fixture(scope="session")
def reference_loss() -> Callable[..., float]:
    return mean_reference_loss


@pytest.fixture(scope="session")
def fitted_probabilities() -> Callable[..., list[float]]:
    return fit_logit
