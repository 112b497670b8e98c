"""Runs on a thread: create, stream, wait, list, read, join, cancel, delete."""

from __future__ import annotations

from typing import Any, Final, cast
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from slipway.access.handler_values.threads import RunsSearch
from slipway.api.auth.access_check import authorize, requires
from slipway.api.auth.authorization import (
    authorize_cancel,
    authorize_delete,
    authorize_read,
    cancel_value,
    read_value,
)
from slipway.api.bodies.runs import RunBody
from slipway.api.cancel_on_disconnect import CANCEL_PARAM, FOLLOW_ACCESS, canceller_from_body, canceller_from_query
from slipway.api.endpoints import Endpoint, Query, bool_param, int_param, list_param
from slipway.api.pagination import selected
from slipway.api.request_parsing import path_id, query_choice, query_flag, query_names, query_number, read_body
from slipway.api.responses import JsonResponse, empty_response
from slipway.api.run_submission import (
    CREATE_ACCESS,
    CREATE_AND_READ_ACCESS,
    prepare_run,
    submit_and_follow,
    submit_and_wait,
)
from slipway.api.shared_objects import services_of
from slipway.api.streams.access_watch import error_value, watch_new_run, watch_run
from slipway.api.streams.response_lifetime import ResponseLifetime
from slipway.api.streams.run_streams import stream_existing_run, stream_run
from slipway.api.streams.stream_requests import END_PARAM, SINCE_PARAM, StreamRequest, wants_end
from slipway.api.streams.wait_response import wait_response
from slipway.errors import InvalidRequest
from slipway.runs.cancel_reasons import BY_API, Action
from slipway.runs.events import START_ID
from slipway.runs.record import PUBLIC_MEMBERS, Run

log = structlog.get_logger(__name__)

STATUSES: Final = ("pending", "running", "success", "error", "timeout", "interrupted")
MAX_REASON_CHARS: Final = 1000
"""The longest reason to cancel that a client can send. It is stored with the run and in the error of the thread."""


async def create(request: Request) -> Response:
    """Creates a run and responds at once."""
    spec = await prepare_run(request, await read_body(request, RunBody), path_id(request, "thread_id"), reads=False)
    run = await services_of(request).submission.submit(spec)
    return JsonResponse(run.public(), headers={"content-location": f"/threads/{run.thread_id}/runs/{run.run_id}"})


async def stream(request: Request) -> ASGIApp:
    """Creates a run and sends its events."""
    ends, body = wants_end(request), await read_body(request, RunBody)
    submitted = await submit_and_follow(request, body, path_id(request, "thread_id"))
    return stream_run(
        request,
        submitted.run,
        START_ID,
        sends_end=ends,
        lifetime=ResponseLifetime(
            on_disconnect=canceller_from_body(request, submitted.run, body),
            on_close=submitted.subscription,
            watch=watch_new_run(request, submitted.spec),
        ),
    )


async def wait(request: Request) -> ASGIApp:
    """Creates a run and sends its result."""
    body = await read_body(request, RunBody)
    submitted = await submit_and_wait(request, body, path_id(request, "thread_id"))
    return wait_response(
        request,
        submitted.run,
        ResponseLifetime(
            on_disconnect=canceller_from_body(request, submitted.run, body),
            on_close=submitted.subscription,
            watch=watch_new_run(request, submitted.spec, error_value),
        ),
    )


async def list_all(request: Request) -> Response:
    """The runs of a thread, newest first."""
    select = _selected(request)
    services, thread_id = services_of(request), path_id(request, "thread_id")
    limit, offset = query_number(request, "limit", 10, 1, 1000), query_number(request, "offset", 0)
    status = query_choice(request, "status", STATUSES)
    query = RunsSearch.model_construct(
        thread_id=UUID(thread_id), metadata={}, status=cast("Any", status), limit=limit, offset=offset
    )
    value, search_filter = await authorize(request, query)
    _, read_filter = await authorize(request, read_value(thread_id))
    await services.threads.check_access(thread_id, search_filter & read_filter)
    runs = await services.runs.list(
        thread_id, limit=value.limit, offset=value.offset, status=value.status, metadata=value.metadata
    )
    return JsonResponse(selected([run.public() for run in runs], select))


async def read(request: Request) -> Response:
    select = _selected(request)
    (selection,) = selected([(await _readable(request)).public()], select)
    return JsonResponse(selection)


def _selected(request: Request) -> list[str]:
    """The members of a run that the query selects; an empty list selects all."""
    select = query_names(request, "select")
    if unknown := set(select) - PUBLIC_MEMBERS:
        raise InvalidRequest("select", f"{min(unknown)!r} is not a field of a run")
    return select


async def delete(request: Request) -> Response:
    """Deletes a run that has ended, with its checkpoints."""
    services, (thread_id, run_id) = services_of(request), _ids(request)
    await authorize_delete(request, thread_id, run_id)
    run = await services.runs.get(thread_id, run_id)
    await services.runs.delete(run.thread_id, run.run_id)
    await services.checkpointer.adelete_for_runs([run.run_id], [run.thread_id])
    return empty_response()


async def join(request: Request) -> ASGIApp:
    """Sends the result of an existing run."""
    run = await _readable(request)
    on_disconnect, watch = canceller_from_query(request, run), watch_run(request, run, error_value)
    return wait_response(request, run, ResponseLifetime(on_disconnect=on_disconnect, watch=watch))


async def join_stream(request: Request) -> ASGIApp:
    """Sends the events of an existing run: those after `Last-Event-ID`, or only new events."""
    stream_request = StreamRequest.from_request(request)
    run = await _readable(request)
    return await stream_existing_run(request, run, stream_request, on_disconnect=canceller_from_query(request, run))


async def cancel(request: Request) -> Response | ASGIApp:
    """Cancels a run; with `wait`, responds when it has stopped."""
    services = services_of(request)
    action = Action(query_choice(request, "action", tuple(Action)) or Action.INTERRUPT)
    wait_for_end, reason = query_flag(request, "wait"), request.query_params.get("reason")
    if reason is not None and len(reason) > MAX_REASON_CHARS:
        raise InvalidRequest("reason", f"is longer than {MAX_REASON_CHARS} characters")
    thread_id, run_id = _ids(request)
    action = await authorize_cancel(request, thread_id, run_id, action)
    run = await services.runs.get(thread_id, run_id)
    if wait_for_end:  # the response has the result of the run
        await authorize_read(request, thread_id, run_id)
    await services.runs.cancel(run.thread_id, run.run_id, action, BY_API, reason)
    if not wait_for_end:
        return empty_response(202)
    watch = watch_run(request, run, error_value, cancel_value(thread_id, run_id, action))
    return wait_response(request, run, ResponseLifetime(watch=watch))


def _ids(request: Request) -> tuple[str, str]:
    """The thread and the run of the path."""
    return path_id(request, "thread_id"), path_id(request, "run_id")


async def _readable(request: Request) -> Run:
    """The run of the path, if the user is authorized to read it."""
    thread_id, run_id = _ids(request)
    await authorize_read(request, thread_id, run_id)
    return await services_of(request).runs.get(thread_id, run_id)


_RUNS: Final = "/threads/{thread_id}/runs"
_RUN: Final = "/threads/{thread_id}/runs/{run_id}"
_EVENTS: Final = "text/event-stream"

ENDPOINTS: Final = (
    Endpoint(
        "POST", f"{_RUNS}/wait", wait, "Create a run and wait for its result", CREATE_AND_READ_ACCESS, body=RunBody
    ),
    Endpoint(
        "POST",
        f"{_RUNS}/stream",
        stream,
        "Create a run and stream its events",
        CREATE_AND_READ_ACCESS,
        body=RunBody,
        query=(END_PARAM,),
        media_type=_EVENTS,
    ),
    Endpoint("POST", _RUNS, create, "Create a run", CREATE_ACCESS, body=RunBody),
    Endpoint(
        "GET",
        _RUNS,
        list_all,
        "List the runs of a thread, newest first",
        requires("threads:search", "threads:read"),
        query=(
            int_param("limit", 10, 1, 1000),
            int_param("offset", 0),
            Query("status", {"type": "string", "enum": list(STATUSES)}),
            list_param("select", "Members of the response"),
        ),
    ),
    Endpoint(
        "GET",
        _RUN,
        read,
        "Read a run",
        requires("threads:read"),
        query=(list_param("select", "Members of the response"),),
    ),
    Endpoint(
        "DELETE", _RUN, delete, "Delete a run that has ended", requires("threads:delete"), media_type="", status=204
    ),
    Endpoint("GET", f"{_RUN}/join", join, "Wait for the result", FOLLOW_ACCESS, query=(CANCEL_PARAM,)),
    Endpoint(
        "GET",
        f"{_RUN}/stream",
        join_stream,
        "Follow or replay the events",
        FOLLOW_ACCESS,
        query=(list_param("stream_mode", "Only events of these modes"), SINCE_PARAM, END_PARAM, CANCEL_PARAM),
        media_type=_EVENTS,
    ),
    Endpoint(
        "POST",
        f"{_RUN}/cancel",
        cancel,
        "Cancel a run",
        requires("threads:update", optional=("threads:read",)),
        query=(
            bool_param("wait", "Respond when the run has stopped"),
            Query("action", {"type": "string", "enum": [action.value for action in Action], "default": "interrupt"}),
            Query("reason", {"type": "string"}),
        ),
        status_without_body=202,
    ),
)
