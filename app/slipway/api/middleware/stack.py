"""The order of all middleware."""

from __future__ import annotations

from typing import Final, NamedTuple

from starlette.middleware import Middleware

from slipway.access.access_control import AccessControl
from slipway.api.middleware.access_log import AccessLog
from slipway.api.middleware.body_limit import BodyLimit
from slipway.api.middleware.client_address import ClientAddress
from slipway.api.middleware.cors import Cors
from slipway.api.middleware.error_responses import ErrorResponses
from slipway.api.middleware.foreign_pages import ForeignPages
from slipway.api.middleware.hosts import Hosts
from slipway.api.middleware.json_bodies import JsonBodies
from slipway.api.middleware.mount_prefix import MountPrefix
from slipway.api.middleware.origins import Origins
from slipway.api.middleware.rate_limits import RateLimits
from slipway.api.middleware.repeated_headers import RepeatedHeaders
from slipway.api.middleware.request_id import RequestId
from slipway.api.middleware.security_headers import SecurityHeaders
from slipway.api.middleware.ticket_parameter import TicketParameter
from slipway.api.request_metrics import RequestMetrics
from slipway.graphs.official_sections import HttpSection
from slipway.loopback import is_loopback
from slipway.settings import Settings

EXPOSED_HEADERS: Final = (
    "content-location",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "x-pagination-total",
    "x-pagination-next",
    "x-request-id",
    "x-search-incomplete",
)
"""Response headers that pages must be able to read: clients in a browser need them to reconnect."""


class MiddlewareStack(NamedTuple):
    """The middleware before and after the host app. Without a host app both wrap Slipway's application."""

    outer: list[Middleware]
    inner: list[Middleware]


def middleware_stack(
    settings: Settings,
    http: HttpSection,
    auth: AccessControl | None,
    metrics: RequestMetrics,
    *,
    hook_paths: frozenset[str] = frozenset(),
    dev: bool,
) -> MiddlewareStack:
    """A request passes the middleware from top to bottom. `hook_paths` are those of incoming webhooks, without the
    prefix of `http`."""
    origins = Origins(http.cors, restricted=auth is None)
    hosts = Hosts(settings.host, settings.allowed_hosts) if auth is None else None
    exposed = list(dict.fromkeys((*EXPOSED_HEADERS, *map(str.lower, http.cors.expose_headers))))
    private_network = dev and is_loopback(settings.host)
    host_app = None
    order = [
        Middleware(TicketParameter),
        Middleware(RequestId),
        Middleware(AccessLog, metrics=metrics, headers=http.logging_headers),
        Middleware(RepeatedHeaders, names=() if auth is None else auth.cache_headers),
        *(
            [Middleware(ClientAddress, settings.trusted_proxies, settings.proxy_header)]
            if settings.trusted_proxies
            else []
        ),
        Middleware(ForeignPages, origins, hosts, http.prefix, hook_paths),
        Middleware(Cors, origins, http.cors, exposed, private_network=private_network),
        *([Middleware(MountPrefix, prefix=http.prefix)] if http.prefix else []),
        Middleware(RateLimits, counts_addresses=auth is None),
        host_app,
        Middleware(SecurityHeaders),
        Middleware(ErrorResponses),
        *([Middleware(JsonBodies, hook_paths)] if auth is None else []),
        Middleware(BodyLimit, max_bytes=settings.max_body_bytes),
    ]
    position = order.index(host_app)
    return MiddlewareStack(*([each for each in part if each] for part in (order[:position], order[position:])))
