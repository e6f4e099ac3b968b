"""The ASGI application: it reads requests, checks their limits and tokens, and writes answers."""

import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import msgspec

from interestlab.errors import DataError
from interestlab.serving.core import ConflictError, NotFoundError
from interestlab.serving.core_thread import OverloadError
from interestlab.serving.http.openapi import openapi_document
from interestlab.serving.http.routes import ROUTES, Answer, Request, Route
from interestlab.serving.http.tokens import Role, Tokens
from interestlab.serving.messages import Problem
from interestlab.serving.metrics import CONTENT_TYPE
from interestlab.serving.service import Service
from interestlab.serving.store import StoreError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

MAX_BODY = 64 * 1024
RETRY_SECONDS = b"1"
JSON = b"application/json"
NO_CONTENT = 204

logger = logging.getLogger(__name__)


class HttpError(Exception):
    """An answer that is a problem.

    Args:
        status: HTTP status.
        reason: why.
        headers: further headers.
    """

    def __init__(self, status: int, reason: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(reason)
        self.status, self.headers = status, headers


class Reply(NamedTuple):
    """The bytes of an answer."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Sequence[tuple[bytes, bytes]] = ()


class App:
    """The application.

    Args:
        service: what it calls.
        tokens: the tokens that it accepts.
    """

    def __init__(self, service: Service, tokens: Tokens) -> None:
        self.service, self.tokens, self.metrics = service, tokens, service.core.metrics
        self._encoder = msgspec.json.Encoder()
        self._decoders = {route: msgspec.json.Decoder(route.body) for route in ROUTES if route.body is not None}
        self._openapi = self._encoder.encode(openapi_document(ROUTES))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection of the ASGI server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            start = time.perf_counter()
            reply = await self._reply(scope, receive)
            headers = list(reply.headers)
            if reply.status != NO_CONTENT:
                headers += [(b"content-type", reply.content_type), (b"content-length", str(len(reply.body)).encode())]
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            await send({"type": "http.response.body", "body": reply.body})
            self.metrics.requests.labels(scope["method"] if scope["method"] in METHODS else "other", reply.status).inc()
            self.metrics.request_seconds.observe(time.perf_counter() - start)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.service.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.service.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        try:
            return await self._answer(scope, receive)
        except HttpError as err:
            return self._problem(err.status, str(err), err.headers)
        except msgspec.ValidationError as err:
            return self._problem(422, str(err))
        except msgspec.DecodeError as err:
            return self._problem(400, str(err))
        except NotFoundError as err:
            return self._problem(404, str(err))
        except ConflictError as err:
            return self._problem(409, str(err))
        except (OverloadError, StoreError) as err:
            return self._problem(503, str(err), [(b"retry-after", RETRY_SECONDS)])
        except DataError as err:
            return self._problem(422, str(err))
        except Exception as err:
            # Where it failed, but not the message of the error, which could contain the id of a user.
            logger.error("a request failed with %s:\n%s", type(err).__name__, "".join(traceback.format_tb(err.__traceback__)))
            return self._problem(500, "the server failed; its log says where.")

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        method, parts = scope["method"], split_path(scope)
        if method == "GET" and parts == ["openapi.json"]:
            return Reply(200, self._openapi)
        if method == "GET" and parts == ["metrics"]:
            self._authorise(scope, Role.read)
            return Reply(200, self.metrics.text(), CONTENT_TYPE.encode())
        route, path = find_route(method, parts)
        if route.role is not None:
            self._authorise(scope, route.role)
        body = await self._read_body(route, scope, receive)
        query = None if route.query is None else msgspec.convert(parse_query(scope), route.query, strict=False)
        answer = await route.handle(self.service, Request(path, query, body))
        return self._as_reply(answer)

    def _as_reply(self, answer: Answer) -> Reply:
        retry = [(b"retry-after", RETRY_SECONDS)] if answer.status == 503 else []
        return Reply(answer.status, b"" if answer.content is None else self._encoder.encode(answer.content), headers=retry)

    def _problem(self, status: int, reason: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> Reply:
        return Reply(status, self._encoder.encode(Problem(reason)), headers=headers)

    def _authorise(self, scope: Scope, needed: Role) -> None:
        role = self.tokens.role_of(header(scope, b"authorization").decode("latin-1"))
        if role is None:
            raise HttpError(401, "send a token: `Authorization: Bearer TOKEN`.", [(b"www-authenticate", b"Bearer")])
        if role < needed:
            raise HttpError(403, f"this needs a token with the role {needed.name}.")

    async def _read_body(self, route: Route, scope: Scope, receive: Receive) -> Any:
        if route.body is None:
            return None
        if header(scope, b"content-type").partition(b";")[0].strip().lower() != JSON:
            raise HttpError(415, "send JSON, with the header `Content-Type: application/json`.")
        if (length := header(scope, b"content-length")).isdigit() and int(length) > MAX_BODY:
            raise HttpError(413, f"a body has at most {MAX_BODY:,} bytes.")
        chunks, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise HttpError(400, "the request ended early.")
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > MAX_BODY:
                raise HttpError(413, f"a body has at most {MAX_BODY:,} bytes.")
            more = message.get("more_body", False)
        return self._decoders[route].decode(b"".join(chunks))


METHODS = frozenset(route.method for route in ROUTES)


def header(scope: Scope, name: bytes) -> bytes:
    """Return a header of a request; empty if it has none.

    Args:
        scope: the request.
        name: name of the header, in lower case.
    """
    return next((value for key, value in scope["headers"] if key.lower() == name), b"")


def split_path(scope: Scope) -> list[str]:
    """Return the decoded parts of a path; a part may contain an encoded slash.

    Args:
        scope: the request.

    Raises:
        HttpError: the path is not UTF-8.
    """
    raw = scope.get("raw_path") or scope["path"].encode()
    try:
        return [unquote(part, errors="strict") for part in raw.partition(b"?")[0].decode("ascii").strip("/").split("/")]
    except UnicodeDecodeError as err:
        raise HttpError(400, "the path is not percent-encoded UTF-8.") from err


def parse_query(scope: Scope) -> dict[str, str]:
    """Return the query of a request.

    Args:
        scope: the request.

    Raises:
        HttpError: it is not UTF-8, or a name occurs twice.
    """
    try:
        pairs = parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError) as err:
        raise HttpError(400, "the query is not percent-encoded UTF-8.") from err
    if len(dict(pairs)) < len(pairs):
        raise HttpError(400, "a parameter of the query occurs twice.")
    return dict(pairs)


def find_route(method: str, parts: Sequence[str]) -> tuple[Route, dict[str, str]]:
    """Return the endpoint of a request, and the parameters of its path.

    Args:
        method: HTTP method.
        parts: parts of the path.

    Raises:
        HttpError: there is no such path, or it has no such method.
    """
    allowed = []
    for route in ROUTES:
        if len(route.parts) != len(parts):
            continue
        path = {}
        for expected, part in zip(route.parts, parts, strict=True):
            if expected.startswith("{"):
                path[expected[1:-1]] = part
            elif expected != part:
                break
        else:
            if route.method == method:
                return route, path
            allowed.append(route.method)
    if allowed:
        raise HttpError(405, f"the path has the methods {', '.join(allowed)}.", [(b"allow", ", ".join(allowed).encode())])
    raise HttpError(404, "there is no such path; /openapi.json lists them.")
