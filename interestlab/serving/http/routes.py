"""The endpoints: what each reads and answers, and which call it makes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct

from interestlab.serving.core import Question
from interestlab.serving.http.tokens import Role
from interestlab.serving.messages import (
    MAX_EVENTS,
    Count,
    Event,
    EventResult,
    EventResults,
    ItemResult,
    ItemWords,
    ModelInfo,
    ModelRequest,
    Problem,
    Recommendations,
    Seconds,
    Status,
    UserInfo,
    WhatIf,
    WhatIfResult,
)
from interestlab.serving.service import Service

Events = Event | Annotated[list[Event], Meta(min_length=1, max_length=MAX_EVENTS)]

STATUS_CODES: Mapping[Status, int] = {
    "applied": 200,
    "late": 200,
    "duplicate": 200,
    "conflict": 409,
    "unknown_item": 422,
    "invalid": 422,
    "not_processed": 503,
}
"""HTTP status of a request with one event."""


class Answer(Struct):
    """An answer to a request.

    Attributes:
        content: a struct, which becomes JSON; None: no body.
        status: HTTP status.
    """

    content: Any = None
    status: int = 200


class Health(Struct):
    """The state of the server."""

    status: str


class ListQuery(Struct):
    """Parameters of a list.

    Attributes:
        k: number of items.
        at: unix seconds of the recommendation; default: the time of the user's last event.
        words: what is known of a user without events.
    """

    k: Count = 10
    at: Seconds | None = None
    words: Annotated[str, Meta(max_length=1000)] | None = None


class Request(NamedTuple):
    """A request that was read.

    Attributes:
        path: parameters of the path.
        query: parameters of the query, of the type of the route; None if it has none.
        body: the body, of the type of the route; None if it has none.
    """

    path: Mapping[str, str]
    query: Any
    body: Any


Handler = Callable[[Service, Request], Awaitable[Answer]]
"""Answers a request."""


@dataclass(frozen=True, eq=False)
class Route:
    """One endpoint.

    Attributes:
        method: HTTP method.
        path: its path; a part in braces is a parameter.
        role: the role that it needs; None: it needs no token.
        handle: answers it.
        summary: one line for the OpenAPI document.
        answers: types of the answer by status; none: it has no body.
        body: type of the body; None: it has none.
        query: type of the query; None: it has none.
    """

    method: str
    path: str
    role: Role | None
    handle: Handler
    summary: str
    answers: Mapping[int, tuple[type[Struct], ...]] = field(default_factory=dict)
    body: Any = None
    query: type[Struct] | None = None

    @property
    def parts(self) -> list[str]:
        """The parts of the path."""
        return self.path.strip("/").split("/")


async def post_events(service: Service, request: Request) -> Answer:
    """Apply events."""
    if isinstance(request.body, list):
        return Answer(EventResults(await service.apply(request.body)))
    (result,) = await service.apply([request.body])
    return Answer(result, STATUS_CODES[result.status])


async def get_recommendations(service: Service, request: Request) -> Answer:
    """Recommend items to a user."""
    query = request.query
    question = Question(request.path["user_id"], query.k, query.at, query.words)
    return Answer((await service.call(lambda core: core.recommend([question])))[0])


async def get_user(service: Service, request: Request) -> Answer:
    """Describe a user."""
    return Answer(await service.call(lambda core: core.describe_user(request.path["user_id"])))


async def delete_user(service: Service, request: Request) -> Answer:
    """Erase a user."""
    await service.call(lambda core: core.erase_user(request.path["user_id"]))
    return Answer(status=204)


async def put_item(service: Service, request: Request) -> Answer:
    """Add an item, or restore a retired one."""
    return Answer(await service.call(lambda core: core.put_item(request.path["item_id"], request.body)))


async def delete_item(service: Service, request: Request) -> Answer:
    """Retire an item."""
    return Answer(await service.call(lambda core: core.retire_item(request.path["item_id"])))


async def post_whatif(service: Service, request: Request) -> Answer:
    """Recommend after events that did not happen."""
    return Answer(await service.call(lambda core: core.what_if(request.body)))


async def get_model(service: Service, _request: Request) -> Answer:
    """Describe the model."""
    return Answer(await service.call(lambda core: core.describe_model()))


async def post_model(service: Service, request: Request) -> Answer:
    """Serve another run."""
    return Answer(await service.swap(Path(request.body.run)))


async def get_health(_service: Service, _request: Request) -> Answer:
    """Say that the process runs."""
    return Answer(Health("alive"))


async def get_readiness(service: Service, _request: Request) -> Answer:
    """Say whether requests are answered."""
    return Answer(Health("ready")) if service.is_ready else Answer(Health("not ready"), 503)


NOT_APPLIED = (EventResult, Problem)
"""One event that was not applied is answered in its own form, any other problem as such."""

ROUTES = (
    Route(
        "POST",
        "/v1/events",
        Role.write,
        post_events,
        "Apply one event, or a list of them.",
        {200: (EventResult, EventResults), 409: NOT_APPLIED, 422: NOT_APPLIED, 503: NOT_APPLIED},
        body=Events,
    ),
    Route(
        "GET",
        "/v1/users/{user_id}/recommendations",
        Role.read,
        get_recommendations,
        "Recommend items to a user.",
        {200: (Recommendations,)},
        query=ListQuery,
    ),
    Route("GET", "/v1/users/{user_id}", Role.read, get_user, "Describe a user.", {200: (UserInfo,)}),
    Route("DELETE", "/v1/users/{user_id}", Role.admin, delete_user, "Erase a user from the log and the states.", {204: ()}),
    Route(
        "PUT",
        "/v1/items/{item_id}",
        Role.write,
        put_item,
        "Add an item by its words, or restore a retired one.",
        {200: (ItemResult,)},
        body=ItemWords,
    ),
    Route("DELETE", "/v1/items/{item_id}", Role.write, delete_item, "Recommend an item no more.", {200: (ItemResult,)}),
    Route(
        "POST",
        "/v1/whatif",
        Role.read,
        post_whatif,
        "Recommend after a change of a user's events, which is not written.",
        {200: (WhatIfResult,)},
        body=WhatIf,
    ),
    Route("GET", "/v1/models", Role.read, get_model, "Describe the model that is served.", {200: (ModelInfo,)}),
    Route("POST", "/v1/models", Role.admin, post_model, "Load a run, and serve it.", {200: (ModelInfo,)}, body=ModelRequest),
    Route("GET", "/healthz", None, get_health, "Whether the process runs.", {200: (Health,)}),
    Route("GET", "/readyz", None, get_readiness, "Whether requests are answered.", {200: (Health,), 503: (Health,)}),
)
