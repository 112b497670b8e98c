"""Runs without a thread of their caller's: each has one made for it, which goes with it (protocol 4.9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
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
from slipway.api.endpoints import Endpoint, Query, bool_param, list_param
from slipway.api.lifespan_state import services_of
from slipway.api.request_parsing import parsed, path_id, query_choice, read_body, validated
from slipway.api.responses import JsonResponse, empty_response
from slipway.api.routes.new_runs import new_run
from slipway.api.routes.runs import CREATES, CREATES_AND_READS, FOLLOWS, accept, canceller, on_disconnect
from slipway.api.streams.access_watch import error_value, watch_new_run
from slipway.api.streams.event_streams import stream_existing_run, stream_run
from slipway.api.streams.stream_requests import ENDING, SINCE, StreamRequest, wants_end
from slipway.api.streams.wait_response import wait_response
from slipway.errors import InvalidRequest, NotFound, RefusedRequest
from slipway.runs.cancel_reasons import BY_API, Action
from slipway.runs.event_log import START_ID
from slipway.runs.record import NewRun, Run, new_id
from slipway.services import Services

MOST_AT_ONCE: Final = 1000


async def create(request: Request) -> Response:
    """A background run."""
    services = services_of(request)
    body = await read_body(request, RunBody)
    run = await accept(services, await _new(request, services, body, reads=False))
    return JsonResponse(run.public(), headers={"content-location": f"/runs/{run.run_id}"})


async def batch(request: Request) -> Response:
    """Several background runs, each on its own. All are checked before the first is made."""
    given = parsed(await request.body())
    if not isinstance(given, list) or not 0 < len(given) <= MOST_AT_ONCE:
        raise InvalidRequest("", f"the body must be a list of 1 to {MOST_AT_ONCE} runs")
    services = services_of(request)
    bodies = [validated(RunBody, body, f"[{part}]") for part, body in enumerate(given)]
    runs = [await _new(request, services, body, part, reads=False) for part, body in enumerate(bodies)]
    return JsonResponse([(await accept(services, run)).public() for run in runs])


async def stream(request: Request) -> ASGIApp:
    """A run and its events."""
    services, ends = services_of(request), wants_end(request)
    run, body, held, new = await _accept_and_listen(request, services)
    gone = canceller(request, run) if body.on_disconnect == "cancel" else None
    watch = watch_new_run(request, new)
    place = f"/runs/{run.run_id}"
    return stream_run(request, run, START_ID, ends=ends, on_disconnect=gone, held=held, place=place, watch=watch)


async def wait(request: Request) -> ASGIApp:
    """A run and its outcome."""
    services = services_of(request)
    run, body, held, new = await _accept_and_listen(request, services)
    gone = canceller(request, run) if body.on_disconnect == "cancel" else None
    return wait_response(request, run, on_disconnect=gone, held=held, watch=watch_new_run(request, new, error_value))


async def join_stream(request: Request) -> ASGIApp:
    """The events of such a run: after `Last-Event-ID`, or only new ones."""
    asked = StreamRequest.of(request)
    run = await readable_run(request, path_id(request, "run_id"))
    return await stream_existing_run(
        request, run, asked, on_disconnect=on_disconnect(request, run), place=f"/runs/{run.run_id}"
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
    for run in [run async for run in services.in_flight.runs()]:
        if value.metadata.status in ("all", run.status) and await _mine(services, run.thread_id, only):
            yield run.thread_id, run.run_id


async def _mine(services: Services, thread_id: str, only: AccessFilter) -> bool:
    try:
        await services.threads.check_access(thread_id, only)
    except NotFound:
        return False
    return True


async def _accept_and_listen(request: Request, services: Services) -> tuple[Run, RunBody, ExitStack, NewRun]:
    body = await read_body(request, RunBody)
    new = await _new(request, services, body, reads=True)
    with ExitStack() as listening:
        listening.enter_context(services.events.expecting(new.run_id))
        run = await accept(services, new)
        return run, body, listening.pop_all(), new


async def _new(request: Request, services: Services, body: RunBody, part: int = 0, *, reads: bool) -> NewRun:
    check(body)
    return await new_run(services, request, new_id(), body, stateless=True, part=part, reads=reads)


def check(body: RunBody) -> None:
    """Refuse what only a run on a thread can have."""
    if body.command is not None and "resume" in body.command.public():
        raise RefusedRequest("command.resume needs a thread: a run without one leaves nothing to resume")
    if body.start_from is not None:
        raise RefusedRequest("checkpoint needs a thread: a run without one has no past")


_LEAVING: Final = bool_param("cancel_on_disconnect", "Cancel the run when this client leaves")
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
        query=(list_param("stream_mode", "Only events of these modes"), SINCE, ENDING, _LEAVING),
        media_type=_EVENTS,
    ),
)
