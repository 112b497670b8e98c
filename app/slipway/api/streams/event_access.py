"""Authorizes everything that clients do with the event protocol: its requests, commands and sockets call no other
function for it."""

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


async def authorize_read(connection: HTTPConnection, thread_id: str) -> Check:
    """Authorizes reading the events and the state of a thread, which need not exist yet. A follower calls the returned
    function again before each run and each command. Raises `NotFound` and `AccessRefused`."""
    access = ThreadAccess(connection, read_value(thread_id))
    await access.check()
    return access.check
