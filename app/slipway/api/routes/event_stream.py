"""The events of a thread in the event protocol, as server-sent events: existing events, then new events.

The stream ends with an error event when the thread is deleted or the client is no longer authorized to read it. When
this process stops, or the client does not read, the stream is closed without its terminating chunk, because clients
treat a proper end as the end of the thread.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp

from slipway.api.bodies.events import EventsBody
from slipway.api.endpoints import Endpoint
from slipway.api.request_parsing import path_id, read_body
from slipway.api.shared_objects import services_of
from slipway.api.streams.access_watch import recheck, watch_thread
from slipway.api.streams.command_responses import command_error_response
from slipway.api.streams.event_access import READ_ACCESS, authorize_read
from slipway.api.streams.event_streams import Blocks, StreamOptions, stream_response
from slipway.api.streams.response_lifetime import ResponseLifetime
from slipway.errors import AccessRefused, NotFound, SlipwayError
from slipway.serialization.json_encoding import dumps
from slipway.sse_frames import encode_block

_BATCH: Final = 100
"""Events of one batch. So the events of a long thread are never all in memory at once."""


async def stream(request: Request) -> ASGIApp:
    """The events of a thread that match a filter. The thread need not exist yet."""
    services, thread_id = services_of(request), path_id(request, "thread_id")
    body = await read_body(request, EventsBody)
    event_filter = body.filter
    check = await authorize_read(request, thread_id)

    async def blocks() -> AsyncGenerator[Blocks, None]:
        ordinal = 0
        async with aclosing(services.protocol_log.follow(thread_id, body.since)) as batches:
            async for batch in batches:
                for start in range(0, len(batch), _BATCH):
                    events = [event for event in batch[start : start + _BATCH] if event_filter.matches(event)]
                    yield Blocks([event.block() for event in events], needs_check=batch[0].ordinal != ordinal)
                    ordinal = batch[0].ordinal
        yield Blocks([_final_event(NotFound("thread", thread_id))])

    return stream_response(
        request,
        blocks(),
        StreamOptions(
            prefix=b"",
            must_be_complete=True,
            check=partial(recheck, check, final_event=_final_event),
            lifetime=ResponseLifetime(watch=watch_thread(request, thread_id, _final_event)),
            final_event=_final_event,
        ),
    )


def _final_event(error: SlipwayError) -> bytes:
    """The last event of a stream that the client must not resume, as the protocol defines it."""
    code = "permission_denied" if isinstance(error, AccessRefused) else "no_such_run"
    return encode_block("error", dumps(command_error_response(None, code, str(error))))


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/threads/{thread_id}/stream/events",
        stream,
        "Follow a thread by the event protocol",
        READ_ACCESS,
        body=EventsBody,
        media_type="text/event-stream",
    ),
)
