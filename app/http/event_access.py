"""Who may do what by the event protocol: every request, command and socket of it asks here, and nowhere else.

Everybody may, as on every other route. Where that is decided by a caller's identity, it is found on `connection`: a
request, or the handshake of a socket, whose only ways to bring one are headers, cookies and the query. What is
refused raises; a socket then closes with 4000 and the status.
"""

from __future__ import annotations

from starlette.requests import HTTPConnection

from app.run_requests import RunRequest


async def may_read(connection: HTTPConnection, thread_id: str) -> None:
    """Whether the events and the state of a thread may be read: (threads, read)."""


async def may_run(connection: HTTPConnection, thread_id: str, request: RunRequest) -> None:
    """Whether the run that is asked for may be made: (threads, create_run)."""
