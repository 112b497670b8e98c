"""Waiting for the run_result of a run: a newline every few seconds (legal before JSON), then one JSON object.

Status 200 is sent before the run_result is known, so a failed run answers `{"__error__": …}`. An answer that cannot be
finished is broken off: clients then ask the `Location` for it.
"""

from __future__ import annotations

from contextlib import ExitStack, aclosing
from typing import Any, Final

from langgraph.checkpoint.serde.types import INTERRUPT
from starlette.requests import Request

from slipway.api.lifespan_state import open_responses_of, services_of
from slipway.api.streams.long_response import LongResponse, OnDisconnect, SendBuffer, Watch
from slipway.errors import NotFound
from slipway.runs.record import Run
from slipway.serialization.json_encoding import dumps
from slipway.services import Services
from slipway.threads.record import Thread

_BEAT: Final = b"\n"
_NOTHING: Final = b"{}"


def wait_response(
    request: Request,
    run: Run,
    *,
    on_disconnect: OnDisconnect | None = None,
    held: ExitStack | None = None,
    watch: Watch | None = None,
) -> LongResponse:
    """The run_result of `run`, once it has one."""
    services = services_of(request)
    settings = services.settings

    async def feed(buffer: SendBuffer) -> None:
        buffer.finish(await run_result(services, run), whole=True)

    return LongResponse(
        feed,
        headers=_headers(run),
        beat=_BEAT,
        ping_s=settings.sse_ping_s,
        most=1,
        answers=open_responses_of(request),
        all_or_nothing=True,
        on_disconnect=on_disconnect,
        held=held,
        watch=watch,
    )


def _headers(run: Run) -> dict[str, str]:
    place = f"/threads/{run.thread_id}/runs/{run.run_id}"
    return {
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
        "location": f"{place}/join",
        "content-location": place,
    }


async def run_result(services: Services, run: Run) -> bytes:
    """The JSON body for a run that is over: what its `end` event carries, else what is stored."""
    async with aclosing(services.events.follow(run.run_id)) as batches:
        async for batch in batches:
            if batch[-1].last:
                return batch[-1].result or await _stored(services, run)
    return await _stored(services, run)


async def _stored(services: Services, run: Run) -> bytes:
    try:
        now = await services.runs.get(run.thread_id, run.run_id)
        if now.error is not None:
            return dumps(_failed(now.error))
        return dumps(_shown(await services.threads.get(run.thread_id)))
    except NotFound:
        return _NOTHING  # rolled back or deleted meanwhile


def _failed(error: dict[str, Any]) -> dict[str, Any]:
    return {"__error__": {"error": error.get("error"), "message": error.get("message")}}


def _shown(thread: Thread) -> dict[str, Any]:
    if thread.error is not None and thread.status == "error":
        return _failed(thread.error)
    values = thread.values if isinstance(thread.values, dict) else {}
    asked = [interrupt for task in thread.interrupts.values() for interrupt in task]
    return values | ({INTERRUPT: asked} if asked else {})
