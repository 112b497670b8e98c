"""The declaration of a route. The router, the access check, /openapi.json and the metrics are derived from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.routing import Route

from slipway.access.auth_file import AuthFile
from slipway.api.auth.access_check import Handler, RouteAccess, with_access_check, with_probe_response


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter; `schema` is its JSON schema."""

    name: str
    schema: dict[str, Any]
    about: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path."""

    method: str
    path: str
    handler: Handler
    summary: str
    access: RouteAccess
    body: type[BaseModel] | None = None
    query: tuple[Query, ...] = ()
    media_type: str = "application/json"
    """The media type of a success; empty when it has no body."""
    status: int = 200
    status_without_body: int | None = None
    """A second status of a success, whose response has no body."""

    def route(self, auth: AuthFile | None) -> Route:
        """The route for Starlette's router, with its access check."""
        handler = with_access_check(self.handler, self.access, auth)
        return Route(self.path, with_probe_response(handler) if self.access.probe else handler, methods=[self.method])


def bool_param(name: str, about: str = "") -> Query:
    """A query parameter that is true or false."""
    return Query(name, {"type": "boolean", "default": False}, about)


def int_param(name: str, default: int, minimum: int = 0, maximum: int | None = None) -> Query:
    """A query parameter that is a whole number."""
    bound = {} if maximum is None else {"maximum": maximum}
    return Query(name, {"type": "integer", "default": default, "minimum": minimum, **bound})


def list_param(name: str, about: str = "") -> Query:
    """A query parameter that may be repeated, separated by commas, or a JSON array."""
    return Query(name, {"type": "array", "items": {"type": "string"}}, about)
