"""Recommend after events that did not happen, or without some that did."""

from interestlab.serving.core.core import Core
from interestlab.serving.core.ranking import Question, rank
from interestlab.serving.core.recommend import as_items
from interestlab.serving.errors import NotFoundError
from interestlab.serving.following import replay, start_state
from interestlab.serving.messages import (
    EVENT_DECODER,
    AnyEvent,
    Recommendations,
    WhatIf,
    WhatIfResult,
    clean_id,
)
from interestlab.serving.users import User


def what_if(core: Core, question: WhatIf) -> WhatIfResult:
    """Recommend with and without a change of a user's events. Nothing is written.

    Args:
        core: the core.
        question: the change.

    Raises:
        NotFoundError: an event to remove is not one of the user's, or an added item is unknown.
        DataError: the log has no such column, or the user's id is empty or too long.
    """
    served, user_id = core.served, clean_id(question.user_id)
    before = served.users.load([user_id])[user_id]
    after = imagine(core, changed_events(core, user_id, question))
    asked = Question(user_id, question.k, question.at)
    lists = (
        Recommendations(user_id, ranking.basis, served.model.version, as_items(core, ranking))
        for ranking in rank(served, [(asked, before), (asked, after)])
    )
    return WhatIfResult(*lists)


def changed_events(core: Core, user_id: str, question: WhatIf) -> list[AnyEvent]:
    """Return the events of a user after a change.

    Args:
        core: the core.
        user_id: the user.
        question: the change.

    Raises:
        NotFoundError: an event to remove is not one of the user's, or an added item is unknown.
        DataError: the log has no such column.
    """
    logged, removed = core.store.events.of_user(user_id), set(question.remove)
    if unknown := removed - {event.event_id for event in logged}:
        raise NotFoundError(f"the user has no event {min(unknown)}; leave it out of `remove`.")
    for added in question.add:
        if core.served.model.items.find(added.item_id) is None:
            raise NotFoundError(f"the model has no item {added.item_id}; add it with PUT /v1/items/{{item_id}}.")
        core.served.model.reader.embed(added, None)
    kept = (EVENT_DECODER.decode(event.body) for event in logged if event.event_id not in removed)
    return [*kept, *question.add]


def imagine(core: Core, events: list[AnyEvent]) -> User:
    """Return a user with these events, as a replay of the log would.

    Args:
        core: the core.
        events: all events of the user, in order.
    """
    model = core.served.model
    first = model.stepper.first_event(len(events))
    latest = max((int(event.timestamp) for event in events[:first]), default=None)
    state = replay(model, {"": (start_state(model, first, latest), events[first:])})[""]
    positions = (model.items.find(event.item_id) for event in events)
    return User(state, {position for position in positions if position is not None})
