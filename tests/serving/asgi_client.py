"""A client of an ASGI application in the same process, without sockets."""

import asyncio
import json
from typing import Any, NamedTuple


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Sends requests to an application that is started and stopped as a server does."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __aenter__(self) -> "Client":
        self._messages: asyncio.Queue = asyncio.Queue()
        self._sent: asyncio.Queue = asyncio.Queue()
        self._task = asyncio.create_task(self.app({"type": "lifespan"}, self._messages.get, self._sent.put))
        await self._messages.put({"type": "lifespan.startup"})
        assert (await self._sent.get())["type"] == "lifespan.startup.complete"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._messages.put({"type": "lifespan.shutdown"})
        assert (await self._sent.get())["type"] == "lifespan.shutdown.complete"
        await self._task

    async def __call__(self, method: str, path: str, body: Any = None, token: str = "", **headers: str) -> Answer:
        """Send a request; a body that is not bytes is sent as JSON."""
        path, _, query = path.partition("?")
        given = {"content-type": "application/json"} if body is not None else {}
        if token:
            given["authorization"] = f"Bearer {token}"
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("utf-8"),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        parts = [data[i : i + 40_000] for i in range(0, len(data), 40_000)] or [b""]
        messages = iter([{"type": "http.request", "body": p, "more_body": i < len(parts) - 1} for i, p in enumerate(parts)])
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return next(messages)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        headers_sent = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers_sent, b"".join(message["body"] for message in sent[1:]))
