"""The tools of the project, for operators."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import OPERATE
from slipway.api.auth.access_check import operators
from slipway.api.endpoints import Endpoint
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.run_operations.tool_list import list_tools


async def list_all(request: Request) -> Response:
    """Each tool with its declaration, the rules that name it, and whether calls are made now."""
    services = services_of(request)
    off, breakers = await services.switches.all(), await services.breakers.list_all()
    found = list_tools(services.project_tools, off, breakers)
    return JsonResponse({"tools": [each.public() for each in found]})


ENDPOINTS: Final = (Endpoint("GET", "/ops/tools", list_all, "List the tools of the project", operators(OPERATE)),)
