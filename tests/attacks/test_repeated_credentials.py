"""One request says twice who calls: one of the two is checked, and the other one is remembered or acted for."""

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
from slipway.api.endpoints import Endpoint
from slipway.api.in_process_client.app import InProcessApp
from slipway.api.in_process_client.transport import InProcessTransport
from slipway.api.middleware.repeated_headers import RepeatedHeaders
from slipway.api.openapi import plain_path
from slipway.api.route_table import ENDPOINTS
from slipway.api.ui import site
from slipway.clock import Clock
from slipway.graphs.langgraph_json import read
from slipway.graphs.official_sections import AuthCacheSection, AuthSection
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.auth.samples import NEW
from tests.auth.test_http_section import Desk
from tests.http.conftest import Served, client, serving

__all__ = ["client"]

ANN, BOB = ("authorization", "Bearer ann-token"), ("authorization", "Bearer bob-token")
EVERY: list[Endpoint] = [*ENDPOINTS, *site.ENDPOINTS]
CACHE = {"cache_keys": ["authorization", "X-Desk"], "ttl_seconds": 60}


@pytest.fixture
async def served(tmp_path: Path, valkey_url: str, keys: Keys) -> AsyncIterator[Served]:
    """ann and bob, who are remembered; and an app of the project's own, which asks who calls."""
    http = {"app": "./webapp.py:app", "enable_custom_route_auth": True}
    auth = {"path": "./auth.py:auth", "cache": CACHE}
    file = Desk(tmp_path, valkey_url, keys).file(auth=auth, http=http)
    settings = Settings.of({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": file})
    assert read(file).auth.cache is not None
    async with serving(settings, await Registry.load(file)) as running:
        yield running


async def owner_of_new(client: httpx.AsyncClient, *headers: tuple[str, str]) -> Any:
    """Who owns a thread that is made with these headers, or the status of the refusal."""
    answer = await client.post("/threads", json={}, headers=list(headers))
    return answer.json()["metadata"]["owner"] if answer.status_code == 200 else answer.status_code


async def test_every_route_rejects_a_repeated_authorization_header(client: httpx.AsyncClient) -> None:
    answers = {}
    for endpoint in EVERY:
        path = plain_path(endpoint.path).format_map(_Known())
        answers[f"{endpoint.method} {path}"] = await client.request(endpoint.method, path, headers=[ANN, BOB])
    for path in ("/hello", "/nowhere"):
        answers[f"GET {path}"] = await client.get(path, headers=[ANN, BOB])
    assert {what: answer.status_code for what, answer in answers.items()} == dict.fromkeys(answers, 400)
    assert all("authorization" in answer.json()["detail"] for answer in answers.values() if answer.content)


async def test_every_header_that_can_identify_a_user_is_rejected_when_repeated(client: httpx.AsyncClient) -> None:
    names = ("Authorization", "x-api-key", "cookie", "proxy-authorization", "x-desk", "origin", "x-auth-scheme")
    for name in names:
        for path in ("/threads/search", "/hello"):
            twice = [("authorization", "Bearer ann-token"), (name, "a"), (name.lower(), "a")]
            answer = await client.post(path, json={}, headers=twice)
            assert (answer.status_code, name.lower() in answer.json()["detail"]) == (400, True), name


class _Known(dict[str, str]):
    """An id for every parameter of a path."""

    def __missing__(self, name: str) -> str:
        return "greet" if name in ("graph_id", "namespace") else NEW


async def test_the_cache_never_returns_the_user_of_another_token(client: httpx.AsyncClient) -> None:
    """However the two are sent, and whoever is remembered already."""
    for _ in range(2):
        for pair in ((ANN, BOB), (BOB, ANN), (ANN, ("authorization", "no-token"))):
            assert await owner_of_new(client, *pair) == 400
        assert await owner_of_new(client, ANN) == "ann"
        assert await owner_of_new(client, BOB) == "bob"
    assert await owner_of_new(client, ("authorization", "Bearer ann-token, Bearer bob-token")) == 401
    assert await owner_of_new(client, ("authorization", "no-token")) == 401


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
    inside = InProcessApp(served.app, {"services": served.services})
    async with httpx.AsyncClient(transport=InProcessTransport(inside), base_url="http://api") as client:
        assert (await client.post("/threads", json={}, headers=[ANN, BOB])).status_code == 400


async def test_other_headers_can_be_repeated(client: httpx.AsyncClient) -> None:
    sent = [ANN, ("accept", "text/plain"), ("accept", "application/json"), ("x-forwarded-for", "a")]
    assert await owner_of_new(client, *sent) == "ann"


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
    """Or a proxy and the server would disagree where a request ends, and the rest would be the next one."""
    smuggled = "0\r\n\r\nPOST /threads HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
    answer = await answer_to(served, head, smuggled)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_a_request_with_two_hosts_is_rejected(served: Served) -> None:
    answer = await answer_to(served, "host: other.example\r\nconnection: close\r\ncontent-length: 2", "{}")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"the header host identifies the user or the target" in answer


async def answer_to(served: Served, head: str, body: str) -> bytes:
    """All that the server says to a request that no client library would send."""
    host = served.url.removeprefix("http://")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write(f"POST /threads HTTP/1.1\r\nhost: {host}\r\n{head}\r\n\r\n{body}".encode())
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    return answer


# what is remembered


class SetClock(Clock):
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


def caching(handler: Any, *names: str, clock: Clock | None = None) -> AuthFile:
    """With a cache, by these headers."""
    auth = Auth()
    auth.authenticate(handler)
    section = AuthCacheSection(cache_keys=list(names), ttl_seconds=60)
    return AuthFile(auth, AuthSection(cache=section), clock)


def offered(path: str = "/a", method: str = "GET", query: bytes = b"", client: str = "::1", **headers: str) -> Any:
    """What an authenticate handler may ask for."""
    raw = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    scope = {"type": "http", "path": path, "query_string": query, "client": (client, 1)}
    facts = {"path": path, "method": method, "headers": raw, "authorization": headers.get("authorization")}
    return facts | {"scope": scope, "request": None, "body": None, "user": None, "query_params": {"q": query}}


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
    ("handler", "one", "other"),
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
    handler: Any, one: dict[str, Any], other: dict[str, Any]
) -> None:
    auth = caching(handler, "x-key")
    seen = [(await auth.authenticate(offered(x_key="k", **each))).identity for each in (one, other, one, other)]
    assert seen[0] == seen[2] != seen[1] == seen[3]


async def test_a_cached_user_expires_after_ttl_seconds() -> None:
    calls: list[str] = []

    async def by_key(headers: dict[bytes, bytes]) -> str:
        calls.append("call")
        return "ann"

    clock = SetClock()
    auth = caching(by_key, "x-key", clock=clock)
    handled = {}
    for now_s in (0.0, 59.9, 60.1, 119.9, 120.2):
        clock.now_s = now_s
        await auth.authenticate(offered(x_key="k"))
        handled[now_s] = len(calls)
    assert handled == {0.0: 1, 59.9: 1, 60.1: 2, 119.9: 2, 120.2: 3}


async def test_a_handler_that_reads_the_body_is_called_each_time(served: Served) -> None:
    asked: list[Any] = []

    async def by_body(headers: dict[bytes, bytes], body: Any) -> str:
        asked.append(body)
        return str(body)

    auth = caching(by_body, "x-key")
    assert [(await auth.authenticate(offered(x_key="k") | {"body": n})).identity for n in (1, 2, 1)] == ["1", "2", "1"]
    assert asked == [1, 2, 1]


async def test_a_handler_that_reads_the_body_of_its_request_is_called_each_time(
    tmp_path: Path, valkey_url: str, keys: Keys
) -> None:
    (tmp_path / "signed.py").write_text(
        "from langgraph_sdk import Auth\nfrom starlette.requests import Request\nauth = Auth()\n"
        "@auth.authenticate\nasync def who(request: Request) -> str:\n"
        "    return (await request.json())['metadata']['me']\n"
        "@auth.on\nasync def own(ctx, value):\n    value['metadata']['owner'] = ctx.user.identity\n"
    )
    desk = Desk(tmp_path, valkey_url, keys)
    async with desk.serves(auth={"path": "./signed.py:auth", "cache": {"cache_keys": ["x-key"]}}) as client:
        for name in ("ann", "bob", "ann"):
            made = await client.post("/threads", json={"metadata": {"me": name}}, headers={"x-key": "k"})
            assert made.json()["metadata"]["owner"] == name


async def test_trailers_of_a_body_are_not_headers() -> None:
    line, seen = (b"authorization", b"Bearer ann-token"), []
    received = [line]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received.append((b"authorization", b"Bearer bob-token"))  # as uvicorn does with a trailer
        seen.extend(scope["headers"])

    await RepeatedHeaders(app)({"type": "http", "headers": received}, _never, _never)
    assert seen == [line]


async def _never(*_: Any) -> Any:
    raise AssertionError
