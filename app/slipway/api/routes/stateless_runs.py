"""Stateless runs. The thread of such a run is created with it, and deleted with it unless the request has
`"on_completion": "keep"` (docs/protocol.md)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from slipway.access.filters import AccessFilter
from slipway.access.handler_values.threads import RunsCancel, RunSelection
from slipway.api.auth.access_check import authorize, requires
from slipway.api.auth.authorization import readable_run
from slipway.api.bodies.runs import CancelBody, RunBody
from slipway.api.cancel_on_disconnect import CANCEL_PARAM, FOLLOW_ACCESS, canceller_from_body, canceller_from_query
from slipway.api.endpoints import Endpoint, Query, list_param
from slipway.api.request_parsing import parsed, path_id, query_choice, read_body, validated
from slipway.api.responses import JsonResponse, empty_response
from slipway.api.run_submission import (
    CREATE_ACCESS,
    CREATE_AND_READ_ACCESS,
    prepare_run,
    submit_and_follow,
    submit_and_wait,
)
from slipway.api.shared_objects import services_of
from slipway.api.streams.access_watch import error_value, watch_new_run
from slipway.api.streams.response_lifetime import ResponseLifetime
from slipway.api.streams.run_streams import stream_existing_run, stream_run
from slipway.api.streams.stream_requests import END_PARAM, SINCE_PARAM, StreamRequest, wants_end
from slipway.api.streams.wait_response import wait_response
from slipway.errors import InvalidRequest, NotFound
from slipway.runs.cancel_reasons import BY_API, Action
from slipway.runs.events import START_ID
from slipway.services import Services

MAX_BATCH_RUNS: Final = 1000


async def create(request: Request) -> Response:
    """Creates a run and responds at once."""
    spec = await prepare_run(request, await read_body(request, RunBody), None, reads=False)
    run = await services_of(request).submission.submit(spec)
    return JsonResponse(run.public(), headers={"content-location": f"/runs/{run.run_id}"})


async def batch(request: Request) -> Response:
    """Creates several runs and responds at once. All are validated and authorized before the first run is created."""
    sent = parsed(await request.body())
    if not isinstance(sent, list) or not 0 < len(sent) <= MAX_BATCH_RUNS:
        raise InvalidRequest("", f"the body must be a list of 1 to {MAX_BATCH_RUNS} runs")
    bodies = [validated(RunBody, body, f"[{index}]") for index, body in enumerate(sent)]
    specs = [await prepare_run(request, body, None, reads=False, index=index) for index, body in enumerate(bodies)]
    submission = services_of(request).submission
    return JsonResponse([(await submission.submit(spec)).public() for spec in specs])


async def stream(request: Request) -> ASGIApp:
    """Creates a run and sends its events."""
    ends, body = wants_end(request), await read_body(request, RunBody)
    submitted = await submit_and_follow(request, body, None)
    return stream_run(
        request,
        submitted.run,
        START_ID,
        sends_end=ends,
        run_path=f"/runs/{submitted.run.run_id}",
        lifetime=ResponseLifetime(
            on_disconnect=canceller_from_body(request, submitted.run, body),
            on_close=submitted.subscription,
            watch=watch_new_run(request, submitted.spec),
        ),
    )


async def wait(request: Request) -> ASGIApp:
    """Creates a run and sends its result."""
    body = await read_body(request, RunBody)
    submitted = await submit_and_wait(request, body, None)
    return wait_response(
        request,
        submitted.run,
        ResponseLifetime(
            on_disconnect=canceller_from_body(request, submitted.run, body),
            on_close=submitted.subscription,
            watch=watch_new_run(request, submitted.spec, error_value),
        ),
    )


async def join_stream(request: Request) -> ASGIApp:
    """Sends the events of a run whose thread the path does not name: those after `Last-Event-ID`, or only new
    events."""
    stream_request = StreamRequest.from_request(request)
    run = await readable_run(request, path_id(request, "run_id"))
    return await stream_existing_run(
        request, run, stream_request, on_disconnect=canceller_from_query(request, run), run_path=f"/runs/{run.run_id}"
    )


async def cancel(request: Request) -> Response:
    """Cancels several runs: all runs with a status, or some runs of one thread by their ids."""
    services, body = services_of(request), await read_body(request, CancelBody)
    action = Action(query_choice(request, "action", tuple(Action)) or Action.INTERRUPT)
    thread = None if body.thread_id is None else UUID(body.thread_id)
    run_ids = None if body.run_ids is None else [UUID(run_id) for run_id in body.run_ids]
    request_value = RunsCancel.model_construct(
        thread_id=thread,
        action=action.value,
        metadata=RunSelection.model_construct(run_ids=run_ids, status=body.status),
    )
    value, access_filter = await authorize(request, request_value)
    if (value.thread_id is None) != (value.metadata.run_ids is None):
        raise request_value.handler_error(
            "wrote metadata.run_ids or thread_id without the other: runs of one thread need both"
        )
    selection, action = value.metadata, Action(value.action)
    cancelled = 0
    async for thread_id, run_id in _to_cancel(services, value, access_filter):
        with suppress(NotFound):  # it does not exist, or has ended in between
            await services.runs.cancel(thread_id, run_id, action, BY_API)
            cancelled += 1
    if cancelled == 0:
        names = ", ".join(map(str, selection.run_ids or ())) or selection.status or ""
        raise NotFound("run to cancel", names, why="none of these is pending or running")
    return empty_response()


async def _to_cancel(
    services: Services, value: RunsCancel, access_filter: AccessFilter
) -> AsyncIterator[tuple[str, str]]:
    if value.thread_id is not None:
        await services.threads.check_access(str(value.thread_id), access_filter)
        for run_id in value.metadata.run_ids or ():
            yield str(value.thread_id), str(run_id)
        return
    async for run in services.unfinished_runs.list_all():
        selected = value.metadata.status in ("all", run.status)
        if selected and await services.threads.has_access(run.thread_id, access_filter):
            yield run.thread_id, run.run_id


_EVENTS: Final = "text/event-stream"

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/runs/wait",
        wait,
        "Create a stateless run and wait for its result",
        CREATE_AND_READ_ACCESS,
        body=RunBody,
    ),
    Endpoint(
        "POST",
        "/runs/stream",
        stream,
        "Create a stateless run and stream its events",
        CREATE_AND_READ_ACCESS,
        body=RunBody,
        query=(END_PARAM,),
        media_type=_EVENTS,
    ),
    Endpoint(
        "POST",
        "/runs/batch",
        batch,
        "Create several stateless runs",
        CREATE_ACCESS,
    ),
    Endpoint(
        "POST",
        "/runs/cancel",
        cancel,
        "Cancel several runs",
        requires("threads:update"),
        body=CancelBody,
        query=(Query("action", {"type": "string", "enum": [*Action], "default": "interrupt"}),),
        media_type="",
        status=204,
    ),
    Endpoint("POST", "/runs", create, "Create a stateless run", CREATE_ACCESS, body=RunBody),
    Endpoint(
        "GET",
        "/runs/{run_id}/stream",
        join_stream,
        "Follow or replay the events of a stateless run",
        FOLLOW_ACCESS,
        query=(list_param("stream_mode", "Only events of these modes"), SINCE_PARAM, END_PARAM, CANCEL_PARAM),
        media_type=_EVENTS,
    ),
)
