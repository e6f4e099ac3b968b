"""The endpoints: what each reads and answers, and which call it makes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from interestlab.serving.core.change_items import put_item, retire_item
from interestlab.serving.core.core import Core
from interestlab.serving.core.ranking import Question
from interestlab.serving.core.recommend import recommend
from interestlab.serving.core.user_data import describe_user, erase_user
from interestlab.serving.core.what_if import what_if
from interestlab.serving.http.endpoint import Answer, Endpoint, Request
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

NOT_APPLIED = (EventResult, Problem)
"""One event that was not applied is answered in its own form, any other problem as such."""


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


class PostEvents(Endpoint):
    """Apply one event, or a list of them."""

    method, path, role = "POST", "/v1/events", Role.write
    body = Event | Annotated[list[Event], Meta(min_length=1, max_length=MAX_EVENTS)]
    answers: ClassVar = {200: (EventResult, EventResults), 409: NOT_APPLIED, 422: NOT_APPLIED, 503: NOT_APPLIED}

    async def answer(self, service: Service, request: Request) -> Answer:
        if isinstance(request.body, list):
            return Answer(EventResults(await service.apply(request.body)))
        (result,) = await service.apply([request.body])
        return Answer(result, STATUS_CODES[result.status])


class GetRecommendations(Endpoint):
    """Recommend items to a user."""

    method, path, role = "GET", "/v1/users/{user_id}/recommendations", Role.read
    query = ListQuery
    answers: ClassVar = {200: (Recommendations,)}

    async def answer(self, service: Service, request: Request) -> Answer:
        query = request.query
        question = Question(request.path["user_id"], query.k, query.at, query.words)
        (found,) = await service.call(lambda core: recommend(core, [question]))
        return Answer(found)


class GetUser(Endpoint):
    """Describe a user."""

    method, path, role = "GET", "/v1/users/{user_id}", Role.read
    answers: ClassVar = {200: (UserInfo,)}

    async def answer(self, service: Service, request: Request) -> Answer:
        return Answer(await service.call(lambda core: describe_user(core, request.path["user_id"])))


class DeleteUser(Endpoint):
    """Erase a user from the log and the states."""

    method, path, role = "DELETE", "/v1/users/{user_id}", Role.admin
    answers: ClassVar = {204: ()}

    async def answer(self, service: Service, request: Request) -> Answer:
        await service.call(lambda core: erase_user(core, request.path["user_id"]))
        return Answer(None, 204)


class PutItem(Endpoint):
    """Add an item by its words, or restore a retired one."""

    method, path, role = "PUT", "/v1/items/{item_id}", Role.write
    body = ItemWords
    answers: ClassVar = {200: (ItemResult,)}

    async def answer(self, service: Service, request: Request) -> Answer:
        return Answer(await service.call(lambda core: put_item(core, request.path["item_id"], request.body)))


class DeleteItem(Endpoint):
    """Stop recommending an item."""

    method, path, role = "DELETE", "/v1/items/{item_id}", Role.write
    answers: ClassVar = {200: (ItemResult,)}

    async def answer(self, service: Service, request: Request) -> Answer:
        return Answer(await service.call(lambda core: retire_item(core, request.path["item_id"])))


class PostWhatIf(Endpoint):
    """Recommend after a change of a user's events, which is not written."""

    method, path, role = "POST", "/v1/whatif", Role.read
    body = WhatIf
    answers: ClassVar = {200: (WhatIfResult,)}

    async def answer(self, service: Service, request: Request) -> Answer:
        return Answer(await service.call(lambda core: what_if(core, request.body)))


class GetModel(Endpoint):
    """Describe the model that is served."""

    method, path, role = "GET", "/v1/models", Role.read
    answers: ClassVar = {200: (ModelInfo,)}

    async def answer(self, service: Service, request: Request) -> Answer:
        return Answer(await service.call(Core.describe_model))


class PostModel(Endpoint):
    """Load a run, and serve it."""

    method, path, role = "POST", "/v1/models", Role.admin
    body = ModelRequest
    answers: ClassVar = {200: (ModelInfo,)}

    async def answer(self, service: Service, request: Request) -> Answer:
        return Answer(await service.swap(Path(request.body.run)))


class GetHealth(Endpoint):
    """Whether the process runs."""

    method, path = "GET", "/healthz"
    answers: ClassVar = {200: (Health,)}

    async def answer(self, service: Service, request: Request) -> Answer:
        return Answer(Health("alive"))


class GetReadiness(Endpoint):
    """Whether requests are answered."""

    method, path = "GET", "/readyz"
    answers: ClassVar = {200: (Health,), 503: (Health,)}

    async def answer(self, service: Service, request: Request) -> Answer:
        return Answer(Health("ready")) if service.is_ready else Answer(Health("not ready"), 503)


ENDPOINTS: tuple[Endpoint, ...] = (
    PostEvents(),
    GetRecommendations(),
    GetUser(),
    DeleteUser(),
    PutItem(),
    DeleteItem(),
    PostWhatIf(),
    GetModel(),
    PostModel(),
    GetHealth(),
    GetReadiness(),
)
