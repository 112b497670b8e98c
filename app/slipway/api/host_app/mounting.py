"""The project's own Starlette or FastAPI app around ours.

Its middleware sees every request, its routes win where a path is in both (except health and /openapi.json, which
describes both), and its lifespan runs. What it does not know is ours to answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from slipway.access.auth_file import AuthFile
from slipway.api.middleware.authentication import AuthenticateRequests
from slipway.api.middleware.mount_prefix import path_below
from slipway.errors import ConfigError, SlipwayError
from slipway.graphs.sections import HttpSection

_AUTHENTICATED: Final[Any] = AuthenticateRequests

ALWAYS_OURS: Final = ("/ok", "/info", "/readyz", "/metrics", "/openapi.json")


class SlipwayRoute(BaseRoute):
    """Our whole application as one route; `paths` narrows it to some."""

    def __init__(self, app: Starlette, paths: tuple[str, ...] = ()) -> None:
        self._app, self._paths = app, paths

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As good as our best route does."""
        if scope["type"] not in ("http", "websocket") or (self._paths and path_below(scope) not in self._paths):
            return Match.NONE, {}
        return max((route.matches(scope)[0] for route in self._app.routes), key=lambda match: match.value), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """By our application, with its own errors."""
        await self._app(scope, receive, send)


def mount_in_host_app(own: Starlette, ours: Starlette, section: HttpSection, auth: AuthFile | None) -> Starlette:
    """The project's app, with ours in it. The app is changed; doing it again for another application is fine."""
    theirs = [route for route in own.router.routes if not isinstance(route, SlipwayRoute)]
    own.router.routes = [SlipwayRoute(ours, ALWAYS_OURS), *theirs, SlipwayRoute(ours)]
    own.router.default = ours
    own.user_middleware = [each for each in own.user_middleware if each.cls is not _AUTHENTICATED]
    if auth is not None:
        own.user_middleware = _with_auth(own.user_middleware, section, auth, _exempt(theirs, ours, section))
    own.middleware_stack = None
    return own


@asynccontextmanager
async def host_app_lifespan(own: Starlette) -> AsyncIterator[Mapping[str, Any]]:
    """Its lifespan, and the state that it opens. Raises `ConfigError` when it does not begin."""
    async with AsyncExitStack() as stack:
        try:
            state = await stack.enter_async_context(own.router.lifespan_context(own))
        except SlipwayError:
            raise
        except Exception as error:  # the author's code may raise anything
            raise ConfigError(f"http.app: its lifespan fails: {type(error).__name__}: {error}") from error
        yield state or {}


def _with_auth(
    theirs: list[Middleware], section: HttpSection, auth: AuthFile, exempt: Callable[[Scope], bool]
) -> list[Middleware]:
    mine = Middleware(_AUTHENTICATED, auth=auth, exempt=exempt)
    return [mine, *theirs] if section.middleware_order == "auth_first" else [*theirs, mine]


def _exempt(theirs: list[BaseRoute], ours: Starlette, section: HttpSection) -> Callable[[Scope], bool]:
    """Nobody is asked here: on our own routes the gates ask, unless it must be done before other middleware."""

    def exempt(scope: Scope) -> bool:
        if path_below(scope) in ALWAYS_OURS:
            return True
        if any(route.matches(scope)[0] is Match.FULL for route in theirs):
            return not section.enable_custom_route_auth
        return section.middleware_order != "auth_first" or _is_open(scope)

    return exempt


def _is_open(scope: Scope) -> bool:
    """Our pages' parts that are for everybody, and the page that answers a probe."""
    path = path_below(scope)
    return path in ("/", "/docs") or path.startswith("/ui/static/")


def merge_openapi(own: Starlette, described: Mapping[str, Any]) -> dict[str, Any]:
    """Our description, with what a FastAPI app says of itself."""
    describe = getattr(own, "openapi", None)
    found = describe() if callable(describe) else {}
    mine, theirs = described["components"], found.get("components", {})
    components = {name: {**theirs.get(name, {}), **mine.get(name, {})} for name in dict.fromkeys((*mine, *theirs))}
    return {**described, "paths": {**described["paths"], **found.get("paths", {})}, "components": components}
