"""The paths of incoming webhooks that Slipway serves: those that the host app has no route for."""

from __future__ import annotations

import structlog
from starlette.routing import Match

from slipway.api.host_app.extensions import Extensions
from slipway.api.host_app.mounting import SlipwayRoute

log = structlog.get_logger(__name__)


def hook_paths(extensions: Extensions) -> frozenset[str]:
    """Logs a warning for each hook whose path the host app serves: its deliveries never reach Slipway."""
    return frozenset(path for name in extensions.hooks if _is_served((path := f"/hooks/{name}"), extensions))


def _is_served(path: str, extensions: Extensions) -> bool:
    scope = {"type": "http", "method": "POST", "path": path, "root_path": "", "headers": []}
    routes = () if extensions.host_app is None else extensions.host_app.router.routes
    taken = any(route.matches(scope)[0] is Match.FULL for route in routes if not isinstance(route, SlipwayRoute))
    if taken:
        log.warning("hooks.path_taken", path=path, taken_by="a route of http.app")
    return not taken
