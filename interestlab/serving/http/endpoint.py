"""The interface of an endpoint."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from msgspec import Struct

from interestlab.serving.http.tokens import Role
from interestlab.serving.service import Service


class Request(NamedTuple):
    """A request that was read.

    Attributes:
        path: parameters of the path.
        query: parameters of the query, of the type of the endpoint; None if it has none.
        body: the body, of the type of the endpoint; None if it has none.
    """

    path: Mapping[str, str]
    query: Any
    body: Any


class Answer(NamedTuple):
    """An answer to a request.

    Attributes:
        content: a struct, which becomes JSON; None: no body.
        status: HTTP status.
    """

    content: Struct | None
    status: int = 200


class Endpoint(ABC):
    """One endpoint. The docstring of a subclass is its summary in the OpenAPI document.

    Attributes:
        method: HTTP method.
        path: its path; a part in braces is a parameter.
        role: the role that it needs; None: it needs no token.
        answers: types of the answer by status; none: it has no body.
        body: type of the body; None: it has none.
        query: type of the query; None: it has none.
    """

    method: ClassVar[str]
    path: ClassVar[str]
    role: ClassVar[Role | None] = None
    answers: ClassVar[Mapping[int, tuple[type[Struct], ...]]]
    body: ClassVar[Any] = None
    query: ClassVar[type[Struct] | None] = None

    @abstractmethod
    async def answer(self, service: Service, request: Request) -> Answer:
        """Answer a request.

        Args:
            service: what it calls.
            request: the request.

        Raises:
            DataError: the request does not fit the model; the subclasses of :mod:`interestlab.serving.errors` say why.
            OverloadError: the server is busy; nothing was done.
        """
