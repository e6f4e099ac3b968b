"""States that grow with each event: the last events themselves."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from interestlab.contract import class_path
from interestlab.model.frozen import FrozenModel
from interestlab.serving.items import ItemTable
from interestlab.serving.stepper import EventBatch, Move, Stepper


class EventWindows(Stepper):
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
        self.events = EventBatch(frozen, items)
        self.record = np.dtype([("index", "<i8"), ("days", "<f4"), ("x", "<f4", (frozen.items.shape[1],))])
        self.header = f"{class_path(type(frozen.dynamics))} of model {version} keeps events instead of states"

    def first_event(self, count: int) -> int:
        return max(0, count - self.max_history)

    def restarts_after(self, count: int) -> bool:
        return False  # a window drops its first event by itself

    @torch.inference_mode()
    def step(self, moves: Sequence[Move]) -> list[bytes]:
        after = []
        for move, x in zip(moves, self.events.embed(moves).numpy(), strict=False):
            window = np.frombuffer(move.state, self.record)
            new = np.array([(move.num_events, move.days, x)], self.record)
            window = np.concatenate([window[window["index"] >= self.first_event(move.num_events + 1)], new])
            window["days"][0] = 0  # in training, the first event that is read has no time before it
            after.append(window.tobytes())
        return after

    @torch.inference_mode()
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
