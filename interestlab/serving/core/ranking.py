"""Rank the items for users: by their states, by words, or by popularity."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from interestlab.data.dataset import DAY
from interestlab.errors import DataError
from interestlab.serving.core.served import Served, user_vectors
from interestlab.serving.index import Ranked
from interestlab.serving.messages import Basis
from interestlab.serving.served_model import ServedModel
from interestlab.serving.store.states import StoredState
from interestlab.serving.users import User


class Question(NamedTuple):
    """A list that is asked for.

    Attributes:
        user_id: for whom.
        k: number of items.
        at: unix seconds of the recommendation; None: of the user's last event.
        words: what is known of a user without events.
    """

    user_id: str
    k: int
    at: float | None = None
    words: str | None = None


class Ranking(NamedTuple):
    """The best items for a user.

    Attributes:
        basis: what decided.
        ranked: the items, best first.
        score: returns the score of any item, by its position.
    """

    basis: Basis
    ranked: Ranked
    score: Callable[[int], float]


@torch.inference_mode()
def rank(served: Served, asked: Sequence[tuple[Question, User]]) -> list[Ranking]:
    """Return the best items for each user.

    Args:
        served: the model, its users and its index.
        asked: the questions, with their users.
    """
    vectors = known_vectors(served.model, asked)
    for i, (question, user) in enumerate(asked):
        if not user.is_known and question.words:
            with suppress(DataError):  # the model can read nothing of them, so the list is the popular one
                vectors[i] = "words", served.model.words_state(question.words)[0]
    rankings = {}
    if vectors:
        together = torch.stack([vector for _, vector in vectors.values()])
        largest = max(asked[i][0].k for i in vectors)
        found = served.item_index.search(together, largest, [served.excluded(asked[i][1]) for i in vectors])
        for (i, (basis, vector)), ranked in zip(vectors.items(), found, strict=True):
            rankings[i] = Ranking(basis, ranked[: asked[i][0].k], partial(score_item, served.model, vector))
    return [rankings.get(i) or rank_by_popularity(served, user, question.k) for i, (question, user) in enumerate(asked)]


def known_vectors(model: ServedModel, asked: Sequence[tuple[Question, User]]) -> dict[int, tuple[Basis, Tensor]]:
    """Return the basis ``state`` and the user state, ready to be compared, of those users who have a state, by their place.

    Args:
        model: the model.
        asked: the questions, with their users.
    """
    known = [i for i, (_, user) in enumerate(asked) if user.is_known]
    if not known:
        return {}
    states = [asked[i][1].state for i in known]
    days = [days_until(state, asked[i][0].at) for i, state in zip(known, states, strict=True)]
    return {i: ("state", vector) for i, vector in zip(known, user_vectors(model, states, days), strict=True)}


def rank_by_popularity(served: Served, user: User, k: int) -> Ranking:
    """Return the items with the most training events.

    Args:
        served: the model.
        user: the user.
        k: number of items.
    """
    items, excluded = served.model.items, served.excluded(user)
    eligible = (p for p in items.by_popularity if p not in excluded and not items.is_retired[p])
    return Ranking("popular", [(p, items.count_of(p)) for p in islice(eligible, k)], items.count_of)


def score_item(model: ServedModel, vector: Tensor, position: int) -> float:
    """Score one item for a user.

    Args:
        model: the model.
        vector: ``[D]`` or ``[K, D]`` user state, ready to be compared.
        position: position of the item.
    """
    return float((vector @ model.items.catalogue[position]).max())


def days_until(state: StoredState, at: float | None) -> float:
    """Return the days between a user's last event and a time.

    Args:
        state: the state of the user.
        at: unix seconds; None: the time of the last event.
    """
    return 0.0 if at is None or state.last_time is None else max(at - state.last_time, 0.0) / DAY
