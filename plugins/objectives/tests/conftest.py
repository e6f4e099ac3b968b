"""Steps made by hand, and what is asked of every loss that draws negatives."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from interestlab.batch import Batch, Candidates
from interestlab.contract import Objective
from interestlab.step import Step

DIM = 6


def padded(rows: list[list[float]], value: float, dtype: torch.dtype) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows], dtype=dtype)


def make(items, targets, *, vectors=None, among=None, z=None, dt=None, follow=None, main=None, **candidates) -> Step:
    """A step of some histories; what is not given is drawn by chance.

    Args:
        items: of each user's events.
        targets: of each user's events, -1 for none.
        vectors: of the candidates.
        among: indices of the candidates; as many as there are vectors, or 20, where not given.
        z: the interests, ``[B, T, D]``, whatever is followed.
        dt: days since the event before, of each user's events.
        follow: the dynamics; :func:`unit` where neither it nor ``z`` is given.
        main: the model's objective.
        candidates: what else they have.
    """
    mask = padded([[1] * len(row) for row in items], 0, torch.bool)
    among = torch.arange(20 if vectors is None else len(vectors)) if among is None else torch.tensor(among)
    nothing = torch.zeros(mask.shape, dtype=torch.int64)
    batch = Batch(
        users=torch.arange(len(items)),
        items=padded(items, 0, torch.int64),
        event_index=nothing,
        dt=nothing.float() if dt is None else padded(dt, 0.0, torch.float32),
        mask=mask,
        targets=padded(targets, -1, torch.int64),
        history_items=nothing[:, :0],
    )
    if vectors is None:
        vectors = F.normalize(torch.randn(len(among), DIM), dim=-1).requires_grad_()
    rest = {"log_inclusion": torch.zeros(len(among)), "catalogue_size": len(among)} | candidates
    x = torch.randn(*mask.shape, vectors.shape[1], requires_grad=True)
    follow = follow or (unit if z is None else lambda *history: z)
    return Step(batch, Candidates(vectors, among, **rest), x, follow, main)


def unit(x: torch.Tensor, dt: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """A dynamics: the interest is the last event."""
    return F.normalize(x, dim=-1)


def each(step: Step, temperature: float, pair: Callable[[float, list[float]], float]) -> float:
    """The mean over known positions of ``pair`` of two things: the target's score, and that of every item not the user's."""
    found = []
    for user, place in step.target_mask.nonzero().tolist():
        score = [float(step.user_states[user, place].detach() @ v.detach()) / temperature for v in step.candidates.embeddings]
        own = {*step.batch.items[user][step.batch.mask[user]].tolist(), *step.batch.targets[user].tolist()}
        others = [s for item, s in enumerate(score) if item not in own]
        found.append(pair(score[int(step.batch.targets[user, place])], others))
    return sum(found) / len(found)


def learnt(objective: Objective, catalogue: int, users: int) -> list[float]:
    """The probability that a logit learns of scores 0 and 1, where half of the items have each and 80% of users want a 1."""
    torch.manual_seed(0)
    wanted = 2 * torch.randint(catalogue // 2, (users,)) + (torch.rand(users) < 0.8)
    walks = [[int(i)] for i in wanted]
    level = torch.arange(catalogue) % 2
    step = make(walks, walks, vectors=level[:, None].float(), z=torch.ones(users, 1, 1))
    optimizer = torch.optim.LBFGS(objective.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        torch.manual_seed(1)
        optimizer.zero_grad()
        value = objective(step)
        value.backward()
        return value

    optimizer.step(loss)
    return objective.logit(torch.tensor([0.0, 1.0])).sigmoid().tolist()


# Of the session, so that hypothesis may use them.


@pytest.fixture(scope="session")
def step_of() -> Callable[..., Step]:
    return make


@pytest.fixture(scope="session")
def mean_of_each() -> Callable[..., float]:
    return each


@pytest.fixture(scope="session")
def probabilities_learnt() -> Callable[..., list[float]]:
    return learnt
