"""Routes for operations: health, version, metrics and the OpenAPI document."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from slipway.api.auth.access_check import PUBLIC
from slipway.api.endpoints import Endpoint, Query, bool_param
from slipway.api.request_parsing import query_choice, query_flag
from slipway.api.responses import JsonResponse, status_of
from slipway.api.shared_objects import metrics_of, services_of
from slipway.api.ui.rendering import page
from slipway.checkpoints.requirements import PACKAGES
from slipway.errors import StoreUnavailable
from slipway.metrics.exposition import as_json, as_text
from slipway.versions import version_of

_NO_STORE: Final = {"cache-control": "no-store"}
_ALIVE: Final = b'{"alive":true}'


async def healthz(request: Request) -> Response:
    """Responds with 200 as long as the event loop of this process executes requests. Reads nothing but the request, so
    that a platform which restarts processes by it never restarts one because of Redis."""
    return Response(_ALIVE, media_type="application/json", headers=_NO_STORE)


async def ok(request: Request) -> Response:
    """Responds with 200 as long as this process runs, with `check_db` only if Redis replies: otherwise 503 with `ok`
    false. `services` is a result of the latest health check."""
    services = services_of(request)
    found = services.health.latest.services
    if not query_flag(request, "check_db"):
        return JsonResponse({"ok": True, "services": found}, headers=_NO_STORE)
    try:
        await services.pipeline.send("PING", repeatable=True)
    except StoreUnavailable as error:
        down = {"ok": False, "services": found | {"redis": "down"}, "detail": str(error), **error.details()}
        return JsonResponse(down, status_of(error), _NO_STORE | {"retry-after": str(error.retry_after_s)})
    return JsonResponse({"ok": True, "services": found | {"redis": "up"}}, headers=_NO_STORE)


async def info(request: Request) -> Response:
    """Versions, features and graphs of this deployment."""
    services = services_of(request)
    kind = services.settings.checkpointer
    checkpointer = {"kind": kind, "packages": {name: version_of(name) for name in PACKAGES[kind]}}
    graphs = {name: {"version": services.graphs.default_version(name)} for name in services.graphs.names()}
    details = {"checkpointer": checkpointer, "graphs": graphs, "graphs_unavailable": sorted(services.graphs.failures())}
    return JsonResponse(_info() | details)


@cache
def _info() -> dict[str, Any]:
    return {
        "version": version_of("slipway"),
        "langgraph_py_version": version_of("langgraph"),
        "flags": {
            "assistants": True,
            "crons": True,
            "langsmith": False,
            "langsmith_tracing_replicas": False,
            "langsmith_tracing_session_on_runs": False,
            "strict_resume": True,
        },
        "host": {
            "kind": "self-hosted",
            "project_id": None,
            "host_revision_id": None,
            "revision_id": None,
            "tenant_id": None,
        },
    }


async def readyz(request: Request) -> Response:
    """Responds 200 if a new run would be stored, else 503. The body lists the findings of the latest health check."""
    health = services_of(request).health.latest
    return JsonResponse(health.public(), 200 if health.ready else 503, _NO_STORE)


async def metrics(request: Request) -> Response:
    """The figures of the whole deployment: as text for Prometheus, as OpenMetrics by `Accept`, or as JSON by
    `?format=json`."""
    as_object = query_choice(request, "format", ("text", "json")) == "json"
    figures = await metrics_of(request).figures()
    if as_object:
        return Response(as_json(figures), media_type="application/json", headers=_NO_STORE)
    body, media_type = as_text(figures, request.headers.get("accept", ""))
    return Response(body, headers=_NO_STORE | {"content-type": media_type})


async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return JsonResponse(await asyncio.to_thread(request.app.state.openapi))


async def docs(request: Request) -> Response:
    """The OpenAPI document as a page."""
    document = orjson.loads(await asyncio.to_thread(request.app.state.openapi))
    return page(request, "docs.html", described=document)


HEALTH: Final = (
    Endpoint("GET", "/healthz", healthz, "Whether this process is alive; asks nothing of Redis", PUBLIC),
    Endpoint("GET", "/ok", ok, "Whether this process runs", PUBLIC, query=(bool_param("check_db", "Check Redis too"),)),
    Endpoint("GET", "/readyz", readyz, "Whether a new run would be stored, with all findings", PUBLIC),
)
META: Final = (
    Endpoint("GET", "/info", info, "Versions, features and graphs", PUBLIC),
    Endpoint(
        "GET",
        "/metrics",
        metrics,
        "Metrics of the whole deployment, for Prometheus",
        PUBLIC,
        query=(Query("format", {"type": "string", "enum": ["text", "json"], "default": "text"}),),
        media_type="text/plain",
    ),
    Endpoint("GET", "/openapi.json", openapi, "The OpenAPI document", PUBLIC),
    Endpoint("GET", "/docs", docs, "The OpenAPI document as a page", PUBLIC, media_type="text/html"),
)
"""Routes that `http.disable_meta` in langgraph.json disables."""
