"""Find the endpoint of a request."""

from collections.abc import Sequence

from interestlab.serving.http.endpoint import Endpoint
from interestlab.serving.http.reading import HttpError


class Router:
    """Finds endpoints by method and path.

    Args:
        endpoints: the endpoints.
    """

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = [(endpoint.path.strip("/").split("/"), endpoint) for endpoint in endpoints]

    def find(self, method: str, parts: Sequence[str]) -> tuple[Endpoint, dict[str, str]]:
        """Return the endpoint of a request, and the parameters of its path.

        Args:
            method: HTTP method.
            parts: parts of the path.

        Raises:
            HttpError: there is no such path, or it has no such method.
        """
        allowed = []
        for expected, endpoint in self._endpoints:
            if (path := match(expected, parts)) is not None:
                if endpoint.method == method:
                    return endpoint, path
                allowed.append(endpoint.method)
        if not allowed:
            raise HttpError(404, "there is no such path; /openapi.json lists them.")
        methods = ", ".join(allowed)
        raise HttpError(405, f"the path has the methods {methods}.", [(b"allow", methods.encode())])


def match(expected: Sequence[str], parts: Sequence[str]) -> dict[str, str] | None:
    """Return the parameters of a path; None if it is another path.

    Args:
        expected: parts of the path of an endpoint; one in braces is a parameter.
        parts: parts of the path of a request.
    """
    if len(expected) != len(parts):
        return None
    path = {}
    for name, part in zip(expected, parts, strict=True):
        if name.startswith("{"):
            path[name[1:-1]] = part
        elif name != part:
            return None
    return path
