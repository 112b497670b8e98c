"""What happens in a thread by the event protocol, as server-sent events: all of it from the first, then live.

The stream has no end. It is cut, not ended, when this process stops or when a client takes nothing: a stream that
ends well tells clients that nothing more will come.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp

from app.http.endpoints import Endpoint
from app.http.event_access import READING, may_read
from app.http.event_bodies import EventsBody
from app.http.inputs import path_id, read_body
from app.http.long_answers import Outbox
from app.http.sse import STALLED_S, streamed
from app.http.wiring import services_of

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
                if batch[0].turn != turn:
                    await check()
                    turn = batch[0].turn
                for start in range(0, len(batch), _PIECE):
                    piece = batch[start : start + _PIECE]
                    blocks = [event.block() for event in piece if wanted.wants(event)]
                    outbox.put(blocks, len(blocks))
                    if not await outbox.room(STALLED_S):
                        return outbox.drop(b"")
        return None

    return streamed(request, feed, all_or_nothing=True)


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
