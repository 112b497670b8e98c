"""Sends an iterator of SSE blocks as a response. Every event stream of the API and of the pages goes through
`stream_response`; nothing else builds such a response.

All blocks in the send buffer are sent in one write. The first block contains `retry:`, and an SSE comment is the
ping. A client that does not read is disconnected, and can resume after the last id that it received. If a stream
must be complete but is not, it is closed without its terminating chunk, because older clients treat a proper end of the
stream as the end of the run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from slipway.api.shared_objects import responses_in_progress_of, services_of
from slipway.api.streams.long_response import LongResponse, OnDisconnect, Watch
from slipway.api.streams.send_buffer import SendBuffer
from slipway.serialization.json_encoding import dumps
from slipway.sse_frames import PING, RETRY, encode_block

STREAM_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}
"""No proxy may store or buffer a stream."""

STALL_TIMEOUT_S: Final = 5.0
"""A client that reads nothing for this time while its buffer is full is disconnected."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """The next blocks of a stream. With `needs_check` the client is authorized again before they are sent, because they
    are the first blocks of a run or contain a state."""

    blocks: list[bytes]
    needs_check: bool = False


Recheck = Callable[[SendBuffer], Awaitable[bool]]
"""Returns whether the client is still authorized. Ends the response if it is not."""


def stream_response(
    request: Request,
    batches: AsyncGenerator[Blocks, None],
    *,
    headers: Mapping[str, str] = STREAM_HEADERS,
    retry: bool = True,
    slow_client_event: bytes = b"",
    shutdown_event: bytes = b"",
    must_be_complete: bool = False,
    check: Recheck | None = None,
    on_disconnect: OnDisconnect | None = None,
    on_close: ExitStack | None = None,
    watch: Watch | None = None,
) -> LongResponse:
    """The response that sends `batches`, complete when the iterator ends.

    `check` is called before a batch with `needs_check` is sent; without `check`, such a batch is sent as any other. A
    client that does not read is disconnected, and `slow_client_event` is the last block for it. If this is empty, the
    response ends without a block that names the reason. `LongResponse` describes the other parameters.
    """

    async def produce(buffer: SendBuffer) -> None:
        prefix = RETRY if retry else b""
        async with aclosing(batches):
            async for batch in batches:
                if batch.needs_check and check is not None and not await check(buffer):
                    return None
                blocks = batch.blocks
                if blocks and prefix:
                    blocks, prefix = [prefix + blocks[0], *blocks[1:]], b""
                buffer.put(blocks, len(blocks))
                if not await buffer.wait_until_not_full(STALL_TIMEOUT_S):
                    return buffer.discard_and_end(slow_client_event)
        return buffer.finish(complete=True)

    settings = services_of(request).settings
    return LongResponse(
        produce,
        headers=dict(headers),
        ping=PING,
        ping_s=settings.sse_ping_s,
        max_events=settings.sse_buffer_events,
        responses_in_progress=responses_in_progress_of(request),
        shutdown_event=shutdown_event,
        must_be_complete=must_be_complete,
        on_disconnect=on_disconnect,
        on_close=on_close,
        watch=watch,
    )


def server_event(name: str, record_id: str, detail: str) -> bytes:
    """An event about the connection. It has no id, because it is not in a log. `record_id` is the id of the run or of
    the thread."""
    return encode_block(name, dumps({"run_id": record_id, "detail": detail}))


def slow_client_event(record_id: str) -> bytes:
    """The last event for a client that does not read."""
    detail = "This client reads too slowly and was disconnected. Reconnect with the last event id."
    return server_event("slow_client", record_id, detail)


def shutdown_event(record_id: str) -> bytes:
    """The last event for the clients of a process that stops."""
    return server_event("reconnect", record_id, "This process is stopping. Reconnect with the last event id.")
