"""The access check: a handler that does not authorize what its route declares is an error, and WebSockets are closed
with the HTTP status."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import Auth
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from slipway.access.access_control import AccessControl
from slipway.access.auth_file import AuthFile
from slipway.access.handler_values.threads import ThreadsRead
from slipway.access.permissions import Permissions
from slipway.access.users import user_from_result
from slipway.api.auth.access_check import RouteAccess, authorize, requires, with_access_check, with_socket_access_check
from slipway.api.responses import empty_response
from slipway.errors import AccessRefused, AuthBroken
from slipway.graphs.official_sections import AuthSection

_A_THREAD = ThreadsRead(thread_id=uuid4())


def make_request() -> Request:
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": [], "query_string": b""}
    return Request(scope)


async def authorizes_nothing(request: Request) -> Response:
    return empty_response()


async def authorizes_read(request: Request) -> Response:
    await authorize(request, _A_THREAD)
    return empty_response()


@pytest.mark.parametrize(
    ("access", "message"),
    [
        (requires("threads:read", "threads:search"), "without authorizing threads:search"),
        (requires("threads:delete"), "declare"),
    ],
)
async def test_a_handler_must_authorize_what_its_route_declares(access: RouteAccess, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        await with_access_check(authorizes_read, access, None)(make_request())


async def test_a_handler_that_authorizes_nothing_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="without authorizing threads:read"):
        await with_access_check(authorizes_nothing, requires("threads:read"), None)(make_request())
    assert (
        await with_access_check(authorizes_nothing, requires(optional=("threads:read",)), None)(make_request())
    ).status_code == 204


async def test_an_error_response_needs_no_authorization() -> None:
    async def not_found(request: Request) -> Response:
        return Response(status_code=404)

    assert (await with_access_check(not_found, requires("threads:read"), None)(make_request())).status_code == 404


@pytest.fixture
def auth() -> AccessControl:
    """The token is the name of the user. Only ann can read; the handler raises for dan."""
    handlers = Auth()

    @handlers.authenticate
    async def authenticate(query_params: dict[str, str]) -> str:
        if "token" not in query_params:
            raise Auth.exceptions.HTTPException(401, "who are you?")
        return query_params["token"]

    @handlers.on.threads.read
    async def read(ctx: Auth.types.AuthContext, value: Any) -> bool:
        if ctx.user.identity == "dan":
            raise KeyError("secret-of-the-directory")
        return ctx.user.identity == "ann"

    return AccessControl(AuthFile(handlers, AuthSection()))


@pytest.mark.parametrize("status", [400, 403, 500, 503, 599])
async def test_an_http_exception_of_a_handler_is_the_response(status: int) -> None:
    handlers = Auth()

    @handlers.authenticate
    async def authenticate() -> str:
        raise Auth.exceptions.HTTPException(status, "later", {"retry-after": "7"})

    @handlers.on
    async def deny(ctx: Auth.types.AuthContext, value: Any) -> None:
        raise Auth.exceptions.HTTPException(status, "later", {"retry-after": "7"})

    auth = AccessControl(AuthFile(handlers, AuthSection()))
    for call in (
        lambda: auth.authenticate({"headers": {}}),
        lambda: auth.authorize(user_from_result("ann"), "threads", "read", {}),
    ):
        with pytest.raises(AccessRefused, match="later") as error:
            await call()
        assert (error.value.status, error.value.headers) == (status, {"retry-after": "7"})


def test_a_denied_websocket_is_closed_with_the_http_status(auth: AccessControl) -> None:
    async def send_welcome(websocket: WebSocket) -> None:
        await authorize(websocket, _A_THREAD)
        await websocket.accept()
        await websocket.send_text("welcome")
        await websocket.close()

    app = Starlette(
        routes=[WebSocketRoute("/welcome", with_socket_access_check(send_welcome, requires("threads:read"), auth))]
    )
    client = TestClient(app)
    with client.websocket_connect("/welcome?token=ann") as socket:
        assert socket.receive_text() == "welcome"
    denied = [
        ("/welcome", 4401, "who are you?"),
        ("/welcome?token=bob", 4403, "threads:read is not allowed"),
        ("/welcome?token=dan", 4500, ""),
    ]
    for path, code, reason in denied:
        with client.websocket_connect(path) as socket, pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
        assert (closed.value.code, closed.value.reason) == (code, reason)


@pytest.fixture
def shared_future() -> tuple[AccessControl, dict[str, asyncio.Future[str]]]:
    """An auth file whose handlers await one future for all requests, and that future as `directory`."""
    handlers, shared = Auth(), dict[str, asyncio.Future[str]]()

    @handlers.authenticate
    async def authenticate() -> str:
        return await shared["directory"]

    @handlers.on.threads.read
    async def read(ctx: Auth.types.AuthContext, value: Any) -> bool:
        return bool(await shared["directory"])

    return AccessControl(AuthFile(handlers, AuthSection())), shared


async def test_a_handler_fails_when_another_request_cancels_their_shared_future(
    shared_future: tuple[AccessControl, dict[str, asyncio.Future[str]]],
) -> None:
    """It is not cancelled itself: that would end background work, and leave a stream waiting without end."""
    auth, shared = shared_future
    user = user_from_result("ann")
    for call in (lambda: auth.authenticate({}), lambda: auth.authorize(user, "threads", "read", {})):
        shared["directory"] = asyncio.get_running_loop().create_future()
        first, second = (asyncio.ensure_future(call()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(AuthBroken, match="cancelled"):
            await second
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_background_work_stops_waiting_for_a_handler(
    shared_future: tuple[AccessControl, dict[str, asyncio.Future[str]]],
) -> None:
    auth, shared = shared_future
    shared["directory"] = asyncio.get_running_loop().create_future()
    with pytest.raises(AuthBroken, match="did not finish within"):
        await Permissions(auth, user_from_result("ann"), within_s=0.01).authorize(_A_THREAD)
