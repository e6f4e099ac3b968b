"""Recommend items to users, and note what was shown."""

import json
import time
from collections.abc import Sequence

from interestlab.serving.core.core import Core
from interestlab.serving.core.ranking import Question, Ranking, rank
from interestlab.serving.exploration import explore, uniform_draw
from interestlab.serving.messages import RankedItem, Recommendations, clean_id
from interestlab.serving.store.store import Exposure
from interestlab.serving.users import User


def recommend(core: Core, questions: Sequence[Question]) -> list[Recommendations]:
    """Recommend items.

    Args:
        core: the core.
        questions: the lists that are asked for.

    Raises:
        DataError: an id is empty or too long.
        StoreError: the lists are to be logged, and cannot be.
    """
    if not questions:
        return []
    questions = [question._replace(user_id=clean_id(question.user_id)) for question in questions]
    served = core.served
    with core.metrics.time("rank"):
        users = served.users.load(question.user_id for question in questions)
        rankings = rank(served, [(question, users[question.user_id]) for question in questions])
    answers = []
    for question, ranking in zip(questions, rankings, strict=True):
        user = users[question.user_id]
        items = explored(core, ranking, question.k, user) if core.settings.explore else as_items(core, ranking)
        user.shown = tuple(served.model.items.positions[item.item_id] for item in items)
        answers.append(Recommendations(question.user_id, ranking.basis, served.model.version, items))
        core.metrics.lists[ranking.basis].inc()
    if core.settings.log_exposure:
        with core.store.transaction():
            core.store.add_exposures(map(as_exposure, answers))
    return answers


def as_items(core: Core, ranking: Ranking) -> list[RankedItem]:
    """Return the items of a ranking as they are answered.

    Args:
        core: the core.
        ranking: the ranking.
    """
    ids = core.served.model.items.ids
    return [RankedItem(ids[position], score) for position, score in ranking.ranked]


def explored(core: Core, ranking: Ranking, k: int, user: User) -> list[RankedItem]:
    """Return a list in which some items are random, with the probability of each choice.

    Args:
        core: the core.
        ranking: the best items.
        k: number of items.
        user: the user.
    """
    items, excluded = core.served.model.items, core.served.excluded(user)
    retired = items.is_retired
    eligible = len(items) - items.num_retired - sum(not retired[position] for position in excluded)
    draw = uniform_draw(len(items), lambda position: position in excluded or bool(retired[position]), core.random)
    chosen = explore(ranking.ranked, k, core.settings.explore, draw, eligible, core.random)
    scores = dict(ranking.ranked)
    return [RankedItem(items.ids[p], scores[p] if p in scores else ranking.score(p), chance) for p, chance in chosen]


def as_exposure(answer: Recommendations) -> Exposure:
    """Return what is logged of a list that is shown now.

    Args:
        answer: the list.
    """
    items = json.dumps([[item.item_id, item.score, item.propensity] for item in answer.items])
    return Exposure(answer.user_id, time.time(), answer.model, answer.basis, items)
