"""How the state of a user moves with an event: what the two kinds of states have in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from interestlab.model.frozen import FrozenModel
from interestlab.serving.items import ItemTable
from interestlab.serving.reader import StreamVectors

MAX_BATCH = 32
"""Number of users whose events are followed at once."""


class Move(NamedTuple):
    """An event that moves the state of a user.

    Attributes:
        state: the state before the event.
        num_events: number of the user's events before it.
        position: position of its item.
        streams: embedding of its value in each event stream.
        days: days since the user's previous event.
    """

    state: bytes
    num_events: int
    position: int
    streams: StreamVectors
    days: float


class Stepper(ABC):
    """Follows events for one model.

    A state depends on the user's events alone, and on nothing that was in the same batch, to the last bit. So a state that is
    rebuilt from the log has the bytes of the state that moved with each event.

    Attributes:
        header: describes the states.
        initial: the state before the first event.
        stores_states: whether states are stored; otherwise the events alone are, and a state is rebuilt from them.
        cached_users: number of users whose states stay in memory.
    """

    header: str
    initial: bytes
    stores_states: bool
    cached_users: int

    @abstractmethod
    def first_event(self, count: int) -> int:
        """Return the index of the first event that is followed in the state after ``count`` events.

        Args:
            count: number of events of the user.
        """

    @abstractmethod
    def restarts_after(self, count: int) -> bool:
        """Return whether the state after ``count`` events must be rebuilt from the log before the next event moves it.

        Args:
            count: number of events of the user.
        """

    @abstractmethod
    def step(self, moves: Sequence[Move]) -> list[bytes]:
        """Follow one event of each user, and return their states.

        Args:
            moves: events of at most :data:`MAX_BATCH` users.
        """

    @abstractmethod
    def user_states(self, states: Sequence[bytes], days: Sequence[float]) -> Tensor:
        """Return ``[B, D]``, or ``[B, K, D]``, ready to be compared.

        Args:
            states: state of each user.
            days: days since the user's last event.
        """


def stack_streams(frozen: FrozenModel, events: Sequence[StreamVectors]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the embeddings ``[B, D]`` of each event stream, and ``[B]`` bool, whether the event has a value.

    Args:
        frozen: the model.
        events: embeddings of each event; an empty tuple if it has no value at all.
    """
    streams = {}
    none = frozen.items.new_zeros(frozen.items.shape[1])
    for i, name in enumerate(frozen.event_streams):
        vectors = [event[i] if event else None for event in events]
        present = torch.tensor([vector is not None for vector in vectors])
        streams[name] = torch.stack([none if vector is None else vector for vector in vectors]), present
    return streams


class EventBatch:
    """Embeds events in batches of one shape, since the last bits of a matrix product depend on the number of its rows.

    Args:
        frozen: the model in float32.
        items: the items.
    """

    def __init__(self, frozen: FrozenModel, items: ItemTable) -> None:
        self.frozen, self.items = frozen, items

    def embed(self, moves: Sequence[Move]) -> Tensor:
        """Return ``[MAX_BATCH, D]``, the events as the dynamics reads them, and rows without meaning after them.

        Args:
            moves: at most :data:`MAX_BATCH` events.
        """
        spare = MAX_BATCH - len(moves)
        positions = torch.tensor([move.position for move in moves] + [0] * spare)
        streams = stack_streams(self.frozen, [move.streams for move in moves] + [()] * spare)
        return self.frozen.fuse_events(self.items.vectors[positions], streams)
