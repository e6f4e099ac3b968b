"""The ASGI application: it checks tokens, calls the endpoint of a request, and writes its answer."""

import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from interestlab.errors import DataError
from interestlab.serving.errors import ConflictError, NotFoundError, OverloadError, StoreError
from interestlab.serving.http.endpoint import Request
from interestlab.serving.http.endpoints import ENDPOINTS
from interestlab.serving.http.openapi import openapi_document
from interestlab.serving.http.reading import JSON, HttpError, Receive, Scope, header, read_body, read_query, split_path
from interestlab.serving.http.routing import Router
from interestlab.serving.http.tokens import Role, Tokens
from interestlab.serving.messages import Problem
from interestlab.serving.metrics import CONTENT_TYPE
from interestlab.serving.service import Service

Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

RETRY_LATER = ((b"retry-after", b"1"),)
NO_CONTENT = 204
METHODS = frozenset(endpoint.method for endpoint in ENDPOINTS)

logger = logging.getLogger(__name__)


class Reply(NamedTuple):
    """The bytes of an answer."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()


class App:
    """The application.

    Args:
        service: what it calls.
        tokens: the tokens that it accepts.
    """

    def __init__(self, service: Service, tokens: Tokens) -> None:
        self.service, self.tokens, self.metrics = service, tokens, service.core.metrics
        self._router = Router(ENDPOINTS)
        self._encoder = msgspec.json.Encoder()
        self._decoders = {endpoint: msgspec.json.Decoder(endpoint.body) for endpoint in ENDPOINTS if endpoint.body is not None}
        self._openapi = self._encoder.encode(openapi_document(ENDPOINTS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or start and stop with the ASGI server."""
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
            return self._problem(400, f"the body is not JSON: {err}")
        except NotFoundError as err:
            return self._problem(404, str(err))
        except ConflictError as err:
            return self._problem(409, str(err))
        except (OverloadError, StoreError) as err:
            return self._problem(503, str(err), RETRY_LATER)
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
        endpoint, path = self._router.find(method, parts)
        if endpoint.role is not None:
            self._authorise(scope, endpoint.role)
        body = None if endpoint.body is None else self._decoders[endpoint].decode(await read_body(scope, receive))
        query = None if endpoint.query is None else msgspec.convert(read_query(scope), endpoint.query, strict=False)
        content, status = await endpoint.answer(self.service, Request(path, query, body))
        headers = RETRY_LATER if status == 503 else ()
        return Reply(status, b"" if content is None else self._encoder.encode(content), headers=headers)

    def _authorise(self, scope: Scope, needed: Role) -> None:
        role = self.tokens.role_of(header(scope, b"authorization").decode("latin-1"))
        if role is None:
            raise HttpError(401, "send a token: `Authorization: Bearer TOKEN`.", [(b"www-authenticate", b"Bearer")])
        if role < needed:
            raise HttpError(403, f"this needs a token with the role {needed.name}.")

    def _problem(self, status: int, reason: str, headers: Headers = ()) -> Reply:
        return Reply(status, self._encoder.encode(Problem(reason)), headers=headers)
