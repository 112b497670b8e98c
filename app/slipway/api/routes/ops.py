"""For load balancers, scrapers and people: health, version, metrics, the description of the API."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from slipway.api.auth.access_check import PUBLIC
from slipway.api.endpoints import Endpoint, bool_param
from slipway.api.lifespan_state import metrics_of, services_of
from slipway.api.request_parsing import query_flag
from slipway.api.responses import JsonResponse
from slipway.api.ui.rendering import page
from slipway.checkpoints.requirements import PACKAGES
from slipway.versions import version_of


async def ok(request: Request) -> Response:
    """This process answers; with `check_db`, Redis does too. The services are as they were at the last reading."""
    if query_flag(request, "check_db"):
        await services_of(request).pipeline.send("PING", repeatable=True)
    return JsonResponse({"ok": True, "services": services_of(request).health.now.services})


async def info(request: Request) -> Response:
    """What is served, in which version."""
    services = services_of(request)
    kind = services.settings.checkpointer
    checkpointer = {"kind": kind, "packages": {name: version_of(name) for name in PACKAGES[kind]}}
    graphs = {name: {"version": services.graphs.spec(name).version} for name in services.graphs.names()}
    facts = {"checkpointer": checkpointer, "graphs": graphs, "graphs_unavailable": sorted(services.graphs.failures())}
    return JsonResponse(_info() | facts)


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
    """Whether a run that is created now would be kept, and what else is the matter. Served from the last reading."""
    now = services_of(request).health.now
    return JsonResponse(now.public(), 200 if now.ready else 503)


async def metrics(request: Request) -> Response:
    """For Prometheus."""
    text = metrics_of(request).page(services_of(request).health.now)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def openapi(request: Request) -> Response:
    """This API, described."""
    return JsonResponse(await asyncio.to_thread(request.app.state.openapi))


async def docs(request: Request) -> Response:
    """The same for people."""
    described = orjson.loads(await asyncio.to_thread(request.app.state.openapi))
    return page(request, "docs.html", described=described)


HEALTH: Final = (
    Endpoint(
        "GET", "/ok", ok, "Whether this process answers", PUBLIC, query=(bool_param("check_db", "Ask Redis too"),)
    ),
    Endpoint("GET", "/readyz", readyz, "Whether a new run would be kept, and what is the matter", PUBLIC),
)
META: Final = (
    Endpoint("GET", "/info", info, "What is served, in which version", PUBLIC),
    Endpoint("GET", "/metrics", metrics, "Numbers for Prometheus", PUBLIC, media_type="text/plain"),
    Endpoint("GET", "/openapi.json", openapi, "This description", PUBLIC),
    Endpoint("GET", "/docs", docs, "This description as a page", PUBLIC, media_type="text/html"),
)
"""What langgraph.json's `http.disable_meta` takes away."""
