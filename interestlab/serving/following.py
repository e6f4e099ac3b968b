"""Move states by events: by one event of each user, or by several in order."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from interestlab.data.dataset import DAY
from interestlab.errors import DataError
from interestlab.serving.messages import AnyEvent
from interestlab.serving.reader import StreamVectors
from interestlab.serving.served_model import ServedModel
from interestlab.serving.stepper import MAX_BATCH, Move
from interestlab.serving.store.states import StoredState


class Step(NamedTuple):
    """One event that a state is to follow.

    Attributes:
        state: the state before the event.
        position: position of the event's item; None if the model has no such item.
        time: unix seconds of the event.
        streams: embedding of its value in each event stream.
    """

    state: StoredState
    position: int | None
    time: int
    streams: StreamVectors


def start_state(model: ServedModel, number: int = 0, last_time: int | None = None) -> StoredState:
    """Return the state before an event of a user, as if the log began there.

    Args:
        model: the model.
        number: number of the user's events before it.
        last_time: the latest time of these, in unix seconds.
    """
    return StoredState(number, False, last_time, model.stepper.initial)


def replay(model: ServedModel, histories: Mapping[str, tuple[StoredState, Sequence[AnyEvent]]]) -> dict[str, StoredState]:
    """Follow several events of each user, and return the states after them.

    Args:
        model: the model.
        histories: by user, the state before the first event, and the events.
    """
    states = {user: state for user, (state, _) in histories.items()}
    for t in range(max((len(events) for _, events in histories.values()), default=0)):
        users = [user for user, (_, events) in histories.items() if t < len(events)]
        steps = [read_logged(model, histories[user][1][t], states[user]) for user in users]
        states |= zip(users, follow(model, steps), strict=True)
    return states


def read_logged(model: ServedModel, event: AnyEvent, state: StoredState) -> Step:
    """Read an event of the log, and leave out what the model cannot read, since the event did happen.

    Args:
        model: the model.
        event: the event.
        state: the state before it.
    """
    try:
        streams = model.reader.embed(event, state.last_time)
    except DataError:  # a log of another run may have had other columns
        streams = ()
    return Step(state, model.items.find(event.item_id), int(event.timestamp), streams)


def follow(model: ServedModel, steps: Sequence[Step]) -> list[StoredState]:
    """Follow one event of each user, and return the state of each after it.

    Args:
        model: the model.
        steps: the events, of different users.
    """
    after: list[StoredState] = []
    for first in range(0, len(steps), MAX_BATCH):
        after += _follow_batch(model, steps[first : first + MAX_BATCH])
    return after


def _follow_batch(model: ServedModel, steps: Sequence[Step]) -> list[StoredState]:
    moves = [
        Move(state.tensors, state.num_events, position, streams, elapsed_days(state, time))
        for state, position, time, streams in steps
        if position is not None
    ]
    moved = iter(model.stepper.step(moves) if moves else [])
    after = []
    for state, position, time, _ in steps:
        latest = time if state.last_time is None else max(time, state.last_time)
        tensors = state.tensors if position is None else next(moved)
        after.append(StoredState(state.num_events + 1, state.is_known or position is not None, latest, tensors))
    return after


def elapsed_days(state: StoredState, time: int) -> float:
    """Return the days between a user's last event and a time; 0 before the first event that the state follows.

    Args:
        state: the state after the last event.
        time: unix seconds.
    """
    if not state.is_known or state.last_time is None:
        return 0.0
    return max(time - state.last_time, 0) / DAY
