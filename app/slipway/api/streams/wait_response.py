"""Sends the result of a run as one JSON object when the run has ended. Until then sends a newline every few seconds,
which JSON allows before a value.

Status 200 is sent before the run has ended, so the body of a failed run is `{"__error__": …}`. A response that cannot
be completed is closed without its terminating chunk. Its client then requests the path in the header `Location`.
"""

from __future__ import annotations

from contextlib import ExitStack, aclosing
from typing import Any, Final

from langgraph.checkpoint.serde.types import INTERRUPT
from starlette.requests import Request

from slipway.api.shared_objects import responses_in_progress_of, services_of
from slipway.api.streams.long_response import LongResponse, OnDisconnect, Watch
from slipway.api.streams.send_buffer import SendBuffer
from slipway.errors import NotFound
from slipway.runs.record import Run
from slipway.serialization.json_encoding import dumps
from slipway.services import Services
from slipway.threads.record import Thread

_PING: Final = b"\n"
_EMPTY_RESULT: Final = b"{}"


def wait_response(
    request: Request,
    run: Run,
    *,
    on_disconnect: OnDisconnect | None = None,
    on_close: ExitStack | None = None,
    watch: Watch | None = None,
) -> LongResponse:
    """The response that sends the result of `run` when the run has ended."""
    services = services_of(request)
    settings = services.settings

    async def produce(buffer: SendBuffer) -> None:
        buffer.finish(await run_result(services, run), complete=True)

    return LongResponse(
        produce,
        headers=_headers(run),
        ping=_PING,
        ping_s=settings.sse_ping_s,
        max_events=1,
        responses_in_progress=responses_in_progress_of(request),
        must_be_complete=True,
        on_disconnect=on_disconnect,
        on_close=on_close,
        watch=watch,
    )


def _headers(run: Run) -> dict[str, str]:
    run_path = f"/threads/{run.thread_id}/runs/{run.run_id}"
    return {
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
        "location": f"{run_path}/join",
        "content-location": run_path,
    }


async def run_result(services: Services, run: Run) -> bytes:
    """Waits until the run has ended. Returns the result in its `end` event as JSON, or the stored state if the log has
    expired."""
    async with aclosing(services.events.follow(run.run_id)) as batches:
        async for batch in batches:
            if batch[-1].is_end:
                return batch[-1].result or await _stored_result(services, run)
    return await _stored_result(services, run)


async def _stored_result(services: Services, run: Run) -> bytes:
    try:
        stored = await services.runs.get(run.thread_id, run.run_id)
        if stored.error is not None:
            return dumps(_error_result(stored.error))
        return dumps(_thread_result(await services.threads.get(run.thread_id)))
    except NotFound:
        return _EMPTY_RESULT  # rolled back or deleted in between


def _error_result(error: dict[str, Any]) -> dict[str, Any]:
    return {"__error__": {"error": error.get("error"), "message": error.get("message")}}


def _thread_result(thread: Thread) -> dict[str, Any]:
    if thread.error is not None and thread.status == "error":
        return _error_result(thread.error)
    values = thread.values if isinstance(thread.values, dict) else {}
    interrupts = [interrupt for task in thread.interrupts.values() for interrupt in task]
    return values | ({INTERRUPT: interrupts} if interrupts else {})
