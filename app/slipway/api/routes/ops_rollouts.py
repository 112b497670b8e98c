"""Rollouts of graphs, for operators: PUT gives a version a share of the new threads, which is then promoted or rolled
back."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import OPERATE
from slipway.api.auth.access_check import actor_of, operators
from slipway.api.bodies.rollouts import PromoteBody, RolloutBody
from slipway.api.bodies.run_operations import OperatorBody
from slipway.api.endpoints import Endpoint, int_param
from slipway.api.request_parsing import query_number, read_body, read_optional_body
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.rollouts.changes import Change
from slipway.rollouts.store import MOST_ENTRIES


async def list_all(request: Request) -> Response:
    """The status of each rollout, by graph."""
    store = services_of(request).rollouts
    graphs = sorted(await store.all())
    return JsonResponse({"rollouts": [(await store.status(graph_id)).public() for graph_id in graphs]})


async def read(request: Request) -> Response:
    """The status of the rollout of a graph."""
    status = await services_of(request).rollouts.status(request.path_params["graph_id"])
    return JsonResponse(status.public())


async def history(request: Request) -> Response:
    """The changes of the rollout of a graph, the newest first."""
    limit = query_number(request, "limit", 100, 1, MOST_ENTRIES)
    entries = await services_of(request).rollouts.history(request.path_params["graph_id"], limit)
    return JsonResponse({"entries": [entry.public() for entry in entries]})


async def set_weights(request: Request) -> Response:
    """Gives a version a share of the new threads."""
    body = await read_body(request, RolloutBody)
    change = await services_of(request).rollouts.set_weights(
        request.path_params["graph_id"],
        body.weights(),
        by=actor_of(request),
        reason=body.reason,
        testers=body.rules(),
    )
    return await _changed(request, change)


async def promote(request: Request) -> Response:
    """Makes a version current."""
    body = await read_optional_body(request, PromoteBody)
    graph_id = request.path_params["graph_id"]
    change = await services_of(request).rollouts.promote(
        graph_id, body.version, by=actor_of(request), reason=body.reason
    )
    return await _changed(request, change)


async def roll_back(request: Request) -> Response:
    """Ends the ramp, or makes the version current that was current before."""
    body = await read_optional_body(request, OperatorBody)
    graph_id = request.path_params["graph_id"]
    change = await services_of(request).rollouts.roll_back(graph_id, by=actor_of(request), reason=body.reason)
    return await _changed(request, change)


async def clear(request: Request) -> Response:
    """Deletes the rollout, so that langgraph.json decides again."""
    body = await read_optional_body(request, OperatorBody)
    graph_id = request.path_params["graph_id"]
    change = await services_of(request).rollouts.clear(graph_id, by=actor_of(request), reason=body.reason)
    return await _changed(request, change)


async def _changed(request: Request, change: Change) -> Response:
    await services_of(request).rollout_watch.refresh()
    rollout = None if change.rollout is None else change.rollout.public()
    return JsonResponse({"rollout": rollout, "change": change.entry.public(), "warning": change.warning})


_ACCESS: Final = operators(OPERATE)
_PATH: Final = "/ops/rollouts/{graph_id}"

ENDPOINTS: Final = (
    Endpoint("GET", "/ops/rollouts", list_all, "List the rollouts of graphs", _ACCESS),
    Endpoint("GET", _PATH, read, "Read the rollout of a graph", _ACCESS),
    Endpoint(
        "GET",
        f"{_PATH}/history",
        history,
        "List the changes of the rollout of a graph",
        _ACCESS,
        query=(int_param("limit", 100, 1, MOST_ENTRIES),),
    ),
    Endpoint("PUT", _PATH, set_weights, "Give a version a share of the new threads", _ACCESS, body=RolloutBody),
    Endpoint("DELETE", _PATH, clear, "Delete the rollout of a graph", _ACCESS, body=OperatorBody),
    Endpoint("POST", f"{_PATH}/promote", promote, "Make a version current", _ACCESS, body=PromoteBody),
    Endpoint("POST", f"{_PATH}/rollback", roll_back, "Roll a version back", _ACCESS, body=OperatorBody),
)
