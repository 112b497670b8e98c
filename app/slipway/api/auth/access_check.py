"""Verifies that each route authorizes what it declares.

    Endpoint(…, requires("threads:read"))     the route handler must call `authorize` for this operation
    Endpoint(…, operators(OPERATE))           the user must have this permission; nothing else is authorized
    Endpoint(…, PUBLIC)                       the request is not authenticated

`with_access_check` wraps every handler and authenticates the user first. Authorizing an operation that the route does
not declare raises `RuntimeError`. If a handler returns a success without having authorized every operation that the
route requires, the check raises `RuntimeError` too: the client receives an error 500 instead of the response. Error
responses need no authorization.

Without an auth file, and for the in-process client, everything is allowed. The check counts operations even then, so
any test of a route detects a missing authorization.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketState

from slipway.access.access_control import AccessControl
from slipway.access.filters import AccessFilter
from slipway.access.handler_values.base import HandlerValue, Operation
from slipway.access.operators import ANONYMOUS, OperatorPermission, is_operator, require_operator
from slipway.access.permissions import Permissions
from slipway.access.scopes import Scope
from slipway.access.users import User, owner_of_user
from slipway.api.auth.authentication import authenticate_request
from slipway.api.responses import JsonResponse, status_of
from slipway.api.websocket_close import CLOSED_BY_STATUS, close_reason
from slipway.errors import AccessRefused, AuthBroken, SlipwayError

Handler = Callable[[Request], Awaitable[Response | ASGIApp]]
_Connection = TypeVar("_Connection", bound=HTTPConnection)
_Result = TypeVar("_Result")
_Value = TypeVar("_Value", bound=HandlerValue)

_SCOPE_KEY: Final = "slipway.access_check"
_FORBIDDEN: Final = 403


@dataclass(frozen=True, slots=True)
class RouteAccess:
    """The operations of a route. `AccessCheck` compares them with what its handler authorized."""

    required: frozenset[Operation]
    """The handler must authorize all of these operations before it returns a success."""
    optional: frozenset[Operation] = frozenset()
    """Operations that the handler authorizes only for some requests."""
    public: bool = False
    operator: str = ""
    """The permission that the user must have, which authorizes the route for all records
    (`slipway.access.operators`). Empty for the routes of the protocol."""
    owners: bool = False
    """Whether a user who has an owner may use a route of operators. Its handler then restricts itself to the records of
    `owner_of`."""
    owner_scopes: tuple[str, ...] = ()
    """For users who have an owner: one of these scopes authorizes the route instead of the permission of operators."""
    probe: bool = False
    """Load balancers may request this route without permission. They receive `{"ok": true}`, unless they accept
    HTML."""


PUBLIC: Final = RouteAccess(frozenset(), public=True)
"""Anybody may send the request. It is not authenticated."""


def operators(
    permission: OperatorPermission, *, owners: bool = False, owner_scopes: tuple[Scope, ...] = ()
) -> RouteAccess:
    """A route for operators, for the records of all users. Its handler authorizes nothing else. With `owners` users who
    have an owner may use it too, for the records of `owner_of` only: the record of another owner is 404. They need the
    permission, or one of `owner_scopes` if there are any."""
    owners = owners or bool(owner_scopes)
    return RouteAccess(frozenset(), operator=permission, owners=owners, owner_scopes=owner_scopes)


def requires(*operations: Operation, optional: tuple[Operation, ...] = (), probe: bool = False) -> RouteAccess:
    """A route whose handler authorizes all of `operations`."""
    return RouteAccess(frozenset(operations), frozenset(optional), probe=probe)


class AccessCheck(Permissions):
    """The permissions of one request, and the operations that its handler has authorized."""

    __slots__ = ("_access", "_authorized")

    def __init__(self, access: RouteAccess, auth: AccessControl | None, user: User | None) -> None:
        super().__init__(auth, user)
        self._access = access
        self._authorized: set[Operation] = set()

    def mark_authorized(self, operation: Operation) -> None:
        """Raises `RuntimeError` when the route does not declare `operation`."""
        if operation not in self._access.required and operation not in self._access.optional:
            raise RuntimeError(f"the handler authorizes {operation}, which its route does not declare")
        self._authorized.add(operation)

    def verify_all_authorized(self) -> None:
        """Raises `RuntimeError` when a required operation was not authorized."""
        if missing := self._access.required - self._authorized:
            raise RuntimeError(f"the handler returned without authorizing {', '.join(sorted(missing))}")


def with_access_check(
    handler: Callable[[_Connection], Awaitable[_Result]], access: RouteAccess, auth: AccessControl | None
) -> Callable[[_Connection], Awaitable[_Result]]:
    """Wraps a handler of requests or of WebSockets. The wrapped handler raises `AccessRefused` when the user cannot be
    authenticated."""

    async def checked(connection: _Connection) -> _Result:
        check = await _open_check(connection, access, auth)
        if access.operator:
            _require_no_owner(check.user, access)
            if not _has_owner_scope(check.user, access):
                require_operator(check.user, access.operator)
        connection.scope[_SCOPE_KEY] = check
        result = await handler(connection)
        if getattr(result, "status_code", 200) < 400:
            check.verify_all_authorized()
        return result

    return checked


def with_socket_access_check(
    handler: Callable[[WebSocket], Awaitable[None]], access: RouteAccess, auth: AccessControl | None
) -> Callable[[WebSocket], Awaitable[None]]:
    """Wraps a handler for a `WebSocketRoute`. An error closes the socket with the code 4000 plus the HTTP status."""
    checked = with_access_check(handler, access, auth)

    async def closed_on_error(websocket: WebSocket) -> None:
        try:
            await checked(websocket)
        except SlipwayError as error:
            if websocket.application_state is WebSocketState.CONNECTING:
                await websocket.accept()
            reason = "" if isinstance(error, AuthBroken) else close_reason(str(error))
            await websocket.close(CLOSED_BY_STATUS + status_of(error), reason)

    return closed_on_error


def with_probe_response(handler: Handler) -> Handler:
    """Wraps the handler of a page that load balancers use as a probe (`RouteAccess.probe`)."""

    async def respond(request: Request) -> Response | ASGIApp:
        try:
            return await handler(request)
        except AccessRefused:
            if "text/html" in request.headers.get("accept", ""):
                raise
            return JsonResponse({"ok": True, "services": {}})

    return respond


def _require_no_owner(user: User | None, access: RouteAccess) -> None:
    """Raises `AccessRefused` for a user who has an owner, on a route for the records of all owners."""
    if not access.owners and (owner := owner_of_user(user)) is not None:
        raise AccessRefused(_FORBIDDEN, f"the route is for all owners, and the request is restricted to {owner!r}")


def _has_owner_scope(user: User | None, access: RouteAccess) -> bool:
    """Whether the user has an owner, and a scope that is enough for the records of this owner."""
    return owner_of_user(user) is not None and any(is_operator(user, scope) for scope in access.owner_scopes)


async def _open_check(connection: HTTPConnection, access: RouteAccess, auth: AccessControl | None) -> AccessCheck:
    if auth is None or access.public:
        return AccessCheck(access, None, None)
    user = await authenticate_request(connection, auth)
    return AccessCheck(access, None if user is None else auth, user)


def access_check_of(connection: HTTPConnection) -> AccessCheck:
    """The access check of this request. It exists inside handlers that `with_access_check` wraps."""
    check: AccessCheck = connection.scope[_SCOPE_KEY]
    return check


def user_of(connection: HTTPConnection) -> User | None:
    """The user who sends the request; None without an auth file and for the in-process client."""
    return access_check_of(connection).user


def actor_of(connection: HTTPConnection) -> str:
    """Who sends the request, for audit trails: the identity of the user, or `anonymous`."""
    user = user_of(connection)
    return ANONYMOUS if user is None else user.identity


def owner_of(connection: HTTPConnection) -> str | None:
    """The owner to whose records the request is restricted; None if it may use the records of all owners."""
    return owner_of_user(user_of(connection))


async def authorize(connection: HTTPConnection, value: _Value) -> tuple[_Value, AccessFilter]:
    """Authorizes one operation. Returns the value with the changes of the authorize handler, and the filter that its
    records must match. Raises `AccessRefused` and `AuthBroken`."""
    return await access_check_of(connection).authorize(value)
