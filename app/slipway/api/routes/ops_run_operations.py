"""Operations on one run, for operators."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.api.auth.access_check import actor_of, operators
from slipway.api.auth.operators import OPERATE
from slipway.api.bodies.run_operations import OperatorBody, OperatorCancelBody
from slipway.api.endpoints import Endpoint
from slipway.api.request_parsing import path_id, read_optional_body
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.run_operations.operations import OperatedRun, Operator


async def pause(request: Request) -> Response:
    """Pauses a run before its next superstep."""
    body = await read_optional_body(request, OperatorBody)
    return _operated(await services_of(request).run_operations.pause(path_id(request, "run_id"), _by(request, body)))


async def resume(request: Request) -> Response:
    """Continues a paused run."""
    body = await read_optional_body(request, OperatorBody)
    return _operated(await services_of(request).run_operations.resume(path_id(request, "run_id"), _by(request, body)))


async def cancel(request: Request) -> Response:
    """Cancels a run, of any user."""
    body = await read_optional_body(request, OperatorCancelBody)
    operations = services_of(request).run_operations
    return _operated(await operations.cancel(path_id(request, "run_id"), _by(request, body), body.action))


def _by(request: Request, body: OperatorBody) -> Operator:
    return Operator(actor_of(request), body.reason)


def _operated(operated: OperatedRun | None) -> Response:
    if operated is None:
        return JsonResponse({"run": None, "changed": True})
    return JsonResponse({"run": operated.run.public() | {"owner": operated.run.owner}, "changed": operated.changed})


_RUN: Final = "/ops/runs/{run_id}"
_ACCESS: Final = operators(OPERATE)

ENDPOINTS: Final = (
    Endpoint("POST", f"{_RUN}/pause", pause, "Pause a run", _ACCESS, body=OperatorBody),
    Endpoint("POST", f"{_RUN}/resume", resume, "Resume a paused run", _ACCESS, body=OperatorBody),
    Endpoint("POST", f"{_RUN}/cancel", cancel, "Cancel a run of any user", _ACCESS, body=OperatorCancelBody),
)
