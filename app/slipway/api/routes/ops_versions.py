"""The versions of graphs, for operators: which are registered, who serves them, what waits for them and needs them."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import OPERATE
from slipway.api.auth.access_check import operators
from slipway.api.endpoints import Endpoint
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.errors import NotFound
from slipway.graph_versions.needs_reads import NeedsReads
from slipway.graph_versions.reads import VersionReads
from slipway.run_operations.rollout_versions import VersionNeed


async def list_all(request: Request) -> Response:
    """Every registered version, with the number of live workers that serve it and of the runs that wait for one; and
    the lanes of all runs that wait."""
    known = await services_of(request).versions.read()
    versions = [known.public(version) for version in known.versions]
    return JsonResponse({"versions": versions, "waiting": [lane.public() for lane in known.lanes]})


async def read(request: Request) -> Response:
    """One version, with its build and what needs it."""
    services = services_of(request)
    graph_id, name = request.path_params["graph_id"], request.path_params["version"]
    known = await services.versions.read()
    version = known.get(graph_id, name)
    needs = await VersionNeed(services.config.graphs, NeedsReads(services.pipeline, services.shards)).of(graph_id, name)
    found = await VersionReads(services.pipeline, services.shards.home).build(version.build)
    return JsonResponse(known.public(version) | {"build": found, "needed_by": needs.public()})


async def read_build(request: Request) -> Response:
    """What the runs with this build were made from."""
    services = services_of(request)
    build_id = request.path_params["build_id"]
    found: dict[str, Any] | None = await VersionReads(services.pipeline, services.shards.home).build(build_id)
    if found is None:
        raise NotFound("build", build_id)
    return JsonResponse(found)


_ACCESS: Final = operators(OPERATE)

ENDPOINTS: Final = (
    Endpoint("GET", "/ops/versions", list_all, "List the versions of graphs", _ACCESS),
    Endpoint("GET", "/ops/versions/{graph_id}/{version}", read, "Read a version and what needs it", _ACCESS),
    Endpoint("GET", "/ops/builds/{build_id}", read_build, "Read what runs were made from", _ACCESS),
)
