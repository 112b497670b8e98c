"""Counts requests while they are authenticated: those of users by user, those without valid credentials by address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final

from starlette.requests import HTTPConnection

from slipway.access.users import User
from slipway.api.shared_objects import services_of
from slipway.errors import AccessRefused, RateLimited
from slipway.rate_limits.allowance import Allowance
from slipway.rate_limits.clients import RateClient, address_client, user_client
from slipway.rate_limits.limiter import RateLimiter

ALLOWANCES_KEY: Final = "slipway.allowances"
"""The member of a request's scope that has what its client has left of its rates."""
RATES_KEY: Final = "slipway.rates"
"""The member of a request's scope with the `RateLimiter`, which the middleware `RateLimits` sets. Requests that this
process makes itself do not have it, and are not counted."""
ON_END_KEY: Final = "slipway.on_end"
"""The member of a request's scope with what is closed when its response has ended."""

_UNAUTHENTICATED: Final = 401
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_READING_POSTS: Final = ("/search", "/count", "/history", "/namespaces", "/state/checkpoint", "/stream/events")
"""The ends of the paths of POST requests that change nothing."""


def client_of(connection: HTTPConnection) -> RateClient:
    """The address of the client, as the proxies report it (`ClientAddress`)."""
    return address_client("" if connection.client is None else connection.client.host)


def writes(connection: HTTPConnection) -> bool:
    """Whether a request may change something."""
    scope = connection.scope
    method = scope.get("method", "GET")
    return method not in _READING and not (method == "POST" and scope["path"].endswith(_READING_POSTS))


@asynccontextmanager
async def counted_by_address(connection: HTTPConnection) -> AsyncIterator[None]:
    """Around an authentication: a failed one is counted for the address, and none is tried for an address that has
    failed too often. Raises `RateLimited`."""
    rates = _rates_of(connection)
    if rates is None or rates.policies.per_address is None:
        yield
        return
    address = client_of(connection)
    with _allowances_shown(connection):
        await rates.check_address(address)
    try:
        yield
    except AccessRefused as error:
        if error.status == _UNAUTHENTICATED:
            await _count(connection, rates.count_address(address))
        raise


async def count_user(connection: HTTPConnection, user: User) -> None:
    """Counts a request. Raises `RateLimited`."""
    rates = _rates_of(connection)
    if rates is not None and rates.limits_users:
        await _count(connection, rates.count_user(user_client(user.identity), writes=writes(connection)))


async def count_request_of_address(connection: HTTPConnection) -> None:
    """Counts a request of an open server, which has no users. Raises `RateLimited`."""
    if (rates := _rates_of(connection)) is not None:
        await _count(connection, rates.count_address(client_of(connection)))


async def count_command(connection: HTTPConnection, user: User | None, *, may_write: bool) -> None:
    """Counts a command on a WebSocket as a request. Raises `RateLimited`."""
    rates = _rates_of(connection)
    if rates is None:
        return
    if user is None:
        await rates.count_address(client_of(connection))
    else:
        await rates.count_user(user_client(user.identity), writes=may_write)


def _rates_of(connection: HTTPConnection) -> RateLimiter | None:
    return connection.scope.get(RATES_KEY)


async def _count(connection: HTTPConnection, counting: Coroutine[Any, Any, list[Allowance]]) -> None:
    with _allowances_shown(connection):
        if allowances := await counting:
            connection.scope[ALLOWANCES_KEY] = allowances


@contextmanager
def _allowances_shown(connection: HTTPConnection) -> Iterator[None]:
    """The response for a request above its rate has the headers too."""
    try:
        yield
    except RateLimited as error:
        connection.scope[ALLOWANCES_KEY] = error.allowances
        raise


async def hold_stream_slot(connection: HTTPConnection, user: User | None) -> None:
    """The request has one of the streams of its user until its response has ended; without a user, of its address.
    Raises `TooManyStreams`."""
    on_end: list[AsyncExitStack] | None = connection.scope.get(ON_END_KEY)
    slots = services_of(connection).stream_slots
    if on_end is None or not slots.are_limited:  # on_end is None for a request that this process makes itself
        return
    client = client_of(connection) if user is None else user_client(user.identity)
    held = AsyncExitStack()
    await held.enter_async_context(slots.held(client))
    on_end.append(held)
