"""States of constant size: those of the dynamics themselves."""

from collections.abc import Sequence

import torch
from torch import Tensor

from interestlab.contract import State, class_path
from interestlab.model.frozen import FrozenModel
from interestlab.serving.items import ItemTable
from interestlab.serving.state_format import StateFormat
from interestlab.serving.stepper import MAX_BATCH, EventBatch, Move, Stepper

RESTART_PERIOD = 3
"""A state starts again every so many times ``max_history`` events, which costs a third of a step per event."""


class ConstantStates(Stepper):
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
        self.events = EventBatch(frozen, items)
        self.format = StateFormat(frozen.init_state(1), version, class_path(type(frozen.dynamics)))
        self.header = self.format.header
        self.initial = self.format.pack(frozen.init_state(1), 1)[0]

    def first_event(self, count: int) -> int:
        period = RESTART_PERIOD * self.max_history
        return max(0, (count - 1) // period * period - self.max_history)

    def restarts_after(self, count: int) -> bool:
        return self.first_event(count) != self.first_event(count + 1)

    @torch.inference_mode()
    def step(self, moves: Sequence[Move]) -> list[bytes]:
        spare = MAX_BATCH - len(moves)
        state = self.format.unpack([move.state for move in moves] + [self.initial] * spare)
        dt = torch.tensor([move.days for move in moves] + [0.0] * spare)
        state, _ = self.frozen.step(state, self.events.embed(moves), dt)
        return self.format.pack(state, len(moves))

    @torch.inference_mode()
    def user_states(self, states: Sequence[bytes], days: Sequence[float]) -> Tensor:
        state: State = self.format.unpack(states)
        if self.frozen.advances and any(days):
            state = self.frozen.advance(state, torch.tensor(days))
        return self.frozen.normalize(self.frozen.readout(state))
