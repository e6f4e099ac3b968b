"""Load a run beside the one that is served, compare them, and change one reference."""

from pathlib import Path

from interestlab.serving.core import Core, Served, user_vectors
from interestlab.serving.index import MEASURED_AT, MEASURED_USERS
from interestlab.serving.messages import ModelInfo
from interestlab.serving.served_model import ServedModel
from interestlab.serving.store import Store
from interestlab.serving.users import Users

WARMED_USERS = 10_000
"""Number of active users whose states are rebuilt before the swap; those of others when they are next seen."""


def prepare_swap(core: Core, run: Path) -> tuple[Served, ModelInfo]:
    """Load a run, rebuild the states of active users from the log, and compare its lists with those of the served model.

    It runs beside the core's thread, with a connection of its own; call :meth:`Core.watch_changes` before, and
    :meth:`Core.switch_to` after.

    Args:
        core: the core.
        run: folder of the run.

    Returns:
        The model, and its description.

    Raises:
        DataError: the run cannot be served.
    """
    model, old = ServedModel(run), core.served
    store = Store(core.store.file)
    try:
        served = core.prepare(model, store)
        served.users.load(old.users.cached_ids()[-WARMED_USERS:])
        overlap, compared = compare(old._replace(users=Users(old.model, store)), served, store.latest_users(MEASURED_USERS))
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
    users = {user_id: user for user_id, user in served.users.load(user_ids).items() if user.is_known}
    if not users:
        return {}
    vectors = user_vectors(served.model, [user.state for user in users.values()])
    excluded = [user.history if served.model.exclude_history else frozenset() for user in users.values()]
    found = served.item_index.search(vectors, MEASURED_AT, excluded)
    return {user: {served.model.items.ids[p] for p, _ in ranked} for user, ranked in zip(users, found, strict=True)}
