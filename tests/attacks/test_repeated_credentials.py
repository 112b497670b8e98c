"""A request with two credentials: one of them must not be checked while the other one is cached or used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import Auth
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from slipway.access.auth_file import AuthFile
from slipway.api.in_process_client.app import InProcessApp
from slipway.api.in_process_client.transport import InProcessTransport
from slipway.api.middleware.repeated_headers import RepeatedHeaders
from slipway.api.openapi import plain_path
from slipway.clock import Clock
from slipway.graphs.langgraph_json import read
from slipway.graphs.official_sections import AuthCacheSection, AuthSection
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.attacks.rows import ALL_ROUTES
from tests.auth.samples import NEW
from tests.auth.test_http_section import Desk
from tests.http.conftest import Served, client, serving

__all__ = ["client"]

ANN, BOB = ("authorization", "Bearer ann-token"), ("authorization", "Bearer bob-token")
CACHE = {"cache_keys": ["authorization", "X-Desk"], "ttl_seconds": 60}


@pytest.fixture
async def served(tmp_path: Path, valkey_url: str, keys: Keys) -> AsyncIterator[Served]:
    """A server that caches users, with a host app that requires a user."""
    http = {"app": "./webapp.py:app", "enable_custom_route_auth": True}
    auth = {"path": "./auth.py:auth", "cache": CACHE}
    file = Desk(tmp_path, valkey_url, keys).file(auth=auth, http=http)
    settings = Settings.from_values({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": file})
    assert read(file).auth.cache is not None
    async with serving(settings, await Registry.load(file)) as running:
        yield running


async def owner_of_new_thread(client: httpx.AsyncClient, *headers: tuple[str, str]) -> Any:
    """The owner of a thread that is created with these headers, or the status of a failed request."""
    response = await client.post("/threads", json={}, headers=list(headers))
    return response.json()["metadata"]["owner"] if response.status_code == 200 else response.status_code


async def test_every_route_rejects_a_repeated_authorization_header(client: httpx.AsyncClient) -> None:
    responses = {}
    for endpoint in ALL_ROUTES.values():
        path = plain_path(endpoint.path).format_map(_AnyIds())
        responses[f"{endpoint.method} {path}"] = await client.request(endpoint.method, path, headers=[ANN, BOB])
    for path in ("/hello", "/nowhere"):
        responses[f"GET {path}"] = await client.get(path, headers=[ANN, BOB])
    assert {name: response.status_code for name, response in responses.items()} == dict.fromkeys(responses, 400)
    assert all("authorization" in response.json()["detail"] for response in responses.values() if response.content)


async def test_every_header_that_can_identify_a_user_is_rejected_when_repeated(client: httpx.AsyncClient) -> None:
    names = ("Authorization", "x-api-key", "cookie", "proxy-authorization", "x-desk", "origin", "x-auth-scheme")
    for name in names:
        for path in ("/threads/search", "/hello"):
            twice = [("authorization", "Bearer ann-token"), (name, "a"), (name.lower(), "a")]
            response = await client.post(path, json={}, headers=twice)
            assert (response.status_code, name.lower() in response.json()["detail"]) == (400, True), name


class _AnyIds(dict[str, str]):
    """An id for every parameter of a path."""

    def __missing__(self, name: str) -> str:
        return "greet" if name in ("graph_id", "namespace") else NEW


async def test_the_cache_never_returns_the_user_of_another_token(client: httpx.AsyncClient) -> None:
    """Whatever the order of two tokens, and whichever user is cached already."""
    for _ in range(2):
        for pair in ((ANN, BOB), (BOB, ANN), (ANN, ("authorization", "no-token"))):
            assert await owner_of_new_thread(client, *pair) == 400
        assert await owner_of_new_thread(client, ANN) == "ann"
        assert await owner_of_new_thread(client, BOB) == "bob"
    assert await owner_of_new_thread(client, ("authorization", "Bearer ann-token, Bearer bob-token")) == 401
    assert await owner_of_new_thread(client, ("authorization", "no-token")) == 401


async def test_a_websocket_with_repeated_credentials_is_closed(served: Served, client: httpx.AsyncClient) -> None:
    thread = (await client.post("/threads", json={}, headers=[ANN])).json()["thread_id"]
    url = f"{served.url.replace('http', 'ws', 1)}/threads/{thread}/stream/events"
    for headers in ([ANN, BOB], [BOB, ANN], [ANN, ("cookie", "a=1"), ("cookie", "a=2")]):
        async with asyncio.timeout(30), connect(url, additional_headers=headers) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4400


async def test_the_in_process_client_rejects_repeated_credentials(served: Served) -> None:
    app = InProcessApp(served.app, {"services": served.services})
    async with httpx.AsyncClient(transport=InProcessTransport(app), base_url="http://api") as client:
        assert (await client.post("/threads", json={}, headers=[ANN, BOB])).status_code == 400


async def test_other_headers_can_be_repeated(client: httpx.AsyncClient) -> None:
    sent = [ANN, ("accept", "text/plain"), ("accept", "application/json"), ("x-forwarded-for", "a")]
    assert await owner_of_new_thread(client, *sent) == "ann"


@pytest.mark.parametrize(
    "head",
    [
        "content-length: 2\r\ncontent-length: 3",
        "content-length: 2\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "content-length: 2, 3",
        "content-length : 2",
    ],
)
async def test_a_request_with_two_body_lengths_is_rejected(served: Served, head: str) -> None:
    """Otherwise a proxy and the server could disagree where a request ends, and the remainder would be a request."""
    smuggled = "0\r\n\r\nPOST /threads HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
    response = await raw_response(served, head, smuggled)
    assert response.startswith(b"HTTP/1.1 400 ")
    assert response.count(b"HTTP/1.1 ") == 1


async def test_a_request_with_two_hosts_is_rejected(served: Served) -> None:
    response = await raw_response(served, "host: other.example\r\nconnection: close\r\ncontent-length: 2", "{}")
    assert response.startswith(b"HTTP/1.1 400 ")
    assert b"the header host identifies the user or the target" in response


async def raw_response(served: Served, head: str, body: str) -> bytes:
    """All bytes of the response to a request that no client library would send."""
    host = served.url.removeprefix("http://")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write(f"POST /threads HTTP/1.1\r\nhost: {host}\r\n{head}\r\n\r\n{body}".encode())
    async with asyncio.timeout(30):
        response = await reader.read()
    writer.close()
    return response


# the cache of users


class ManualClock(Clock):
    """A clock whose time the test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


def auth_file_with_cache(handler: Any, *names: str, clock: Clock | None = None) -> AuthFile:
    """An auth file that caches users by these headers."""
    auth = Auth()
    auth.authenticate(handler)
    section = AuthCacheSection(cache_keys=list(names), ttl_seconds=60)
    return AuthFile(auth, AuthSection(cache=section), clock)


def handler_arguments(
    path: str = "/a", method: str = "GET", query: bytes = b"", client: str = "::1", **headers: str
) -> Any:
    """Everything that an authenticate handler can have as a parameter."""
    raw = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    scope = {"type": "http", "path": path, "query_string": query, "client": (client, 1)}
    arguments = {"path": path, "method": method, "headers": raw, "authorization": headers.get("authorization")}
    return arguments | {"scope": scope, "request": None, "body": None, "user": None, "query_params": {"q": query}}


async def by_path(headers: dict[bytes, bytes], path: str) -> str:
    return path


async def by_method(headers: dict[bytes, bytes], method: str) -> str:
    return method


async def by_query(headers: dict[bytes, bytes], query_params: dict[str, str]) -> str:
    return str(query_params)


async def by_authorization(authorization: str) -> str:
    return authorization


async def by_scope(scope: dict[str, Any]) -> str:
    return f"{scope['path']} {scope['query_string']} {scope['client'][0]}"


@pytest.mark.parametrize(
    ("handler", "first", "second"),
    [
        (by_path, {"path": "/a"}, {"path": "/b"}),
        (by_method, {"method": "GET"}, {"method": "DELETE"}),
        (by_query, {"query": b"a"}, {"query": b"b"}),
        (by_authorization, {"authorization": "a"}, {"authorization": "b"}),
        (by_scope, {"path": "/a"}, {"path": "/b"}),
        (by_scope, {"query": b"a"}, {"query": b"b"}),
        (by_scope, {"client": "10.0.0.1"}, {"client": "10.0.0.2"}),
    ],
)
async def test_the_cache_distinguishes_everything_that_the_handler_reads(
    handler: Any, first: dict[str, Any], second: dict[str, Any]
) -> None:
    auth = auth_file_with_cache(handler, "x-key")
    users = [
        (await auth.authenticate(handler_arguments(x_key="k", **each))).identity
        for each in (first, second, first, second)
    ]
    assert users[0] == users[2] != users[1] == users[3]


async def test_a_cached_user_expires_after_ttl_seconds() -> None:
    calls: list[str] = []

    async def by_key(headers: dict[bytes, bytes]) -> str:
        calls.append("call")
        return "ann"

    clock = ManualClock()
    auth = auth_file_with_cache(by_key, "x-key", clock=clock)
    calls_until = {}
    for now_s in (0.0, 59.9, 60.1, 119.9, 120.2):
        clock.now_s = now_s
        await auth.authenticate(handler_arguments(x_key="k"))
        calls_until[now_s] = len(calls)
    assert calls_until == {0.0: 1, 59.9: 1, 60.1: 2, 119.9: 2, 120.2: 3}


async def test_a_handler_that_reads_the_body_is_called_each_time(served: Served) -> None:
    bodies: list[Any] = []

    async def by_body(headers: dict[bytes, bytes], body: Any) -> str:
        bodies.append(body)
        return str(body)

    auth = auth_file_with_cache(by_body, "x-key")
    assert [(await auth.authenticate(handler_arguments(x_key="k") | {"body": n})).identity for n in (1, 2, 1)] == [
        "1",
        "2",
        "1",
    ]
    assert bodies == [1, 2, 1]


async def test_a_handler_that_reads_the_body_of_its_request_is_called_each_time(
    tmp_path: Path, valkey_url: str, keys: Keys
) -> None:
    (tmp_path / "signed.py").write_text(
        "from langgraph_sdk import Auth\nfrom starlette.requests import Request\nauth = Auth()\n"
        "@auth.authenticate\nasync def authenticate(request: Request) -> str:\n"
        "    return (await request.json())['metadata']['me']\n"
        "@auth.on\nasync def own(ctx, value):\n    value['metadata']['owner'] = ctx.user.identity\n"
    )
    desk = Desk(tmp_path, valkey_url, keys)
    async with desk.serves(auth={"path": "./signed.py:auth", "cache": {"cache_keys": ["x-key"]}}) as client:
        for name in ("ann", "bob", "ann"):
            created = await client.post("/threads", json={"metadata": {"me": name}}, headers={"x-key": "k"})
            assert created.json()["metadata"]["owner"] == name


async def test_trailers_of_a_body_are_not_headers() -> None:
    header, passed_on = (b"authorization", b"Bearer ann-token"), []
    received = [header]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received.append((b"authorization", b"Bearer bob-token"))  # uvicorn appends trailers to the headers
        passed_on.extend(scope["headers"])

    await RepeatedHeaders(app)({"type": "http", "headers": received}, _never, _never)
    assert passed_on == [header]


async def _never(*_: Any) -> Any:
    raise AssertionError
