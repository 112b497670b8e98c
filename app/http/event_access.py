"""Who may do what by the event protocol: every request, command and socket of it asks here, and nowhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from starlette.requests import HTTPConnection

from app.http.access import needs, permit
from app.http.permits import permit_run, permit_use
from app.http.wiring import services_of
from app.runs.runs import NewRun

READING: Final = needs("threads:read")
COMMANDS: Final = needs(
    "threads:read", may=("threads:create_run", "assistants:read", "threads:create", "threads:update")
)

Check = Callable[[], Awaitable[None]]
"""Raises `NotFound` when the thread has turned out to be somebody else's."""


async def may_read(connection: HTTPConnection, thread_id: str) -> Check:
    """Ask whether the events and the state of a thread may be read. It need not exist yet, and may be made anew while
    it is followed: who follows it checks again with every run. Raises `NotFound` and `AccessRefused`."""
    only = await permit(connection, "threads:read", {"thread_id": UUID(thread_id)})
    threads = services_of(connection).threads

    async def check() -> None:
        await threads.check(thread_id, only, may_be_new=True)

    await check()
    return check


async def may_use(connection: HTTPConnection, assistant_id: str) -> None:
    """Ask whether an assistant may be run, before anything is read of it. Raises `NotFound` and `AccessRefused`."""
    await permit_use(connection, assistant_id)


async def may_run(connection: HTTPConnection, new: NewRun) -> NewRun:
    """Ask for a run: the run as the auth file leaves it. Raises `NotFound` and `AccessRefused`."""
    return await permit_run(connection, new)
