"""The data that the page of a run loads while it is open: the events of the run, and its current record.

A browser's `EventSource` receives only the event names for which it has listeners, and names with a namespace
(`updates|child:6382a9`) cannot be listed in advance. So each event is sent as a plain message,
`{"event": <name>, "data": …}`, with its id. The browser reconnects by itself with the last id that it received.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from slipway.access.operators import OPERATE, is_operator
from slipway.api.auth.access_check import user_of
from slipway.api.auth.authorization import authorize_read
from slipway.api.request_parsing import path_id
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.api.streams.access_watch import no_event, watch_run
from slipway.api.streams.event_streams import STREAM_HEADERS, Blocks, StreamOptions, stream_response
from slipway.api.streams.response_lifetime import ResponseLifetime
from slipway.api.streams.stream_requests import position
from slipway.api.ui.phase_texts import phase_text
from slipway.api.ui.rendering import HEADERS
from slipway.api.ui.review_data import card_data
from slipway.clock import Clock
from slipway.errors import NotFound
from slipway.runs.events import START_ID
from slipway.runs.record import Phase, Run
from slipway.serialization.json_encoding import dumps
from slipway.services import Services
from slipway.sse_frames import encode_block
from slipway.waiting_reasons.acts import raise_limit

_EVENT_ID: Final = re.compile(r"\d{1,15}-\d{1,15}")
_RUN_FIELDS: Final = (
    *("run_id", "thread_id", "graph_id", "assistant_id", "phase", "reason", "status", "attempt", "error", "usage"),
    *("ceilings", "created_at", "updated_at", "resumes", "resumed_by", "cancel_reason"),
)


async def events(request: Request) -> ASGIApp:
    """The events of the run from its start, or after the last id of this client, until its end."""
    services, after = services_of(request), _after(request)
    run = await readable_run(request)
    lifetime = ResponseLifetime(watch=watch_run(request, run, no_event))
    options = StreamOptions(headers={**HEADERS, **STREAM_HEADERS}, lifetime=lifetime, final_event=no_event)
    return stream_response(request, _blocks(services, run, after), options)


def _after(request: Request) -> str:
    """The event id after which the stream continues. A browser that reconnects sends it in a header, a page that opens
    a new stream sends it in `after`."""
    after = request.query_params.get("after", "")
    return position(request) or (after if _EVENT_ID.fullmatch(after) else START_ID)


async def _blocks(services: Services, run: Run, after: str) -> AsyncGenerator[Blocks, None]:
    ended = False
    async with aclosing(services.events.follow(run.run_id, after)) as batches:
        async for batch in batches:
            ended = batch[-1].is_end
            messages = [_message(event.name, event.data, event.result, event.id) for event in batch]
            yield Blocks(messages, are_last=ended)
    if not ended:
        yield Blocks(await _expired_log_blocks(services, run))


def _message(name: str, data: bytes, result: bytes | None = None, event_id: str = "") -> bytes:
    result_member = b'"result":%b,' % result if result else b""
    return encode_block("", b'{"event":%b,%b"data":%b}' % (dumps(name), result_member, data), event_id)


async def _expired_log_blocks(services: Services, run: Run) -> list[bytes]:
    """The last events for a page if the log had no `end`: the log has expired, or the run was deleted."""
    try:
        stored = await services.runs.find(run.run_id)
    except NotFound:
        return [_message("deleted", b"{}")]
    if not _has_ended(stored):
        return []
    end = dumps({"run_id": stored.run_id, "status": stored.status, "phase": stored.phase})
    return [_message("expired", b"{}"), _message("end", end)]


async def run_status(request: Request) -> Response:
    """The current record of the run. `{"deleted": true}` if it was deleted, for
    example because it was cancelled with `rollback`."""
    try:
        run = await readable_run(request)
    except NotFound:
        return JsonResponse({"deleted": True})
    return JsonResponse(await run_view(request, run), headers=dict(HEADERS))


async def readable_run(request: Request) -> Run:
    """The run of the path. Raises `NotFound` if the user is not authorized to read it."""
    thread_id, run_id = path_id(request, "thread_id"), path_id(request, "run_id")
    await authorize_read(request, thread_id, run_id)
    return await services_of(request).runs.get(thread_id, run_id)


async def run_view(request: Request, run: Run) -> dict[str, Any]:
    """The data of a run that its page shows: fields of its record, the number of live workers until it has ended, its
    reviews while it waits for an answer (no reviews at a breakpoint), what pauses it, what it waits for until it has
    ended, and the command that lets it continue after a ceiling."""
    services, public = services_of(request), run.public()
    view: dict[str, Any] = {
        "run": {name: public.get(name) for name in _RUN_FIELDS},
        "phase_text": phase_text(run.phase),
        "modes": run.options.stream_mode or [],
        "server_time": _iso_now(services.clock),
        "workers": None,
        "reviews": None,
        "pause": _pause(request, run) if run.phase is Phase.PAUSED else None,
        "raise_command": raised.command if (raised := raise_limit(run)) else None,
        "why": None,
    }
    if not run.final:
        view["why"] = await _why(request, run)
    if run.phase in (Phase.QUEUED, Phase.RUNNING):
        view["workers"] = services.health.latest.workers
    elif run.phase is Phase.WAITING_FOR_APPROVAL:
        view["reviews"] = [card_data(request, review) for review in await services.reviews.of_run(run.run_id)]
    return view


async def _why(request: Request, run: Run) -> dict[str, Any] | None:
    """What the run waits for. None if it was deleted meanwhile."""
    try:
        why = await services_of(request).waiting_reasons.why(run.run_id)
    except NotFound:
        return None
    return why.for_reader(operator=is_operator(user_of(request), OPERATE)).public()


def _pause(request: Request, run: Run) -> dict[str, Any]:
    """Who has paused the run, when and why, and whether the user may resume it. Before a switch it continues when that
    is on: then `switch` has the sentence that says how."""
    operator = run.operator_pause
    return {
        "by": operator.by if operator else None,
        "at": operator.at if operator else None,
        "reason": operator.reason if operator else None,
        "switch": run.reason if run.switch and not operator else None,
        "resumable": operator is not None and is_operator(user_of(request), OPERATE),
    }


def _has_ended(run: Run) -> bool:
    """For the protocol, a run that waits for an answer has ended too."""
    return run.final or run.phase is Phase.WAITING_FOR_APPROVAL


def _iso_now(clock: Clock) -> str:
    return clock.now().isoformat(timespec="milliseconds")
