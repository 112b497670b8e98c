"""What a run's page follows: the log as nameless events, and how things stand now.

A browser's `EventSource` hears only the event names it was told beforehand, and namespaced names
(`updates|child:6382a9`) cannot be. So each event is sent as a plain message, `{"event": <name>, "data": …}`, with its
id: the browser comes back by itself with the last id it saw.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from slipway.api.auth.authorization import authorize_read
from slipway.api.lifespan_state import services_of
from slipway.api.request_parsing import path_id
from slipway.api.responses import JsonResponse
from slipway.api.streams.access_watch import watch_run
from slipway.api.streams.event_streams import STALL_TIMEOUT_S, STREAM_HEADERS, stream_response
from slipway.api.streams.long_response import SendBuffer
from slipway.api.streams.stream_requests import position
from slipway.api.ui.rendering import HEADERS
from slipway.clock import Clock
from slipway.errors import NotFound
from slipway.runs.event_log import START_ID, Event
from slipway.runs.record import Phase, Run
from slipway.serialization.json_encoding import dumps
from slipway.services import Services
from slipway.sse_frames import RETRY, encode_block

_EVENT_ID: Final = re.compile(r"\d{1,15}-\d{1,15}")
_SHOWN: Final = (
    *("run_id", "thread_id", "graph_id", "assistant_id", "phase", "reason", "status", "attempt", "error", "usage"),
    *("ceilings", "created_at", "updated_at", "resumes", "resumed_by", "cancel_reason"),
)


async def events(request: Request) -> ASGIApp:
    """The run's events from its start, or from where this reader stopped, until its end."""
    services, after = services_of(request), _after(request)
    run = await seen_run(request)

    async def feed(buffer: SendBuffer) -> None:
        await _feed(services, run, after, buffer)

    watch = watch_run(request, run, lambda error: b"")
    return stream_response(request, feed, headers={**HEADERS, **STREAM_HEADERS}, watch=watch)


def _after(request: Request) -> str:
    """By header when the browser reconnects; by `after` when the page opened a new stream itself."""
    asked = request.query_params.get("after", "")
    return position(request) or (asked if _EVENT_ID.fullmatch(asked) else START_ID)


async def _feed(services: Services, run: Run, after: str, buffer: SendBuffer) -> None:
    ended = False
    buffer.put([RETRY])
    async with aclosing(services.events.follow(run.run_id, after)) as batches:
        async for batch in batches:
            buffer.put(_blocks(batch), len(batch))
            ended = batch[-1].last
            if not await buffer.room(STALL_TIMEOUT_S):
                return buffer.drop(b"")  # it comes back with its last id
    if not ended:
        buffer.put([await _farewell(services, run)])
    return None


def _blocks(batch: Sequence[Event]) -> list[bytes]:
    return [_message(event.name, event.data, event.result, event.id) for event in batch]


def _message(name: str, data: bytes, result: bytes | None = None, event_id: str = "") -> bytes:
    more = b'"result":%b,' % result if result else b""
    return encode_block("", b'{"event":%b,%b"data":%b}' % (dumps(name), more, data), event_id)


async def _farewell(services: Services, run: Run) -> bytes:
    """The log is not kept any more: say so, and whether the run still exists."""
    try:
        left = await services.runs.find(run.run_id)
    except NotFound:
        return _message("gone", b"{}")
    if not _over(left):
        return b""
    end = dumps({"run_id": left.run_id, "status": left.status})
    return _message("expired", b"{}") + _message("end", end)


async def now(request: Request) -> Response:
    """How the run stands; `{"gone": true}` when it was removed (a rollback does that to the run it cancels)."""
    services = services_of(request)
    try:
        run = await seen_run(request)
    except NotFound:
        return JsonResponse({"gone": True})
    return JsonResponse(await standing(services, run), headers=dict(HEADERS))


async def seen_run(request: Request) -> Run:
    """The run of the path, if the caller may read it."""
    thread_id, run_id = path_id(request, "thread_id"), path_id(request, "run_id")
    await authorize_read(request, thread_id, run_id)
    return await services_of(request).runs.get(thread_id, run_id)


async def standing(services: Services, run: Run) -> dict[str, Any]:
    """What the page shows of a run: its record without the input, the workers while it waits for one, and what is
    asked while it waits for a person."""
    public = run.public()
    shown: dict[str, Any] = {
        "run": {name: public.get(name) for name in _SHOWN},
        "modes": run.options.stream_mode or [],
        "server_time": _iso_now(services.clock),
        "workers": None,
        "interrupts": None,
    }
    if run.phase in (Phase.QUEUED, Phase.RUNNING):
        shown["workers"] = services.health.now.workers
    elif run.phase is Phase.WAITING_FOR_APPROVAL:
        asked = (await services.threads.get(run.thread_id)).interrupts
        shown["interrupts"] = [each for group in asked.values() for each in group]
    return shown


def _over(run: Run) -> bool:
    return run.final or run.phase is Phase.WAITING_FOR_APPROVAL


def _iso_now(clock: Clock) -> str:
    return clock.now().isoformat(timespec="milliseconds")
