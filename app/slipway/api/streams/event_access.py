"""Authorizes clients of the event protocol. Its requests, commands and sockets use this module for that and no
other."""

from __future__ import annotations

from typing import Final

from starlette.requests import HTTPConnection

from slipway.access.owner_rule import may_create
from slipway.api.auth.access_check import requires, user_of
from slipway.api.auth.authorization import read_value
from slipway.api.streams.access_watch import Check, ThreadAuthorizer

READ_ACCESS: Final = requires("threads:read")
COMMAND_ACCESS: Final = requires(
    "threads:read", optional=("threads:create_run", "assistants:read", "threads:create", "threads:update")
)


async def authorize_read(connection: HTTPConnection, thread_id: str) -> Check:
    """Authorizes reading the events and the state of a thread, which need not exist yet if the scopes of the user
    permit creating it. For others an unused id is 404, so they cannot tell it from a thread of another owner. Returns a
    function that authorizes it again: it is called before each run and each command. Raises `NotFound` and
    `AccessRefused`."""
    authorizer = ThreadAuthorizer(connection, read_value(thread_id), may_be_new=may_create(user_of(connection)))
    await authorizer.check()
    return authorizer.check
