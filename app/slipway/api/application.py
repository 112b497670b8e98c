"""The web application: its routes, its middleware and its lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import cache, partial
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.types import Lifespan

from slipway.api.auth.access_settings import accepting_credentials
from slipway.api.body_send import BodySend
from slipway.api.endpoints import Endpoint
from slipway.api.host_app.extensions import Extensions
from slipway.api.host_app.hook_paths import hook_paths
from slipway.api.host_app.internal_webhooks import InternalWebhooks
from slipway.api.host_app.mounting import host_app_lifespan, merge_openapi, mount_in_host_app
from slipway.api.in_process_client.app import InProcessApp
from slipway.api.in_process_client.sdk_clients import connect_clients
from slipway.api.metrics_page import MetricsPage, count_hook_deliveries, count_openings
from slipway.api.middleware.stack import middleware_stack
from slipway.api.openapi import describe
from slipway.api.request_metrics import RequestMetrics
from slipway.api.responses import on_http_exception, status_of
from slipway.api.responses_in_progress import ResponsesInProgress
from slipway.api.route_table import enabled_endpoints
from slipway.api.routes import event_socket, ops
from slipway.api.shared_objects import SharedObjects
from slipway.api.ui import site
from slipway.errors import ConfigError
from slipway.metrics.scripts import MetricsScripts
from slipway.rate_limits.stream_slots import StreamSlots
from slipway.redis.per_shard import PerShard
from slipway.services import Services
from slipway.settings import Settings
from slipway.versions import version_of

OpenServices = Callable[[], AbstractAsyncContextManager[Services]]


def create_app(
    open_services: OpenServices, settings: Settings, extensions: Extensions, *, dev: bool = False
) -> Starlette:
    """The application. `dev` is true for `slipway dev`. Only the lifespan opens connections.

    outer middleware ▶ the host app, if there is one ▶ inner middleware ▶ router ▶ access check ▶ handler"""
    http, auth, host_app = extensions.http, extensions.auth, extensions.host_app
    metrics, responses_in_progress = RequestMetrics(), ResponsesInProgress()
    endpoints = enabled_endpoints(http)
    stack = middleware_stack(settings, http, auth, metrics, hook_paths=hook_paths(extensions), dev=dev)
    lifespan = _lifespan(open_services, extensions, responses_in_progress, metrics)
    app = slipway_app = Starlette(
        routes=_routes(endpoints, extensions, metrics),
        middleware=[Middleware(BodySend), *([] if host_app else stack.outer), *stack.inner],
        exception_handlers={HTTPException: on_http_exception},
        lifespan=lifespan,
    )
    slipway_app.router.redirect_slashes = False
    slipway_app.state.openapi = cache(partial(_openapi, endpoints, extensions))
    if host_app is not None:
        app = Starlette(middleware=stack.outer, lifespan=lifespan)
        app.router.redirect_slashes = False
        app.router.default = mount_in_host_app(host_app, slipway_app, http, auth)
    app.state.responses_in_progress, app.state.startup_error = responses_in_progress, None
    app.state.metrics = metrics
    return app


def _routes(endpoints: list[Endpoint], extensions: Extensions, metrics: RequestMetrics) -> list[BaseRoute]:
    """Also registers the path of each endpoint with `metrics`."""
    http = extensions.http
    routes = [endpoint.route(extensions.auth) for endpoint in endpoints]
    for endpoint, route in zip(endpoints, routes, strict=True):
        metrics.name_route(route.endpoint, endpoint.path)
    sockets = [] if http.disable_threads else event_socket.routes(extensions)
    pages = [Route("/", ops.ok)] if http.disable_ui else site.routes(extensions.auth)
    return [*routes, *sockets, *pages]


def _lifespan(
    open_services: OpenServices,
    extensions: Extensions,
    responses_in_progress: ResponsesInProgress,
    metrics: RequestMetrics,
) -> Lifespan[Starlette]:
    """Opens the services and the host app's lifespan. The state of both is in `request.state`."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            try:
                services = await stack.enter_async_context(open_services())
                services.rates.on_limited = metrics.count_limited
                await stack.enter_async_context(_running(services.stream_slots))
                metrics.count_in(services.metrics, lambda: len(responses_in_progress))
                state: SharedObjects = {
                    "services": services,
                    "responses_in_progress": responses_in_progress,
                    "metrics": _metrics_page(services, extensions),
                    "hooks": services.hook_receiver(extensions.hooks, extensions.auth, status_of),
                }
                await stack.enter_async_context(accepting_credentials(extensions.auth, services))
                stack.enter_context(connect_clients(InProcessApp(app, state)))
                host_app = extensions.host_app
                host_state = await stack.enter_async_context(host_app_lifespan(host_app)) if host_app else {}
                whole_state = {**host_state, **state}
                if services.inline is not None and services.webhook_urls.allows_internal:
                    webhooks = InternalWebhooks(services, app, whole_state, extensions.auth)
                    await stack.enter_async_context(_running(webhooks))
            except ConfigError as error:
                app.state.startup_error = error
                raise
            yield whole_state

    return lifespan


def _metrics_page(services: Services, extensions: Extensions) -> MetricsPage:
    """Also publishes what only web processes read: of hooks and circuit breakers."""
    metrics, hooks = services.metrics, list(extensions.hooks)

    async def read() -> None:
        count_openings(metrics, services.health)
        await count_hook_deliveries(metrics, services.hook_reads, hooks)

    services.metrics_publication.before_publication = read
    return MetricsPage(
        PerShard(services.shards, partial(MetricsScripts, services.pipeline)),
        services.metrics_publication,
        services.health,
        services.graphs.names(),
    )


@asynccontextmanager
async def _running(work: InternalWebhooks | StreamSlots) -> AsyncIterator[None]:
    """Performs the work inside the block."""
    task = asyncio.create_task(work.run(), name=work.name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _openapi(endpoints: list[Endpoint], extensions: Extensions) -> bytes:
    """The document at /openapi.json. It takes a tenth of a second and has megabytes of schemas, so it is built at the
    first request."""
    security = extensions.auth.openapi if extensions.auth else {}
    document = describe(endpoints, version_of("slipway"), prefix=extensions.http.prefix, security=security)
    return orjson.dumps(document if extensions.host_app is None else merge_openapi(extensions.host_app, document))
