"""What a swap replaces at once: a model, the users as it reads them, and an index of its items."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interestlab.serving.index import Index
from interestlab.serving.index_choice import MEASURED_USERS, choose_index
from interestlab.serving.messages import ITEM_DECODER
from interestlab.serving.served_model import ServedModel
from interestlab.serving.store.states import StoredState
from interestlab.serving.store.store import Store
from interestlab.serving.users import User, Users


class Served(NamedTuple):
    """A model with its users and its index.

    Attributes:
        model: the model.
        users: the users, as this model reads them.
        item_index: finds items.
        index_note: which index was chosen, and why.
    """

    model: ServedModel
    users: Users
    item_index: Index
    index_note: str

    def excluded(self, user: User) -> AbstractSet[int]:
        """Return the positions of the items that are not recommended to a user, as in the evaluation of the run.

        Args:
            user: the user.
        """
        return user.history if self.model.exclude_history else frozenset()


def prepare(model: ServedModel, store: Store, exact_up_to: int) -> Served:
    """Make a model ready: add the items of the store, and choose an index by the states of real users.

    Args:
        model: the model.
        store: the log and the states; they are read only.
        exact_up_to: catalogues up to this size are searched exactly.

    Raises:
        DataError: the model can read nothing of an item that was added.
    """
    add_stored_items(model, store)
    users = Users(model, store)
    states = [user.state for user in users.load(store.events.latest_users(MEASURED_USERS)).values() if user.is_known]
    return Served(model, users, *choose_index(model.items, user_vectors(model, states) if states else None, exact_up_to))


def user_vectors(model: ServedModel, states: Sequence[StoredState], days: Sequence[float] | None = None) -> Tensor:
    """Return user states ``[B, D]``, or ``[B, K, D]`` for K interests, ready to be compared.

    Args:
        model: the model.
        states: states that follow at least one event.
        days: days since the last event of each; None: none.
    """
    return model.stepper.user_states([state.tensors for state in states], days or [0.0] * len(states))


def add_stored_items(model: ServedModel, store: Store) -> list[int]:
    """Add the items of a store that a model does not have, and retire those that are retired there.

    Args:
        model: the model.
        store: the store.

    Returns:
        Positions of the items that were added.

    Raises:
        DataError: the model can read nothing of an item.
    """
    vectors, added = store.items.vectors(model.version), []
    for item_id, body in store.items.bodies().items():
        if model.items.find(item_id) is not None:
            continue
        if item_id in vectors:
            vector = torch.from_numpy(np.frombuffer(bytearray(vectors[item_id]), np.float32))
        else:
            vector = model.embed_item(ITEM_DECODER.decode(body))
        added.append(model.items.add(item_id, vector, model.compare_form(vector)))
    positions = (model.items.find(item_id) for item_id in store.items.retired())
    retired = {position for position in positions if position is not None}
    for position in retired | set(np.flatnonzero(model.items.is_retired).tolist()):
        model.items.set_retired(position, position in retired)
    return added
