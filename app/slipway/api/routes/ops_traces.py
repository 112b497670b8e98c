"""The trace of a run and of its chain, for whoever may read the run."""

from __future__ import annotations

from typing import Final, cast

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import OPERATE, is_operator
from slipway.api.auth.access_check import authorize, requires, user_of
from slipway.api.auth.authorization import read_value, readable_run
from slipway.api.endpoints import Endpoint, Query
from slipway.api.request_parsing import path_id, query_choice, query_flag, reject_unknown_parameters
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.errors import AccessRefused
from slipway.run_traces.contents import with_contents
from slipway.run_traces.public_form import FORMS, Form, public
from slipway.runs.record import Run


async def read(request: Request) -> Response:
    """The spans of the run and of those runs of its chain that the user may read. With `content`, also what its nodes
    have received and returned."""
    reject_unknown_parameters(request, [query.name for query in ENDPOINTS[0].query])
    form = cast(Form, query_choice(request, "format", FORMS) or "tree")
    wants_content = query_flag(request, "content")
    services, run = services_of(request), await readable_run(request, path_id(request, "run_id"))
    operator = is_operator(user_of(request), OPERATE)
    options = {run.run_id: run.options}

    async def may_read(other: Run) -> bool:
        try:
            value, access_filter = await authorize(request, read_value(other.thread_id, other.run_id))
            readable = await services.threads.has_access(str(value.thread_id), access_filter)
        except AccessRefused:
            return False
        if readable:
            options[other.run_id] = other.options
        return readable

    trace = await services.run_traces.of_run(run.run_id, may_read, operator=operator)
    if wants_content:
        trace = await with_contents(trace, services.states, options, user_of(request))
    return JsonResponse(public(trace, form, operator=operator))


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/ops/runs/{run_id}/trace",
        read,
        "Read the trace of a run and of its chain",
        requires("threads:read"),
        query=(
            Query("format", {"type": "string", "enum": list(FORMS), "default": "tree"}, "Nested, or as a list"),
            Query("content", {"type": "boolean", "default": False}, "With inputs and outputs, redacted and shortened"),
        ),
    ),
)
