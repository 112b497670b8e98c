"""Ends long responses when the API key or the token of their client is revoked or expires."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

from starlette.requests import HTTPConnection

from slipway.api.auth.access_check import access_check_of
from slipway.api.auth.authentication import is_in_process
from slipway.api.streams.access_watch import FinalEvent
from slipway.api.streams.response_control import ResponseControl
from slipway.api.streams.response_lifetime import ResponseLifetime
from slipway.errors import AccessRefused


def watch_credentials(
    connection: HTTPConnection, on_end: Callable[[AccessRefused], None]
) -> AbstractContextManager[None]:
    """Calls `on_end` once if the credentials of the client are revoked or expire inside the block. A request of this
    process itself acts for a user, but has no credentials that could end."""
    check = access_check_of(connection)
    if check.auth is None or check.user is None or is_in_process(connection.scope):
        return nullcontext()
    return check.auth.watch(check.user, on_end)


def while_credentials_last(
    connection: HTTPConnection, lifetime: ResponseLifetime, final_event: FinalEvent
) -> ResponseLifetime:
    """The same lifetime, in which the response ends with `final_event` when the credentials of the client do."""
    if access_check_of(connection).auth is None:
        return lifetime
    watch = lifetime.watch

    @contextmanager
    def watching(control: ResponseControl) -> Iterator[None]:
        with (
            watch_credentials(connection, lambda error: control.revoke(final_event(error))),
            nullcontext() if watch is None else watch(control),
        ):
            yield

    return replace(lifetime, watch=watching)
