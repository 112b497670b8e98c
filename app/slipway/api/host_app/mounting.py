"""Puts Slipway's application into the host app.

The host app's middleware receives every request, and its lifespan runs. Where both have a route for a path, the host
app's route is used, except for `ALWAYS_SLIPWAY`. Slipway's application handles every path that the host app does not
have.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from slipway.access.access_control import AccessControl
from slipway.api.middleware.authentication import AuthenticateRequests
from slipway.api.middleware.mount_prefix import PROBES, path_below
from slipway.errors import ConfigError, SlipwayError
from slipway.graphs.official_sections import HttpSection

_AUTHENTICATION: Final[Any] = AuthenticateRequests  # mypy cannot compare it with `Middleware.cls`

ALWAYS_SLIPWAY: Final = (*PROBES, "/info", "/metrics", "/openapi.json")
"""Paths that a host app cannot replace. /openapi.json describes the routes of both."""


class SlipwayRoute(BaseRoute):
    """Slipway's application as one route of the host app. `paths` restricts it to some paths."""

    def __init__(self, slipway_app: Starlette, paths: tuple[str, ...] = ()) -> None:
        self._app, self._paths = slipway_app, paths

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """The best match of Slipway's routes."""
        if scope["type"] not in ("http", "websocket") or (self._paths and path_below(scope) not in self._paths):
            return Match.NONE, {}
        return max((route.matches(scope)[0] for route in self._app.routes), key=lambda match: match.value), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Calls Slipway's application, which sends its own error responses."""
        await self._app(scope, receive, send)


def mount_in_host_app(
    host_app: Starlette, slipway_app: Starlette, section: HttpSection, auth: AccessControl | None
) -> Starlette:
    """Changes and returns the host app. A second call with another Slipway application replaces the first
    application."""
    host_routes = [route for route in host_app.router.routes if not isinstance(route, SlipwayRoute)]
    host_app.router.routes = [SlipwayRoute(slipway_app, ALWAYS_SLIPWAY), *host_routes, SlipwayRoute(slipway_app)]
    host_app.router.default = slipway_app
    host_app.user_middleware = [each for each in host_app.user_middleware if each.cls is not _AUTHENTICATION]
    if auth is not None:
        authentication = Middleware(_AUTHENTICATION, auth=auth, exempt=_exempt(host_routes, section))
        auth_first = section.middleware_order == "auth_first"
        host_app.user_middleware.insert(0 if auth_first else len(host_app.user_middleware), authentication)
    host_app.middleware_stack = None
    return host_app


@asynccontextmanager
async def host_app_lifespan(host_app: Starlette) -> AsyncIterator[Mapping[str, Any]]:
    """Runs the host app's lifespan and yields its state. Raises `ConfigError` when the lifespan does not start."""
    async with AsyncExitStack() as stack:
        try:
            state = await stack.enter_async_context(host_app.router.lifespan_context(host_app))
        except SlipwayError:
            raise
        except Exception as error:  # the project's code can raise anything
            raise ConfigError(f"http.app: its lifespan fails: {type(error).__name__}: {error}") from error
        yield state or {}


def _exempt(host_routes: list[BaseRoute], section: HttpSection) -> Callable[[Scope], bool]:
    """Returns whether the middleware `AuthenticateRequests` leaves a request alone. Slipway's routes authenticate their
    requests later, unless authentication must precede the host app's middleware (`auth_first`)."""

    def exempt(scope: Scope) -> bool:
        if path_below(scope) in ALWAYS_SLIPWAY:
            return True
        if any(route.matches(scope)[0] is Match.FULL for route in host_routes):
            return not section.enable_custom_route_auth
        return section.middleware_order != "auth_first" or _is_public(scope)

    return exempt


def _is_public(scope: Scope) -> bool:
    """Slipway's pages and files that need no authentication, the page that load balancers use as a probe, and the
    deliveries to hooks, which their signature authenticates."""
    path = path_below(scope)
    return path in ("/", "/docs") or path.startswith(("/ui/static/", "/hooks/"))


def merge_openapi(host_app: Starlette, document: Mapping[str, Any]) -> dict[str, Any]:
    """Slipway's OpenAPI document, with the paths and components of a FastAPI host app."""
    describe = getattr(host_app, "openapi", None)
    host_document = describe() if callable(describe) else {}
    own, added = document["components"], host_document.get("components", {})
    components = {name: {**added.get(name, {}), **own.get(name, {})} for name in dict.fromkeys((*own, *added))}
    return {**document, "paths": {**document["paths"], **host_document.get("paths", {})}, "components": components}
