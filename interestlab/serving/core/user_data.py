"""Describe and erase users."""

from interestlab.serving.core.core import Core
from interestlab.serving.errors import NotFoundError
from interestlab.serving.messages import Basis, UserInfo, clean_id


def describe_user(core: Core, user_id: str) -> UserInfo:
    """Describe a user.

    Args:
        core: the core.
        user_id: the user.

    Raises:
        NotFoundError: the user has no event.
        DataError: the id is empty or too long.
    """
    user_id = clean_id(user_id)
    user = core.served.users.load([user_id])[user_id]
    if not user.state.num_events:
        raise NotFoundError("there is no event of this user.")
    basis: Basis = "state" if user.is_known else "popular"
    return UserInfo(user_id, user.state.num_events, user.state.last_time, basis, core.served.model.version)


def erase_user(core: Core, user_id: str) -> bool:
    """Erase a user from the log, the states and the exposures, and return whether there was anything.

    Args:
        core: the core.
        user_id: the user.

    Raises:
        DataError: the id is empty or too long.
        StoreError: the store cannot be written; nothing was erased.
    """
    user_id = clean_id(user_id)
    with core.store.transaction():
        found = core.store.erase(user_id)
    core.served.users.forget(user_id)
    core.note_change(user_id)
    core.store.truncate_journal()
    return found
