"""The declaration of a route. The router, the access check, /openapi.json and the metrics are derived from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from slipway.access.access_control import AccessControl
from slipway.api.auth.access_check import Handler, RouteAccess, user_of, with_access_check, with_probe_response
from slipway.api.auth.rates import hold_stream_slot
from slipway.api.request_spans import with_request_span
from slipway.api.shared_objects import services_of

_LONG: Final = ("/wait", "/join", "/events")
"""The ends of the paths whose responses are sent when a run has ended, and of event streams of pages."""

_ON_RUNS: Final = ("/ops/runs/", "/ops/reviews/", "/hooks/")
_OF_RUNS: Final = ("/cancel", "/commands")
"""The begins and ends of the paths whose requests act on runs without the operation that creates them."""

RECORD_BYTES: Final = 512
"""What a record is counted as beside the body of its request."""


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
    stores: bool = False
    """Whether a request stores records other than runs, which memory must have room for."""

    @property
    def is_long(self) -> bool:
        """Whether its responses wait for runs, and so count as streams of their user."""
        return self.media_type == "text/event-stream" or self.path.endswith(_LONG)

    @property
    def acts_on_runs(self) -> bool:
        """Whether its requests create, resume or cancel runs, or decide reviews. They are parts of traces."""
        if self.method == "GET" or "crons:create" in self.access.required:
            return False
        creates = "threads:create_run" in self.access.required
        return creates or self.path.startswith(_ON_RUNS) or self.path.endswith(_OF_RUNS)

    def route(self, auth: AccessControl | None) -> Route:
        """The route for Starlette's router, with its access check."""
        handler = with_admission(self.handler) if self.stores else self.handler
        handler = with_access_check(with_stream_slot(handler) if self.is_long else handler, self.access, auth)
        if self.acts_on_runs:
            handler = with_request_span(handler, self.method, self.path)
        return Route(self.path, with_probe_response(handler) if self.access.probe else handler, methods=[self.method])


def with_admission(handler: Handler) -> Handler:
    """The handler of a route that stores what its body contains. It raises `Overloaded` when memory has no room."""

    @wraps(handler)
    async def admitted(request: Request) -> Response | ASGIApp:
        await services_of(request).admission.admit(RECORD_BYTES + len(await request.body()))
        return await handler(request)

    return admitted


def with_stream_slot(handler: Handler) -> Handler:
    """The handler of a route whose responses are long. It raises `TooManyStreams` before anything is done."""

    @wraps(handler)
    async def counted(request: Request) -> Response | ASGIApp:
        await hold_stream_slot(request, user_of(request))
        return await handler(request)

    return counted


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
