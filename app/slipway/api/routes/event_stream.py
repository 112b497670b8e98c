"""What happens in a thread by the event protocol, as server-sent events: all of it from the first, then live.

The stream ends when its thread is deleted or its client may not read it any more, with a frame that says so. It is
cut, not ended, when this process stops or when a client takes nothing: a stream that ends well tells clients that
nothing more will come.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp

from slipway.api.bodies.events import EventsBody
from slipway.api.endpoints import Endpoint
from slipway.api.lifespan_state import services_of
from slipway.api.request_parsing import path_id, read_body
from slipway.api.routes.event_commands import refusal
from slipway.api.streams.access_watch import judge, watch_thread
from slipway.api.streams.event_access import READING, may_read
from slipway.api.streams.event_streams import STALL_TIMEOUT_S, stream_response
from slipway.api.streams.long_response import SendBuffer
from slipway.errors import AccessRefused, NotFound, SlipwayError
from slipway.serialization.json_encoding import dumps
from slipway.sse_frames import encode_block

_PIECE: Final = 100
"""Events that are put into an buffer at once: the replay of a long thread is never whole in memory."""


async def stream(request: Request) -> ASGIApp:
    """The events of a thread that a filter lets through. The thread need not exist yet."""
    services, thread_id = services_of(request), path_id(request, "thread_id")
    body = await read_body(request, EventsBody)
    wanted = body.filter
    check = await may_read(request, thread_id)

    async def feed(buffer: SendBuffer) -> None:
        turn = 0
        async with aclosing(services.protocol_log.follow(thread_id, body.since)) as batches:
            async for batch in batches:
                if batch[0].turn != turn and not await judge(check, buffer, _last_word):
                    return None
                turn = batch[0].turn
                for start in range(0, len(batch), _PIECE):
                    piece = batch[start : start + _PIECE]
                    blocks = [event.block() for event in piece if wanted.wants(event)]
                    buffer.put(blocks, len(blocks))
                    if not await buffer.room(STALL_TIMEOUT_S):
                        return buffer.drop(b"")
        return buffer.finish(_last_word(NotFound("thread", thread_id)), whole=True)

    watch = watch_thread(request, thread_id, _last_word)
    return stream_response(request, feed, all_or_nothing=True, watch=watch)


def _last_word(error: SlipwayError) -> bytes:
    """The frame before a stream ends for good, as the protocol has it."""
    code = "permission_denied" if isinstance(error, AccessRefused) else "no_such_run"
    return encode_block("error", dumps(refusal(None, code, str(error))))


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/threads/{thread_id}/stream/events",
        stream,
        "Follow a thread by the event protocol",
        READING,
        body=EventsBody,
        media_type="text/event-stream",
    ),
)
