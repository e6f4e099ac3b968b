"""Load a run beside the one that is served, and compare them; then one reference changes."""

from pathlib import Path

from interestlab.serving.core.core import Core
from interestlab.serving.core.served import Served, prepare, user_vectors
from interestlab.serving.index_choice import MEASURED_AT, MEASURED_USERS, USERS_PER_SEARCH
from interestlab.serving.messages import ModelInfo
from interestlab.serving.served_model import ServedModel
from interestlab.serving.store.store import Store
from interestlab.serving.users import Users

WARMED_USERS = 10_000
"""Number of active users whose states are rebuilt before the swap; those of others when they are next seen."""


def prepare_swap(core: Core, old: Served, run: Path) -> tuple[Served, ModelInfo]:
    """Load a run, rebuild the states of active users from the log, and compare its lists with those of the served model.

    It runs beside the core's thread, with a connection of its own.

    Args:
        core: the core.
        old: the served model, from :meth:`Core.begin_swap`.
        run: folder of the run.

    Returns:
        The model for :meth:`Core.switch_to`, and its description.

    Raises:
        DataError: the run cannot be served.
    """
    model, store = ServedModel(run), Store(core.store.file)
    try:
        served = prepare(model, store, core.settings.exact_up_to)
        served.users.load(old.users.cached_ids()[-WARMED_USERS:])
        user_ids = store.events.latest_users(MEASURED_USERS)
        overlap, compared = compare(old._replace(users=Users(old.model, store)), served, user_ids)
    finally:
        store.close()
    return served, ModelInfo(model.version, str(run), served.item_index.name, served.item_index.recall, overlap, compared)


def compare(old: Served, new: Served, user_ids: list[str]) -> tuple[float | None, int]:
    """Return the mean share of the ten best items of one model that another has too, and the number of users.

    Args:
        old: a model.
        new: the other.
        user_ids: users; those whose events a model cannot read are left out.
    """
    lists = [best_items(served, user_ids) for served in (old, new)]
    both = [user for user in user_ids if user in lists[0] and user in lists[1]]
    shares = [len(lists[0][user] & lists[1][user]) / max(1, len(lists[1][user])) for user in both]
    return (sum(shares) / len(shares) if shares else None), len(shares)


def best_items(served: Served, user_ids: list[str]) -> dict[str, set[str]]:
    """Return the ids of the ten best items of each user.

    Args:
        served: a model.
        user_ids: users; those whose events the model cannot read are left out.
    """
    known = [(user_id, user) for user_id, user in served.users.load(user_ids).items() if user.is_known]
    best = {}
    for first in range(0, len(known), USERS_PER_SEARCH):
        part = known[first : first + USERS_PER_SEARCH]
        vectors = user_vectors(served.model, [user.state for _, user in part])
        found = served.item_index.search(vectors, MEASURED_AT, [served.excluded(user) for _, user in part])
        for (user_id, _), ranked in zip(part, found, strict=True):
            best[user_id] = {served.model.items.ids[position] for position, _ in ranked}
    return best
