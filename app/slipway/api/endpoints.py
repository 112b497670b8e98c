"""One declaration a route: the router, who may use it, /openapi.json and the metrics are all made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.routing import Route

from slipway.access.auth_file import CustomAuth
from slipway.api.auth.access_check import Access, Handler, guarded, probed


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter, as openapi.json shows it."""

    name: str
    schema: dict[str, Any]
    about: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and a path, what it does, what its caller must be allowed, and what it takes and gives."""

    method: str
    path: str
    handler: Handler
    summary: str
    access: Access
    body: type[BaseModel] | None = None
    query: tuple[Query, ...] = ()
    answers: str = "application/json"
    """Media type of a success; empty when there is no body."""
    status: int = 200
    bare: int | None = None
    """Another status of a success, which has no body."""

    def route(self, auth: CustomAuth | None) -> Route:
        """For Starlette's router, behind its gate."""
        handler = guarded(self.handler, self.access, auth)
        return Route(self.path, probed(handler) if self.access.probe else handler, methods=[self.method])


def flag(name: str, about: str = "") -> Query:
    """A query parameter that is true or false."""
    return Query(name, {"type": "boolean", "default": False}, about)


def number(name: str, default: int, least: int = 0, most: int | None = None) -> Query:
    """A query parameter that is a whole number."""
    bound = {} if most is None else {"maximum": most}
    return Query(name, {"type": "integer", "default": default, "minimum": least, **bound})


def names(name: str, about: str = "") -> Query:
    """A query parameter that may be repeated, comma separated, or a JSON array."""
    return Query(name, {"type": "array", "items": {"type": "string"}}, about)
