"""The circuit breakers of models and tools, for operators."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import OPERATE
from slipway.api.auth.access_check import operators
from slipway.api.endpoints import Endpoint
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of


async def list_all(request: Request) -> Response:
    """The breakers that are open or have failures on record, by name, and how often each breaker was opened since the
    deployment exists."""
    found = await services_of(request).breakers.list_all()
    return JsonResponse({"breakers": [each.public() for each in found.breakers], "openings": dict(found.openings)})


ENDPOINTS: Final = (
    Endpoint("GET", "/ops/breakers", list_all, "List circuit breakers of models and tools", operators(OPERATE)),
)
