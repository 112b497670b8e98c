"""What a run waits for, for whoever may read the run."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import OPERATE, is_operator
from slipway.api.auth.access_check import requires, user_of
from slipway.api.auth.authorization import readable_run
from slipway.api.endpoints import Endpoint
from slipway.api.request_parsing import path_id, reject_unknown_parameters
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of


async def read(request: Request) -> Response:
    """What the run waits for, since when, and who can act. Operators also see runs of others and the names of
    workers."""
    reject_unknown_parameters(request, ())
    run = await readable_run(request, path_id(request, "run_id"))
    why = await services_of(request).waiting_reasons.why(run.run_id)
    return JsonResponse(why.for_reader(operator=is_operator(user_of(request), OPERATE)).public())


ENDPOINTS: Final = (
    Endpoint("GET", "/ops/runs/{run_id}/why", read, "Read what a run waits for", requires("threads:read")),
)
