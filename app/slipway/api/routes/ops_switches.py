"""Switches, for operators: PUT switches something off, DELETE switches it on again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import OPERATE
from slipway.api.auth.access_check import actor_of, operators
from slipway.api.bodies.body import NoBody
from slipway.api.bodies.switches import SwitchBody
from slipway.api.endpoints import Endpoint
from slipway.api.request_parsing import read_optional_body
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.run_operations.switch_targets import graph_target, node_target, tool_target
from slipway.switches.record import EVERYTHING, Target

FindTarget = Callable[[Request], Awaitable[Target]]


async def list_off(request: Request) -> Response:
    """The switches that are off."""
    off = await services_of(request).switches.all()
    return JsonResponse({"switches": [switch.public() for switch in off.all()]})


def switches_off(find_target: FindTarget) -> Callable[[Request], Awaitable[Response]]:
    """The handler that switches a target off."""

    async def handler(request: Request) -> Response:
        body, services = await read_optional_body(request, SwitchBody), services_of(request)
        result = await services.switches.switch_off(
            await find_target(request), by=actor_of(request), reason=body.reason
        )
        await services.switch_watch.refresh()
        members = {"switch": result.switch.public(), "changed": result.changed}
        return JsonResponse(members | _pending(result.pending_shards))

    return handler


def switches_on(find_target: FindTarget) -> Callable[[Request], Awaitable[Response]]:
    """The handler that switches a target on."""

    async def handler(request: Request) -> Response:
        await read_optional_body(request, NoBody)
        services = services_of(request)
        result = await services.switches.switch_on(await find_target(request), by=actor_of(request))
        await services.switch_watch.refresh()
        return JsonResponse({"switch": None, "changed": result.changed} | _pending(result.pending_shards))

    return handler


def _pending(shards: Sequence[int]) -> dict[str, Any]:
    """A member for shards that could not be reached, if there are any: the switch is decided, and they get it later."""
    return {"pending_shards": list(shards)} if shards else {}


async def _node(request: Request) -> Target:
    path = request.path_params
    return await node_target(services_of(request).graphs, path["graph_id"], path["node"])


async def _tool(request: Request) -> Target:
    return tool_target(services_of(request).tools, request.path_params["tool"])


async def _graph(request: Request) -> Target:
    return graph_target(services_of(request).graphs, request.path_params["graph_id"])


async def _everything(request: Request) -> Target:
    return EVERYTHING


_ACCESS: Final = operators(OPERATE)
_TARGETS: Final[tuple[tuple[str, str, FindTarget], ...]] = (
    ("/ops/graphs/{graph_id}/nodes/{node}", "a node of a graph", _node),
    ("/ops/graphs/{graph_id}", "a graph", _graph),
    ("/ops/tools/{tool}", "a tool", _tool),
    ("/ops/pause", "everything", _everything),
)

ENDPOINTS: Final = (
    Endpoint("GET", "/ops/switches", list_off, "List what is switched off", _ACCESS),
    *(
        endpoint
        for path, what, find in _TARGETS
        for endpoint in (
            Endpoint("PUT", path, switches_off(find), f"Switch off {what}", _ACCESS, body=SwitchBody),
            Endpoint("DELETE", path, switches_on(find), f"Switch on {what}", _ACCESS),
        )
    ),
)
