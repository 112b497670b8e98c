"""Builds /openapi.json from the endpoints and the models of their bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from slipway.api.endpoints import Endpoint

_REFERENCE: Final = "#/components/schemas/{model}"
_PARAMETER: Final = re.compile(r"{(\w+)(:\w+)?}")
_BY_NAME: Final = frozenset({"assistant_id", "namespace", "checkpoint_id"})
"""Path parameters that are not UUIDs."""

ERRORS: Final = {
    "400": "The request is valid, but not possible here",
    "401": "The auth file does not accept the credentials",
    "403": "The auth file does not allow it",
    "404": "There is no record with this id or name",
    "409": "The record exists already, or the thread has an active run",
    "413": "The body is too large",
    "422": "A part of the request is invalid; `field` names it",
    "503": "Temporarily not possible: Redis is unavailable or full, or the graph cannot be loaded",
}
"""Error responses that every operation can have."""

ERROR: Final = {
    "type": "object",
    "required": ["detail"],
    "properties": {"detail": {"type": "string"}, "code": {"type": "string"}, "field": {"type": "string"}},
}


def describe(
    endpoints: Iterable[Endpoint], version: str, *, prefix: str = "", security: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The OpenAPI 3.1 document. `security` is `auth.openapi` of langgraph.json, `prefix` is the mount prefix."""
    endpoints = tuple(endpoints)
    bodies = {endpoint.body for endpoint in endpoints if endpoint.body}
    _, schemas = models_json_schema(
        [(body, "validation") for body in sorted(bodies, key=lambda body: body.__name__)], ref_template=_REFERENCE
    )
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(plain_path(endpoint.path), {})[endpoint.method.lower()] = _operation(endpoint)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Slipway", "version": version, "description": "The LangGraph Agent Server protocol."},
        "paths": paths,
        "components": {"schemas": schemas.get("$defs", {}) | {"Error": ERROR}},
    }
    return document | ({"servers": [{"url": prefix}]} if prefix else {}) | _secured(document, security or {})


def _secured(document: Mapping[str, Any], security: Mapping[str, Any]) -> dict[str, Any]:
    """The members that describe how to authenticate."""
    members: dict[str, Any] = {}
    if schemes := security.get("securitySchemes"):
        members["components"] = document["components"] | {"securitySchemes": schemes}
    if requirements := security.get("security"):
        members["security"] = requirements
    return members


def plain_path(path: str) -> str:
    """The path without Starlette's converters."""
    return _PARAMETER.sub(r"{\1}", path)


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = ({"security": []} if endpoint.access.public else {}) | {
        "summary": endpoint.summary,
        "operationId": f"{endpoint.method.lower()}{re.sub(r'[^a-z0-9]+', '_', endpoint.path)}".strip("_"),
        "tags": [endpoint.path.split("/")[1]],
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint),
    }
    if endpoint.body:
        schema = {"$ref": _REFERENCE.format(model=endpoint.body.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": _id_schema(name)}
        for name, _ in _PARAMETER.findall(endpoint.path)
    ]
    in_query = [
        {"name": query.name, "in": "query", "schema": query.schema, "description": query.about}
        for query in endpoint.query
    ]
    return in_path + in_query


def _id_schema(name: str) -> dict[str, str]:
    return {"type": "string"} if name in _BY_NAME else {"type": "string", "format": "uuid"}


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    responses = {str(endpoint.status): _success_response(endpoint)}
    if endpoint.status_without_body:
        responses[str(endpoint.status_without_body)] = {"description": "Done"}
    return responses | {status: _error_response(description) for status, description in ERRORS.items()}


def _success_response(endpoint: Endpoint) -> dict[str, Any]:
    if not endpoint.media_type:
        return {"description": "Done"}
    return {"description": endpoint.summary, "content": {endpoint.media_type: {}}}


def _error_response(description: str) -> dict[str, Any]:
    """The OpenAPI object of a response whose body is the schema `Error`."""
    schema = {"$ref": _REFERENCE.format(model="Error")}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
