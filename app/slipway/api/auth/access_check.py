"""Who may do what, route by route: a route that does not say what it needs does not exist.

    Endpoint(…, needs("threads:read"))     asks the auth file, by `permit`, before it answers
    Endpoint(…, PUBLIC)                    for everybody

`guarded` stands around every handler. It finds out who calls, and a handler that answers without having asked for
everything that its route needs is not heard: the client gets an error. So is one that asks for what was not declared.
An answer that says what is wrong needs nothing.
Without an auth file, and for the graphs' own in-process client, everything is allowed; the rule is kept all the same,
so that any test of a route notices.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketState

from slipway.access.auth_file import CustomAuth
from slipway.access.filters import Filter
from slipway.access.handler_values.base import Operation, Value
from slipway.access.permissions import Permissions
from slipway.access.users import User
from slipway.api.auth.authentication import authenticate_request
from slipway.api.responses import Json, status_of
from slipway.api.websocket_close import CLOSED_BY_STATUS, close_reason
from slipway.errors import AccessRefused, AuthBroken, SlipwayError

Handler = Callable[[Request], Awaitable[Response | ASGIApp]]
_Connection = TypeVar("_Connection", bound=HTTPConnection)
_Answer = TypeVar("_Answer")
_Value = TypeVar("_Value", bound=Value)

_GATE: Final = "slipway.gate"


@dataclass(frozen=True, slots=True)
class Access:
    """What a route needs. `may` are operations that it asks for only where the request calls for them. One that is a
    `probe` tells those who may not enter that the server is up, unless they want a page."""

    needs: frozenset[Operation]
    may: frozenset[Operation] = frozenset()
    public: bool = False
    probe: bool = False


PUBLIC: Final = Access(frozenset(), public=True)
"""For everybody, and nobody is asked who they are."""


def needs(*operations: Operation, may: tuple[Operation, ...] = (), probe: bool = False) -> Access:
    """Each of these operations."""
    return Access(frozenset(operations), frozenset(may), probe=probe)


class Gate(Permissions):
    """One request at its route: who calls, and what was asked. Without `auth` everything is allowed."""

    __slots__ = ("_access", "_asked")

    def __init__(self, access: Access, auth: CustomAuth | None, user: User | None) -> None:
        super().__init__(auth, user)
        self._access = access
        self._asked: set[Operation] = set()

    def note(self, operation: Operation) -> None:
        """It is asked for now, or need not be."""
        if operation not in self._access.needs and operation not in self._access.may:
            raise RuntimeError(f"the route does not declare {operation}, which it asks for")
        self._asked.add(operation)

    def close(self) -> None:
        """Raise when something that the route needs was never asked for."""
        if forgotten := self._access.needs - self._asked:
            raise RuntimeError(f"the route answered without asking for {', '.join(sorted(forgotten))}")


def guarded(
    handler: Callable[[_Connection], Awaitable[_Answer]], access: Access, auth: CustomAuth | None
) -> Callable[[_Connection], Awaitable[_Answer]]:
    """`handler` behind a gate; it may be a WebSocket's. Raises `AccessRefused` for a caller who is not let in."""

    async def entered(connection: _Connection) -> _Answer:
        gate = await _gate(connection, access, auth)
        connection.scope[_GATE] = gate
        answer = await handler(connection)
        if getattr(answer, "status_code", 200) < 400:
            gate.close()
        return answer

    return entered


def guarded_socket(
    handler: Callable[[WebSocket], Awaitable[None]], access: Access, auth: CustomAuth | None
) -> Callable[[WebSocket], Awaitable[None]]:
    """As `guarded`, for a `WebSocketRoute`: who is not let in is told so by the code that closes the socket, 4000 and
    the HTTP status."""
    entered = guarded(handler, access, auth)

    async def answered(websocket: WebSocket) -> None:
        try:
            await entered(websocket)
        except SlipwayError as error:
            if websocket.application_state is WebSocketState.CONNECTING:
                await websocket.accept()
            told = "" if isinstance(error, AuthBroken) else close_reason(str(error))
            await websocket.close(CLOSED_BY_STATUS + status_of(error), told)

    return answered


def probed(handler: Handler) -> Handler:
    """For load balancers that ask for a page: `handler`, or that the server is up."""

    async def answered(request: Request) -> Response | ASGIApp:
        try:
            return await handler(request)
        except AccessRefused:
            if "text/html" in request.headers.get("accept", ""):
                raise
            return Json({"ok": True, "services": {}})

    return answered


async def _gate(connection: HTTPConnection, access: Access, auth: CustomAuth | None) -> Gate:
    if auth is None or access.public:
        return Gate(access, None, None)
    user = await authenticate_request(connection, auth)
    return Gate(access, None if user is None else auth, user)


def gate_of(connection: HTTPConnection) -> Gate:
    """The gate that this request came through."""
    gate: Gate = connection.scope[_GATE]
    return gate


def user_of(connection: HTTPConnection) -> User | None:
    """Who calls; None when nobody is asked."""
    return gate_of(connection).user


async def permit(connection: HTTPConnection, value: _Value) -> tuple[_Value, Filter]:
    """Ask the auth file: what is to be done, as the authorize handler leaves it, and the records that the caller may do
    it to. Raises `AccessRefused` or `AuthBroken`."""
    return await gate_of(connection).ask(value)
