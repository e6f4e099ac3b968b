"""The OpenAPI document, made from the endpoints and their structs."""

import inspect
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from interestlab import __version__
from interestlab.serving.http.endpoint import Endpoint
from interestlab.serving.messages import Id, Problem

REF = "#/components/schemas/{name}"

PROBLEMS = {
    400: "The body, the path or the query cannot be read.",
    401: "The token is missing or unknown.",
    403: "The token has not the role that this needs.",
    404: "There is no such user, item or path.",
    405: "The path has no such method.",
    409: "Something of this id exists, and differs.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The request does not fit the log of the model.",
    503: "The server is busy; send the request again.",
}


def openapi_document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the document.

    Args:
        endpoints: the endpoints.
    """
    types: list[Any] = [Id, Problem]
    for endpoint in endpoints:
        types += [t for answer in endpoint.answers.values() for t in answer]
        types += [t for t in (endpoint.body, endpoint.query) if t is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    schema_of = {id(t): schema for t, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schema_of, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "interestlab serve", "version": __version__},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(endpoint: Endpoint, schema_of: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    answers: dict[int, tuple[Any, ...]] = dict.fromkeys(PROBLEMS, (Problem,)) | dict(endpoint.answers)
    for status, kinds in sorted(answers.items()):
        content = {"content": _json(schema_of, *kinds)} if kinds else {}
        responses[str(status)] = {"description": PROBLEMS.get(status, "The answer.")} | content
    operation: dict[str, Any] = {"summary": inspect.getdoc(endpoint), "responses": responses, "parameters": []}
    for name in re.findall(r"{(\w+)}", endpoint.path):
        operation["parameters"].append({"name": name, "in": "path", "required": True, "schema": schema_of[id(Id)]})
    if endpoint.query:
        for name, schema in components[endpoint.query.__name__]["properties"].items():
            operation["parameters"].append({"name": name, "in": "query", "required": False, "schema": schema})
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(schema_of, endpoint.body)}
    if endpoint.role is not None:
        operation["security"] = [{"token": []}]
        operation["description"] = f"With tokens, it needs the role {endpoint.role.name}."
    return operation


def _json(schema_of: dict[int, Any], *types: Any) -> dict[str, Any]:
    schemas = [schema_of[id(type_)] for type_ in types]
    return {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}}
