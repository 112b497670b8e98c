"""Sends the result of a run as one JSON object when the run has ended. Until then sends a newline every few seconds,
which JSON allows before a value.

Status 200 is sent before the run has ended, so the body of a failed run is `{"__error__": …}`. A response that cannot
be completed is closed without its terminating chunk. Its client then requests the path in the header `Location`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import structlog
from langgraph.checkpoint.serde.types import INTERRUPT
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from slipway.api.responses_in_progress import ResponsesInProgress
from slipway.api.shared_objects import responses_in_progress_of, services_of
from slipway.api.streams.access_watch import error_value
from slipway.api.streams.client_disconnect import end_when_disconnected
from slipway.api.streams.credential_watch import while_credentials_last
from slipway.api.streams.response_control import Ending, ResponseControl, resolve
from slipway.api.streams.response_lifetime import UNWATCHED, ResponseLifetime
from slipway.api.streams.response_timers import Pings
from slipway.errors import NotFound
from slipway.redaction.redact import redact_json
from slipway.runs.record import Run
from slipway.serialization.json_encoding import dumps
from slipway.services import Services
from slipway.threads.record import Thread

log = structlog.get_logger(__name__)

_PING: Final = b"\n"
_EMPTY_RESULT: Final = b"{}"


def wait_response(request: Request, run: Run, lifetime: ResponseLifetime) -> WaitResponse:
    """The response that sends the result of `run` when the run has ended."""
    services = services_of(request)
    return WaitResponse(
        partial(run_result, services, run),
        headers=_headers(run),
        ping_s=services.settings.sse_ping_s,
        responses_in_progress=responses_in_progress_of(request),
        lifetime=while_credentials_last(request, lifetime, error_value),
    )


class WaitResponse:
    """Sends the headers at once, and the bytes that `result` returns when it returns. Until then sends a newline every
    `ping_s` seconds. If there is no result, because `result` fails or this process stops, the response is closed
    without its terminating chunk, so that the client requests it again."""

    def __init__(
        self,
        result: Callable[[], Awaitable[bytes]],
        *,
        headers: Mapping[str, str],
        ping_s: float,
        responses_in_progress: ResponsesInProgress,
        lifetime: ResponseLifetime = UNWATCHED,
    ) -> None:
        self._result, self._ping_s, self._responses_in_progress = result, ping_s, responses_in_progress
        self._headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        self._lifetime = lifetime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        finished = asyncio.get_running_loop().create_future()
        control, pings = ResponseControl(partial(resolve, finished)), Pings(send, _PING, self._ping_s)
        with self._lifetime.in_progress(control, self._responses_in_progress, control.end):
            helpers = (
                asyncio.create_task(self._wait_for_result(control, finished)),
                asyncio.create_task(end_when_disconnected(receive, control)),
            )
            try:
                await send({"type": "http.response.start", "status": 200, "headers": self._headers})
                pings.start()
                await finished
            finally:
                pings.stop()
                for helper in helpers:
                    helper.cancel()
        if control.disconnected:
            await self._lifetime.report_disconnect()
            return
        ending = control.ending or Ending()
        await send({"type": "http.response.body", "body": ending.last, "more_body": not ending.complete})

    async def _wait_for_result(self, control: ResponseControl, finished: asyncio.Future[None]) -> None:
        try:
            result = await self._result()
            await control.wait_while_paused()
            control.complete(result)
        except Exception:
            log.exception("http.wait_failed")
        finally:
            resolve(finished)


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
            return redact_json(dumps(_error_result(stored.error)))
        return redact_json(dumps(_thread_result(await services.threads.get(run.thread_id))))
    except NotFound:
        return _EMPTY_RESULT  # rolled back or deleted in between


def _error_result(error: dict[str, Any]) -> dict[str, Any]:
    return {"__error__": {"error": error.get("error"), "message": error.get("message")}}


def _thread_result(thread: Thread) -> dict[str, Any]:
    if thread.error is not None and thread.status == "error":
        return _error_result(thread.error)
    stored = thread.values
    values = stored if isinstance(stored, dict) else {}
    interrupts = [interrupt for task in thread.interrupts.values() for interrupt in task]
    return values | ({INTERRUPT: interrupts} if interrupts else {})
