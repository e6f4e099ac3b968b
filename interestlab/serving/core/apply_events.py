"""Apply events: log them, move the states, and commit both, before anything is answered."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from interestlab.errors import DataError
from interestlab.serving.core.core import Core
from interestlab.serving.core.ranking import Question
from interestlab.serving.core.recommend import recommend
from interestlab.serving.errors import NotFoundError
from interestlab.serving.following import Step, follow
from interestlab.serving.messages import Event, EventResult, clean_id, event_body
from interestlab.serving.store.events import StoredEvent
from interestlab.serving.store.states import StoredState
from interestlab.serving.users import User


class Pending(NamedTuple):
    """An event that can be applied.

    Attributes:
        event: the event.
        body: the event as it is stored.
        user: its user, before it.
        step: the move of the user's state.
    """

    event: Event
    body: bytes
    user: User
    step: Step


def apply_events(core: Core, events: Sequence[Event]) -> list[EventResult]:
    """Apply events, and return the result of each.

    Args:
        core: the core.
        events: events of different users and with different ids.

    Raises:
        StoreError: the store cannot be written; nothing was applied.
    """
    with core.metrics.time("load"):
        bodies = {event.event_id: event_body(event) for event in events}
        stored = core.store.events.bodies(list(bodies))
        users = core.served.users.load(event.user_id.strip() for event in events)
    results: dict[str, EventResult] = {}
    pending: dict[str, Pending] = {}
    for event in events:
        event_id, body, user_id = event.event_id, bodies[event.event_id], event.user_id.strip()
        if event_id in stored:
            results[event_id] = repeated(event_id, stored[event_id] == body)
            continue
        try:
            pending[user_id] = Pending(event, body, users[user_id], read(core, event, user_id, users[user_id]))
        except NotFoundError as err:
            results[event_id] = EventResult(event_id, "unknown_item", str(err))
        except DataError as err:
            results[event_id] = EventResult(event_id, "invalid", str(err))
    if pending:
        core.metrics.batch_size.observe(len(pending))
        results |= move_states(core, pending)
    for result in results.values():
        core.metrics.events[result.status].inc()
    answer_with_lists(core, events, results)
    return [results[event.event_id] for event in events]


def repeated(event_id: str, is_same: bool) -> EventResult:
    """Return the result for an event whose id is already in the log.

    Args:
        event_id: its id.
        is_same: whether the event in the log is the same.
    """
    if is_same:
        return EventResult(event_id, "duplicate")
    return EventResult(event_id, "conflict", "another event has this event_id; send this one with an id of its own.")


def read(core: Core, event: Event, user_id: str, user: User) -> Step:
    """Read an event as the model does.

    Args:
        core: the core.
        event: the event.
        user_id: the id of its user.
        user: its user, before it.

    Raises:
        NotFoundError: the model has no such item.
        DataError: the user's id is empty or too long, or the log has no such column.
    """
    model = core.served.model
    clean_id(user_id)
    position = model.items.find(event.item_id)
    if position is None:
        raise NotFoundError("the model has no item of this item_id; add it with PUT /v1/items/{item_id}.")
    state = core.served.users.before_next(user_id, user)
    return Step(state, position, int(event.timestamp), model.reader.embed(event, state.last_time))


def move_states(core: Core, pending: Mapping[str, Pending]) -> dict[str, EventResult]:
    """Move the states of users, commit them together with their events, and return the result of each event, by its id.

    Args:
        core: the core.
        pending: one event of each user, by the user's id.

    Raises:
        StoreError: the store cannot be written; nothing was applied.
    """
    model = core.served.model
    with core.metrics.time("step"):
        after = dict(zip(pending, follow(model, [one.step for one in pending.values()]), strict=True))
    with core.metrics.time("commit"), core.store.transaction():
        core.store.events.add(as_stored(user_id, one) for user_id, one in pending.items())
        if model.stepper.stores_states:
            core.store.states.put(model.version, after)
    results = {}
    for user_id, one in pending.items():
        before, event_id = one.step.state, one.event.event_id
        is_late = before.last_time is not None and one.step.time < before.last_time
        results[event_id] = EventResult(event_id, "late" if is_late else "applied")
        remember(core, user_id, one, after[user_id])
    return results


def as_stored(user_id: str, one: Pending) -> StoredEvent:
    """Return an event as the log has it.

    Args:
        user_id: its user.
        one: the event.
    """
    item_id = one.event.item_id.strip()
    return StoredEvent(one.event.event_id, user_id, one.step.state.num_events, one.step.time, item_id, one.body)


def remember(core: Core, user_id: str, one: Pending, after: StoredState) -> None:
    """Keep the state after an event that was committed, and count whether the last list contained its item.

    Args:
        core: the core.
        user_id: the user.
        one: the event.
        after: the state after it.
    """
    user, position = one.user, one.step.position
    assert position is not None
    if user.shown:
        core.metrics.hits[position in user.shown].inc()
    user.state, user.shown = after, ()
    user.history.add(position)
    core.served.users.keep(user_id, user)
    core.note_change(user_id)


def answer_with_lists(core: Core, events: Sequence[Event], results: Mapping[str, EventResult]) -> None:
    """Add recommendations to the results of the events that ask for them.

    Args:
        core: the core.
        events: the events.
        results: the result of each, by its id.
    """
    asking = [event for event in events if event.k and results[event.event_id].status in ("applied", "late", "duplicate")]
    questions = [Question(event.user_id.strip(), event.k or 0) for event in asking]
    for event, answer in zip(asking, recommend(core, questions), strict=True):
        results[event.event_id].recommendations = answer
