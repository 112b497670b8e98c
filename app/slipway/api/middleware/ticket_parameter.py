"""Takes the ticket out of the address of a stream."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from slipway.browser_access.stream_tickets import TICKET_KEY

_PARAMETER: Final = b"ticket="
_STREAMS: Final = ("/stream", "/stream/events")
"""The ends of the paths that tickets open. Elsewhere a parameter of this name belongs to the host app."""


class TicketParameter:
    """Moves the query parameter `ticket` to the scope of the request, for authentication. So nothing after it sees the
    ticket: no log, no auth file, no host app, no error. It is the first middleware and changes the scope of the server
    itself, which logs the address of a WebSocket."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        query: bytes = scope.get("query_string", b"")
        if _PARAMETER in query and scope["path"].endswith(_STREAMS):
            parts = query.split(b"&")
            tickets = [part[len(_PARAMETER) :] for part in parts if part.startswith(_PARAMETER)]
            if tickets:
                scope["query_string"] = b"&".join(part for part in parts if not part.startswith(_PARAMETER))
                scope[TICKET_KEY] = tickets[0].decode("latin-1") if len(tickets) == 1 else ""
        return self._app(scope, receive, send)
