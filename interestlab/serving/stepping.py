"""How the state of a user moves with an event, and what it looks like as bytes."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from interestlab.contract import State, class_path
from interestlab.model.export import has_constant_state
from interestlab.model.frozen import FrozenModel
from interestlab.serving.items import ItemTable
from interestlab.serving.reader import StreamVectors
from interestlab.serving.state_format import StateFormat

MAX_BATCH = 32
"""Number of users whose events are followed at once."""


RESTART_PERIOD = 3
"""A state starts again every so many times ``max_history`` events, which costs a third of a step per event."""


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


class Stepper(Protocol):
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

    def first_event(self, count: int) -> int:
        """Return the index of the first event that is followed in the state after ``count`` events.

        Args:
            count: number of events of the user.
        """

    def restarts_after(self, count: int) -> bool:
        """Return whether the state after ``count`` events must be rebuilt from the log before the next event moves it.

        Args:
            count: number of events of the user.
        """

    def step(self, moves: Sequence[Move]) -> list[bytes]:
        """Follow one event of each user, and return their states.

        Args:
            moves: events of at most :data:`MAX_BATCH` users.
        """

    def user_states(self, states: Sequence[bytes], days: Sequence[float]) -> Tensor:
        """Return ``[B, D]``, or ``[B, K, D]``, ready to be compared.

        Args:
            states: state of each user.
            days: days since the user's last event.
        """


def make_stepper(frozen: FrozenModel, items: ItemTable, version: str, max_history: int) -> Stepper:
    """Return the stepper that suits a dynamics.

    Args:
        frozen: the model in float32.
        items: the items; further ones may be added later.
        version: version of the model.
        max_history: number of events that training reads.
    """
    if has_constant_state(frozen):
        return ConstantStates(frozen, items, version, max_history)
    return EventWindows(frozen, items, version, max_history)


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


class Events:
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


class ConstantStates:
    """The state of the dynamics itself, for every dynamics whose state keeps its size.

    The model was trained on histories of up to ``max_history`` events, so a state does not follow ever more of them: it starts
    again with the last ``max_history`` events every :data:`RESTART_PERIOD` times as many.

    Args:
        frozen: the model in float32.
        items: the items.
        version: version of the model.
        max_history: number of events that training reads.
    """

    stores_states = True
    cached_users = 50_000

    def __init__(self, frozen: FrozenModel, items: ItemTable, version: str, max_history: int) -> None:
        self.frozen, self.items, self.max_history = frozen, items, max_history
        self.events = Events(frozen, items)
        self.format = StateFormat(frozen.init_state(1), version, class_path(type(frozen.dynamics)))
        self.header = self.format.header
        self.initial = self.format.pack(frozen.init_state(1), 1)[0]

    def first_event(self, count: int) -> int:
        period = RESTART_PERIOD * self.max_history
        return max(0, (count - 1) // period * period - self.max_history)

    def restarts_after(self, count: int) -> bool:
        return self.first_event(count) != self.first_event(count + 1)

    @torch.no_grad()
    def step(self, moves: Sequence[Move]) -> list[bytes]:
        spare = MAX_BATCH - len(moves)
        state = self.format.unpack([move.state for move in moves] + [self.initial] * spare)
        dt = torch.tensor([move.days for move in moves] + [0.0] * spare)
        state, _ = self.frozen.step(state, self.events.embed(moves), dt)
        return self.format.pack(state, len(moves))

    @torch.no_grad()
    def user_states(self, states: Sequence[bytes], days: Sequence[float]) -> Tensor:
        state: State = self.format.unpack(states)
        if self.frozen.advances and any(days):
            state = self.frozen.advance(state, torch.tensor(days))
        return self.frozen.normalize(self.frozen.readout(state))


class EventWindows:
    """The last ``max_history`` events of a user, for a dynamics whose state grows with each of them, such as attention.

    They are kept in memory as vectors, and on disk as the events themselves.

    Args:
        frozen: the model in float32.
        items: the items.
        version: version of the model.
        max_history: number of events that training reads.
    """

    stores_states = False
    cached_users = 10_000
    initial = b""

    def __init__(self, frozen: FrozenModel, items: ItemTable, version: str, max_history: int) -> None:
        self.frozen, self.max_history = frozen, max_history
        self.events = Events(frozen, items)
        self.record = np.dtype([("index", "<i8"), ("days", "<f4"), ("x", "<f4", (frozen.items.shape[1],))])
        self.header = f"{class_path(type(frozen.dynamics))} of model {version} keeps events instead of states"

    def first_event(self, count: int) -> int:
        return max(0, count - self.max_history)

    def restarts_after(self, count: int) -> bool:
        return False  # a window drops its first event by itself

    @torch.no_grad()
    def step(self, moves: Sequence[Move]) -> list[bytes]:
        after = []
        for move, x in zip(moves, self.events.embed(moves).numpy(), strict=False):
            window = np.frombuffer(move.state, self.record)
            new = np.array([(move.num_events, move.days, x)], self.record)
            window = np.concatenate([window[window["index"] >= self.first_event(move.num_events + 1)], new])
            window["days"][0] = 0  # in training, the first event that is read has no time before it
            after.append(window.tobytes())
        return after

    @torch.no_grad()
    def user_states(self, states: Sequence[bytes], days: Sequence[float]) -> Tensor:
        windows = [np.frombuffer(state, self.record) for state in states]
        lengths = np.array([len(window) for window in windows])
        padded = np.zeros((len(windows), lengths.max()), self.record)
        for row, window in zip(padded, windows, strict=True):
            row[: len(window)] = window
        x, dt = torch.from_numpy(padded["x"].copy()), torch.from_numpy(padded["days"].copy())
        if self.frozen.advances and any(days):
            return torch.cat([self._advanced(x[i : i + 1, :n], dt[i : i + 1, :n], days[i]) for i, n in enumerate(lengths)])
        mask = torch.from_numpy(np.arange(padded.shape[1]) < lengths[:, None])
        return self.frozen.normalize(self.frozen(x, dt, mask)[torch.arange(len(x)), torch.from_numpy(lengths - 1)])

    def _advanced(self, x: Tensor, dt: Tensor, days: float) -> Tensor:
        """Return the user state ``[1, D]`` some time after the last event of one user."""
        state = self.frozen.init_state(1)
        for t in range(x.shape[1]):
            state, _ = self.frozen.step(state, x[:, t], dt[:, t])
        return self.frozen.normalize(self.frozen.readout(self.frozen.advance(state, dt.new_tensor([days]))))
