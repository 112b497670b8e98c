"""Operations on one run, for operators."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import OPERATE
from slipway.api.auth.access_check import actor_of, operators
from slipway.api.bodies.run_operations import (
    EditStateBody,
    OperatorBody,
    OperatorCancelBody,
    RaiseCeilingsBody,
    ResumeBody,
    RetryBody,
    SkipNodeBody,
)
from slipway.api.endpoints import Endpoint
from slipway.api.request_parsing import path_id, read_body, read_optional_body
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.run_operations.operations import OperatedRun, Operator
from slipway.run_operations.repairs import StateEdit


async def pause(request: Request) -> Response:
    """Pauses a run before its next superstep."""
    body = await read_optional_body(request, OperatorBody)
    return _operated(await services_of(request).run_operations.pause(path_id(request, "run_id"), _by(request, body)))


async def resume(request: Request) -> Response:
    """Continues a paused run."""
    body = await read_optional_body(request, ResumeBody)
    operations = services_of(request).run_operations
    return _operated(await operations.resume(path_id(request, "run_id"), _by(request, body), body.version))


async def cancel(request: Request) -> Response:
    """Cancels a run, of any user."""
    body = await read_optional_body(request, OperatorCancelBody)
    operations = services_of(request).run_operations
    return _operated(await operations.cancel(path_id(request, "run_id"), _by(request, body), body.action))


async def retry(request: Request) -> Response:
    """Continues the chain of a run that failed or was cancelled, as a new run."""
    body = await read_optional_body(request, RetryBody)
    run_id, operator = path_id(request, "run_id"), _by(request, body)
    retry = services_of(request).run_repairs.retry
    operated = await retry(run_id, operator, body.checkpoint_id, repeat=body.repeat, version=body.version)
    return _operated(operated)


async def skip_node(request: Request) -> Response:
    """Continues a run without the result of a node."""
    body = await read_body(request, SkipNodeBody)
    repairs = services_of(request).run_repairs
    return _operated(await repairs.skip_node(path_id(request, "run_id"), _by(request, body), body.node))


async def edit_state(request: Request) -> Response:
    """Writes a state, then continues the run."""
    body = await read_body(request, EditStateBody)
    edit, repairs = StateEdit(body.values, body.as_node), services_of(request).run_repairs
    run_id, operator = path_id(request, "run_id"), _by(request, body)
    return _operated(await repairs.edit_state(run_id, operator, edit, resume=body.resume, repeat=body.repeat))


async def raise_ceilings(request: Request) -> Response:
    """Raises ceilings of a run and of its chain."""
    body = await read_body(request, RaiseCeilingsBody)
    raises, run_id = services_of(request).ceiling_raises, path_id(request, "run_id")
    return _operated(await raises.raise_ceilings(run_id, body.limits, _by(request, body), resume=body.resume))


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
    Endpoint("POST", f"{_RUN}/resume", resume, "Resume a paused run", _ACCESS, body=ResumeBody),
    Endpoint("POST", f"{_RUN}/cancel", cancel, "Cancel a run of any user", _ACCESS, body=OperatorCancelBody),
    Endpoint("POST", f"{_RUN}/retry", retry, "Retry a run that failed or was cancelled", _ACCESS, body=RetryBody),
    Endpoint(
        "POST",
        f"{_RUN}/ceilings",
        raise_ceilings,
        "Raise ceilings of a run and its chain",
        _ACCESS,
        body=RaiseCeilingsBody,
    ),
    Endpoint("POST", f"{_RUN}/skip-node", skip_node, "Continue a run without a node", _ACCESS, body=SkipNodeBody),
    Endpoint(
        "POST",
        f"{_RUN}/edit-state",
        edit_state,
        "Change the state of a run, and continue it",
        _ACCESS,
        body=EditStateBody,
        stores=True,
    ),
)
