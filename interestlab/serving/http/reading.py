"""Read requests: their headers, paths, queries and bodies, within limits."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]

MAX_BODY = 64 * 1024
JSON = b"application/json"


class HttpError(Exception):
    """A request that is refused.

    Args:
        status: HTTP status.
        reason: why.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, reason: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(reason)
        self.status, self.headers = status, headers


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


def read_query(scope: Scope) -> dict[str, str]:
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


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Return the body of a request.

    Args:
        scope: the request.
        receive: returns its next part.

    Raises:
        HttpError: it is not JSON, too large, or incomplete.
    """
    if header(scope, b"content-type").partition(b";")[0].strip().lower() != JSON:
        raise HttpError(415, "send JSON, with the header `Content-Type: application/json`.")
    too_large = HttpError(413, f"a body has at most {MAX_BODY:,} bytes; send fewer events at a time.")
    if (length := header(scope, b"content-length")).isdigit() and int(length) > MAX_BODY:
        raise too_large
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise HttpError(400, "the request ended early.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY:
            raise too_large
        more = message.get("more_body", False)
    return b"".join(chunks)
