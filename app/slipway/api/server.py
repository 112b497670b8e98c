"""The web application: its routes, what surrounds them, and what it opens while it lives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import cache, partial
from typing import Any, Final, cast

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.types import Lifespan

from slipway.api.endpoints import Endpoint
from slipway.api.host_app.extensions import Extensions
from slipway.api.host_app.internal_webhooks import InternalWebhooks
from slipway.api.host_app.mounting import host_app_lifespan, merge_openapi, mount_in_host_app
from slipway.api.in_process_client.app import InProcessApp
from slipway.api.in_process_client.sdk_clients import connect_clients
from slipway.api.lifespan_state import LifespanState
from slipway.api.metrics import HttpMetrics
from slipway.api.middleware.access_log import AccessLog
from slipway.api.middleware.body_limit import BodyLimit
from slipway.api.middleware.cors import Cors
from slipway.api.middleware.error_responses import ErrorResponses
from slipway.api.middleware.foreign_pages import ForeignPages
from slipway.api.middleware.hosts import Hosts, is_loopback
from slipway.api.middleware.json_bodies import JsonBodies
from slipway.api.middleware.mount_prefix import MountPrefix
from slipway.api.middleware.origins import Origins
from slipway.api.middleware.repeated_headers import RepeatedHeaders
from slipway.api.middleware.request_id import RequestId
from slipway.api.open_responses import OpenResponses
from slipway.api.openapi import describe
from slipway.api.responses import on_http_exception
from slipway.api.routes import (
    assistants,
    crons,
    event_commands,
    event_socket,
    event_stream,
    ops,
    runs,
    stateless_runs,
    store,
    thread_state,
    thread_stream,
    threads,
)
from slipway.api.ui import routes as pages
from slipway.errors import ConfigError
from slipway.graphs.sections import HttpSection
from slipway.processes.readiness import report_ready
from slipway.services import Services
from slipway.settings import Settings
from slipway.versions import version_of

GROUPS: Final[dict[str, tuple[Endpoint, ...]]] = {
    "crons": crons.ENDPOINTS,
    "runs": runs.ENDPOINTS,
    "stateless": stateless_runs.ENDPOINTS,
    "threads": threads.ENDPOINTS,
    "thread_stream": thread_stream.ENDPOINTS,
    "events": (*event_commands.ENDPOINTS, *event_stream.ENDPOINTS),
    "state": thread_state.ENDPOINTS,
    "assistants": assistants.ENDPOINTS,
    "store": store.ENDPOINTS,
    "meta": ops.META,
    "health": ops.HEALTH,
}
ENDPOINTS: Final = tuple(endpoint for group in GROUPS.values() for endpoint in group)
"""Matched in this order: the busiest come first, and `/threads/search` before `/threads/{thread_id}`."""

DISABLED_BY: Final = {
    "disable_runs": ("crons", "runs", "stateless"),
    "disable_threads": ("threads", "thread_stream", "events", "state"),
    "disable_assistants": ("assistants",),
    "disable_store": ("store",),
    "disable_meta": ("meta",),
}
"""What each key of langgraph.json's `http` takes away."""

EXPOSED: Final = ("content-location", "location", "x-pagination-total", "x-pagination-next", "x-request-id")
"""Response headers that a browser's clients need to see: without them they cannot reconnect."""

OpenServices = Callable[[], AbstractAsyncContextManager[Services]]


def create_app(
    open_services: OpenServices, settings: Settings, extensions: Extensions, *, dev: bool = False
) -> Starlette:
    """The application; `dev` for `slipway dev`. Nothing is opened before its lifespan begins.

        RequestId ▶ AccessLog ▶ RepeatedHeaders ▶ ForeignPages ▶ Cors ▶ Prefixed ▶ the project's app
            ▶ Errors ▶ JsonBodies ▶ BodyLimit ▶ a gate ▶ a handler

    Without a prefix or an app of the project's own, these two are not there; with an auth file JsonBodies is not."""
    metrics, answers = HttpMetrics(), OpenResponses()
    metrics.open_streams.set_function(lambda: len(answers))
    http, own, served = extensions.http, extensions.app, _served(extensions.http)
    outer = _around(settings, extensions, metrics, dev=dev)
    json_only = [] if extensions.auth else [Middleware(JsonBodies)]
    inner = [Middleware(ErrorResponses), *json_only, Middleware(BodyLimit, max_bytes=settings.max_body_bytes)]
    lifespan = _lifespan(open_services, extensions, answers, metrics)
    ours = Starlette(
        routes=_routes(served, extensions, metrics),
        middleware=inner if own else [*outer, *inner],
        exception_handlers={HTTPException: on_http_exception},
        lifespan=lifespan,
    )
    ours.router.redirect_slashes = False
    ours.state.described = cache(partial(_described, served, extensions))
    app = ours
    if own is not None:
        app = Starlette(middleware=outer, lifespan=lifespan)
        app.router.redirect_slashes = False
        app.router.default = mount_in_host_app(own, ours, http, extensions.auth)
    app.state.open_responses, app.state.refused = answers, None
    return app


def _routes(served: list[Endpoint], extensions: Extensions, metrics: HttpMetrics) -> list[BaseRoute]:
    """What is served, and known to `metrics` by its path."""
    http = extensions.http
    routes = [endpoint.route(extensions.auth) for endpoint in served]
    for endpoint, route in zip(served, routes, strict=True):
        metrics.name_route(route.endpoint, endpoint.path)
    sockets = [] if http.disable_threads else event_socket.routes(extensions)
    shown = [Route("/", ops.ok)] if http.disable_ui else pages(extensions.auth)
    return [*routes, *sockets, *shown]


def _lifespan(
    open_services: OpenServices, extensions: Extensions, answers: OpenResponses, metrics: HttpMetrics
) -> Lifespan[Starlette]:
    """Opens the services and whatever the project's own app opens; every request finds both in its state."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            services = await stack.enter_async_context(open_services())
            thread_state: LifespanState = {"services": services, "open_responses": answers, "metrics": metrics}
            stack.enter_context(connect_clients(InProcessApp(app, thread_state)))
            try:
                own = extensions.app
                theirs = await stack.enter_async_context(host_app_lifespan(own)) if own else {}
                opened = {**theirs, **thread_state}
                if services.inline is not None and services.webhook_urls.allows_internal:
                    webhooks = InternalWebhooks(services, app, opened, extensions.auth)
                    await stack.enter_async_context(_calling(webhooks))
            except ConfigError as error:
                app.state.refused = error
                raise
            yield opened

    return lifespan


@asynccontextmanager
async def _calling(webhooks: InternalWebhooks) -> AsyncIterator[None]:
    """Webhooks are called until the block is left."""
    calls = asyncio.create_task(webhooks.run(), name="own webhooks")
    try:
        yield
    finally:
        calls.cancel()
        with suppress(asyncio.CancelledError):
            await calls


def _served(http: HttpSection) -> list[Endpoint]:
    """The endpoints that langgraph.json leaves."""
    gone = {group for key, groups in DISABLED_BY.items() if getattr(http, key) for group in groups}
    return [endpoint for group, endpoints in GROUPS.items() if group not in gone for endpoint in endpoints]


def _around(settings: Settings, extensions: Extensions, metrics: HttpMetrics, *, dev: bool) -> list[Middleware]:
    """What is around everything; the first is the outermost."""
    http, cors, auth = extensions.http, extensions.http.cors, extensions.auth
    origins = Origins(cors, restricted=auth is None)
    hosts = Hosts(settings.host, settings.allowed_hosts) if auth is None else None
    exposed = list(dict.fromkeys((*EXPOSED, *map(str.lower, cors.expose_headers))))
    found = [
        Middleware(RequestId),
        Middleware(AccessLog, metrics=metrics, headers=http.logging_headers),
        Middleware(RepeatedHeaders, names=() if auth is None else auth.cache_headers),
        Middleware(ForeignPages, origins, hosts, http.prefix),
        Middleware(Cors, origins, cors, exposed, private_network=dev and is_loopback(settings.host)),
    ]
    return [*found, Middleware(MountPrefix, prefix=http.prefix)] if http.prefix else found


def _described(served: list[Endpoint], extensions: Extensions) -> bytes:
    """/openapi.json: a tenth of a second of work and megabytes of schemas, so only for those who ask."""
    security = extensions.auth.openapi if extensions.auth else {}
    described = describe(served, version_of("slipway"), prefix=extensions.http.prefix, security=security)
    return orjson.dumps(described if extensions.app is None else merge_openapi(extensions.app, described))


class WebServer(uvicorn.Server):
    """uvicorn, but streams and waits are let go first when it stops: it would wait for them until it gave up. Their
    clients come back by themselves and miss nothing."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app, self._answers = app, cast("OpenResponses", app.state.open_responses)

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Begin to serve, and tell the supervisor so. Raises `ConfigError` when the project's own app cannot."""
        try:
            await super().startup(sockets)  # type: ignore[arg-type]
        except SystemExit:
            if self._app.state.refused is not None:
                raise self._app.state.refused from None
            raise
        if self.started:
            report_ready()

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Stop listening, end long answers, wait for the rest."""
        self._answers.close()
        await super().shutdown(sockets)  # type: ignore[arg-type]
