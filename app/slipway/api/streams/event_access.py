"""Who may do what by the event protocol: every request, command and socket of it asks here, and nowhere else."""

from __future__ import annotations

from typing import Final

from starlette.requests import HTTPConnection

from slipway.api.auth.access_check import requires
from slipway.api.auth.authorization import read_value
from slipway.api.streams.access_watch import Check, ThreadAccess

READING: Final = requires("threads:read")
COMMANDS: Final = requires(
    "threads:read", optional=("threads:create_run", "assistants:read", "threads:create", "threads:update")
)


async def may_read(connection: HTTPConnection, thread_id: str) -> Check:
    """Ask whether the events and the state of a thread may be read. It need not exist yet. Whoever follows it asks
    again by what this returns: before each run and each command. Raises `NotFound` and `AccessRefused`."""
    access = ThreadAccess(connection, read_value(thread_id))
    await access.check()
    return access.check
