"""Runs without a thread of their caller's: each has one made for it, which goes with it (protocol 4.9)."""

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
from slipway.api.cancel_on_disconnect import CANCEL_ON_DISCONNECT, FOLLOWS, canceller, canceller_from_query
from slipway.api.endpoints import Endpoint, Query, list_param
from slipway.api.lifespan_state import services_of
from slipway.api.request_parsing import parsed, path_id, query_choice, read_body, validated
from slipway.api.responses import JsonResponse, empty_response
from slipway.api.run_submission import CREATES, CREATES_AND_READS, prepare_run, submit_and_subscribe
from slipway.api.streams.access_watch import error_value, watch_new_run
from slipway.api.streams.run_streams import stream_existing_run, stream_run
from slipway.api.streams.stream_requests import ENDING, SINCE, StreamRequest, wants_end
from slipway.api.streams.wait_response import wait_response
from slipway.errors import InvalidRequest, NotFound
from slipway.runs.cancel_reasons import BY_API, Action
from slipway.runs.events import START_ID
from slipway.services import Services

MOST_AT_ONCE: Final = 1000


async def create(request: Request) -> Response:
    """A background run."""
    spec = await prepare_run(request, await read_body(request, RunBody), None, reads=False)
    run = await services_of(request).submission.submit(spec)
    return JsonResponse(run.public(), headers={"content-location": f"/runs/{run.run_id}"})


async def batch(request: Request) -> Response:
    """Several background runs, each on its own. All are checked and authorized before the first one is created."""
    sent = parsed(await request.body())
    if not isinstance(sent, list) or not 0 < len(sent) <= MOST_AT_ONCE:
        raise InvalidRequest("", f"the body must be a list of 1 to {MOST_AT_ONCE} runs")
    bodies = [validated(RunBody, body, f"[{index}]") for index, body in enumerate(sent)]
    specs = [await prepare_run(request, body, None, reads=False, index=index) for index, body in enumerate(bodies)]
    submission = services_of(request).submission
    return JsonResponse([(await submission.submit(spec)).public() for spec in specs])


async def stream(request: Request) -> ASGIApp:
    """A run and its events."""
    ends, body = wants_end(request), await read_body(request, RunBody)
    submitted = await submit_and_subscribe(request, body, None)
    return stream_run(
        request,
        submitted.run,
        START_ID,
        sends_end=ends,
        on_disconnect=canceller(request, submitted.run) if body.on_disconnect == "cancel" else None,
        on_close=submitted.subscription,
        run_path=f"/runs/{submitted.run.run_id}",
        watch=watch_new_run(request, submitted.spec),
    )


async def wait(request: Request) -> ASGIApp:
    """A run and its result."""
    body = await read_body(request, RunBody)
    submitted = await submit_and_subscribe(request, body, None)
    return wait_response(
        request,
        submitted.run,
        on_disconnect=canceller(request, submitted.run) if body.on_disconnect == "cancel" else None,
        on_close=submitted.subscription,
        watch=watch_new_run(request, submitted.spec, error_value),
    )


async def join_stream(request: Request) -> ASGIApp:
    """The events of such a run: after `Last-Event-ID`, or only new ones."""
    asked = StreamRequest.from_request(request)
    run = await readable_run(request, path_id(request, "run_id"))
    return await stream_existing_run(
        request, run, asked, on_disconnect=canceller_from_query(request, run), run_path=f"/runs/{run.run_id}"
    )


async def cancel(request: Request) -> Response:
    """Cancel many runs: of a status anywhere, or those named of one thread."""
    services, body = services_of(request), await read_body(request, CancelBody)
    action = Action(query_choice(request, "action", tuple(Action)) or Action.INTERRUPT)
    thread = None if body.thread_id is None else UUID(body.thread_id)
    run_ids = None if body.run_ids is None else [UUID(run_id) for run_id in body.run_ids]
    wanted = RunsCancel.model_construct(
        thread_id=thread,
        action=action.value,
        metadata=RunSelection.model_construct(run_ids=run_ids, status=body.status),
    )
    value, only = await authorize(request, wanted)
    if (value.thread_id is None) != (value.metadata.run_ids is None):
        raise wanted.handler_error("left metadata.run_ids that do not fit thread_id: runs of one thread have both")
    which, action = value.metadata, Action(value.action)
    asked = 0
    async for thread_id, run_id in _to_cancel(services, value, only):
        with suppress(NotFound):  # unknown, or over meanwhile
            await services.runs.cancel(thread_id, run_id, action, BY_API)
            asked += 1
    if asked == 0:
        list_param = ", ".join(map(str, which.run_ids or ())) or which.status or ""
        raise NotFound("active run", list_param, why="none of these is pending or running")
    return empty_response()


async def _to_cancel(services: Services, value: RunsCancel, only: AccessFilter) -> AsyncIterator[tuple[str, str]]:
    if value.thread_id is not None:
        await services.threads.check_access(str(value.thread_id), only)
        for run_id in value.metadata.run_ids or ():
            yield str(value.thread_id), str(run_id)
        return
    # read to the end first: what is cancelled moves what is read
    for run in [run async for run in services.active_runs.list_all()]:
        if value.metadata.status in ("all", run.status) and await _mine(services, run.thread_id, only):
            yield run.thread_id, run.run_id


async def _mine(services: Services, thread_id: str, only: AccessFilter) -> bool:
    try:
        await services.threads.check_access(thread_id, only)
    except NotFound:
        return False
    return True


_EVENTS: Final = "text/event-stream"

ENDPOINTS: Final = (
    Endpoint(
        "POST", "/runs/wait", wait, "Run without a thread and wait for the outcome", CREATES_AND_READS, body=RunBody
    ),
    Endpoint(
        "POST",
        "/runs/stream",
        stream,
        "Run without a thread and stream",
        CREATES_AND_READS,
        body=RunBody,
        query=(ENDING,),
        media_type=_EVENTS,
    ),
    Endpoint(
        "POST",
        "/runs/batch",
        batch,
        "Several runs without threads, in the background",
        CREATES,
    ),
    Endpoint(
        "POST",
        "/runs/cancel",
        cancel,
        "Cancel many runs",
        requires("threads:update"),
        body=CancelBody,
        query=(Query("action", {"type": "string", "enum": [*Action], "default": "interrupt"}),),
        media_type="",
        status=204,
    ),
    Endpoint("POST", "/runs", create, "Run without a thread in the background", CREATES, body=RunBody),
    Endpoint(
        "GET",
        "/runs/{run_id}/stream",
        join_stream,
        "Follow or replay the events of a run without a thread",
        FOLLOWS,
        query=(list_param("stream_mode", "Only events of these modes"), SINCE, ENDING, CANCEL_ON_DISCONNECT),
        media_type=_EVENTS,
    ),
)
