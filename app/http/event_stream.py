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

from app.errors import AccessRefused, NotFound, SlipwayError
from app.http.access_watch import judge, watch_thread
from app.http.endpoints import Endpoint
from app.http.event_access import READING, may_read
from app.http.event_bodies import EventsBody
from app.http.event_commands import refusal
from app.http.inputs import path_id, read_body
from app.http.long_answers import Outbox
from app.http.sse import STALLED_S, streamed
from app.http.wiring import services_of
from app.serialization.encoding import dumps

_PIECE: Final = 100
"""Events that are put into an outbox at once: the replay of a long thread is never whole in memory."""


async def stream(request: Request) -> ASGIApp:
    """The events of a thread that a filter lets through. The thread need not exist yet."""
    services, thread_id = services_of(request), path_id(request, "thread_id")
    body = await read_body(request, EventsBody)
    wanted = body.filter
    check = await may_read(request, thread_id)

    async def feed(outbox: Outbox) -> None:
        turn = 0
        async with aclosing(services.protocol_log.follow(thread_id, body.since)) as batches:
            async for batch in batches:
                if batch[0].turn != turn and not await judge(check, outbox, _last_word):
                    return None
                turn = batch[0].turn
                for start in range(0, len(batch), _PIECE):
                    piece = batch[start : start + _PIECE]
                    blocks = [event.block() for event in piece if wanted.wants(event)]
                    outbox.put(blocks, len(blocks))
                    if not await outbox.room(STALLED_S):
                        return outbox.drop(b"")
        return outbox.finish(_last_word(NotFound("thread", thread_id)), whole=True)

    watch = watch_thread(request, thread_id, _last_word)
    return streamed(request, feed, all_or_nothing=True, watch=watch)


def _last_word(error: SlipwayError) -> bytes:
    """The frame before a stream ends for good, as the protocol has it."""
    code = "permission_denied" if isinstance(error, AccessRefused) else "no_such_run"
    return b"event: error\r\ndata: %b\r\n\r\n" % dumps(refusal(None, code, str(error)))


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/threads/{thread_id}/stream/events",
        stream,
        "Follow a thread by the event protocol",
        READING,
        body=EventsBody,
        answers="text/event-stream",
    ),
)
