"""Tickets, with which pages open event streams and WebSockets: browsers send no headers with them."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.api.auth.access_check import requires, user_of
from slipway.api.auth.authorization import authorize_read
from slipway.api.endpoints import Endpoint
from slipway.api.request_parsing import path_id
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.api.streams import event_access
from slipway.browser_access.random_texts import new_text
from slipway.browser_access.stream_tickets import TICKET_LASTS_S, path_of
from slipway.errors import NotFound

_THREAD: Final = "/threads/{thread_id}"
_READS: Final = requires("threads:read")
_RUN: Final = f"{_THREAD}/runs/{{run_id}}"


async def run_ticket(request: Request) -> Response:
    """A ticket for the stream of a run."""
    thread_id, run_id = path_id(request, "thread_id"), path_id(request, "run_id")
    await authorize_read(request, thread_id, run_id)
    await services_of(request).runs.get(thread_id, run_id)
    return await _ticket(request)


async def thread_ticket(request: Request) -> Response:
    """A ticket for the stream of a thread."""
    thread_id = path_id(request, "thread_id")
    await authorize_read(request, thread_id)
    if await services_of(request).threads.status(thread_id) is None:
        raise NotFound("thread", thread_id)
    return await _ticket(request)


async def socket_ticket(request: Request) -> Response:
    """A ticket for the WebSocket of a thread, which need not exist yet."""
    await event_access.authorize_read(request, path_id(request, "thread_id"))
    return await _ticket(request)


async def _ticket(request: Request) -> Response:
    """The ticket for the path before `/ticket`. Without access control nobody checks it."""
    path, user = path_of(request.scope).removesuffix("/ticket"), user_of(request)
    ticket = new_text() if user is None else await services_of(request).stream_tickets.create(user, path)
    content = {"ticket": ticket, "path": f"{path}?ticket={ticket}", "expires_in_s": TICKET_LASTS_S}
    return JsonResponse(content, headers={"cache-control": "no-store"})


ENDPOINTS: Final = (
    Endpoint("POST", f"{_RUN}/stream/ticket", run_ticket, "A ticket for the stream of a run", _READS),
    Endpoint("POST", f"{_THREAD}/stream/ticket", thread_ticket, "A ticket for the stream of a thread", _READS),
    Endpoint(
        "POST", f"{_THREAD}/stream/events/ticket", socket_ticket, "A ticket for the WebSocket of a thread", _READS
    ),
)
