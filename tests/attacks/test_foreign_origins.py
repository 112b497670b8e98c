"""A page of another site makes a developer's browser send requests to a server without an auth file: to every route,
with every content type that needs no preflight request, and to WebSockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_client
from langgraph_sdk.errors import PermissionDeniedError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from slipway.api.middleware.foreign_pages import ForeignPages
from slipway.api.middleware.mount_prefix import PROBES
from slipway.api.middleware.origins import STUDIO, Origins
from slipway.api.openapi import plain_path
from slipway.graphs.official_sections import CorsSection
from slipway.graphs.registry import Registry
from slipway.runs.record import new_id
from tests.attacks.rows import ALL_ROUTES, COMMANDS, PUBLIC_ROUTES, Ids, create_one_of_each, send
from tests.auth.samples import NEW
from tests.auth.test_http_section import AUTH, Desk, desk
from tests.http.conftest import serving
from tests.worker import running_worker

__all__ = ["desk"]

FOREIGN = (
    "https://evil.example",
    "http://localhost.evil.example:3000",
    "http://127.0.0.1.evil.example",
    "http://localhost@evil.example",
    "https://evil-smith.langchain.com",
    "https://smith.langchain.com.evil.example",
    "http://smith.langchain.com",
    "chrome-extension://abcdefghijklmnop",
    "file://",
    "null",
    "",
)
ALLOWED = (
    "http://localhost:3000",
    "https://localhost:5173",
    "http://127.0.0.1:3000",
    "http://[::1]:3000",
    "http://chat.localhost",
    "http://0.0.0.0:3000",
    *sorted(STUDIO),
)
SIMPLE = ("text/plain", "text/plain; application/json", "application/x-www-form-urlencoded", "multipart/form-data")
"""Content types that a page can send without a preflight request."""

ATTEMPTS = [
    *(("https://evil.example", content_type) for content_type in (*SIMPLE, "application/json")),
    *((origin, "text/plain") for origin in FOREIGN[1:]),
]


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    """A plain HTTP client of a server without an auth file."""
    async with desk.serves() as client:
        yield client


async def stored_records(client: httpx.AsyncClient) -> Any:
    """All threads, assistants, crons, store items and runs."""
    records = [
        (await client.post(f"/{kind}/search", json={})).json()
        for kind in ("threads", "assistants", "runs/crons", "store/items")
    ]
    runs = [(await client.get(f"/threads/{each['thread_id']}/runs")).json() for each in records[0]]
    return records, runs


@pytest.fixture
async def ids(client: httpx.AsyncClient) -> dict[str, str]:
    async with get_client(url=str(client.base_url), api_key=None) as owner:
        return await create_one_of_each(owner)


async def test_no_route_serves_a_foreign_page(client: httpx.AsyncClient, ids: dict[str, str]) -> None:
    before, wrong = await stored_records(client), []
    for name, route in ALL_ROUTES.items():
        expected = 200 if route.path in PROBES else 403
        for origin, content_type in ATTEMPTS:
            response = await send(client, name, ids, headers={"origin": origin, "content-type": content_type})
            if response.status_code != expected or "access-control-allow-origin" in response.headers:
                wrong.append((name, origin, content_type, response.status_code))
    assert wrong == []
    assert await stored_records(client) == before


async def test_the_log_names_a_rejected_origin_and_the_option_that_allows_it(client: httpx.AsyncClient) -> None:
    """A browser hides the response from the developer of the page."""
    with capture_logs() as lines:
        await client.options("/threads", headers={"origin": FOREIGN[0], "access-control-request-method": "POST"})
    rejected = [line for line in lines if line["event"] == "http.origin_rejected"]
    assert [(line["origin"], line["setting"]) for line in rejected] == [(FOREIGN[0], "http.cors.allow_origins")]


async def test_no_preflight_of_a_foreign_page_is_allowed(client: httpx.AsyncClient) -> None:
    for name, route in ALL_ROUTES.items():
        for origin in FOREIGN[:3]:
            preflight = {
                "access-control-request-method": route.method,
                "access-control-request-private-network": "true",
            }
            response = await client.options(plain_path(route.path), headers={"origin": origin, **preflight})
            assert response.status_code in (400, 403), (name, origin)
            assert not {"access-control-allow-origin", "access-control-allow-private-network"} & response.headers.keys()


async def test_a_body_that_needs_no_preflight_starts_nothing(client: httpx.AsyncClient, ids: dict[str, str]) -> None:
    """A browser that is too old for `Origin` may send it. A form is never JSON."""
    before, wrong = await stored_records(client), []
    attempts = [({}, SIMPLE), ({"origin": ALLOWED[0]}, SIMPLE[2:])]
    for name, route in ALL_ROUTES.items():
        for headers, content_types in attempts if route.method != "GET" else []:
            for content_type in content_types:
                response = await send(client, name, ids, headers={"content-type": content_type, **headers})
                if response.status_code != 415:
                    wrong.append((name, content_type, response.status_code))
    assert wrong == []
    untyped = await client.post("/threads", content=b"{}")
    assert (untyped.status_code, untyped.json()["code"]) == (415, "content_type.refused")
    overridden = {"content-type": "text/plain", "x-http-method-override": "DELETE"}
    assert (await client.get(f"/threads/{ids['thread_id']}", headers=overridden)).status_code == 200
    assert await stored_records(client) == before


async def test_every_sample_is_accepted_from_an_allowed_page(client: httpx.AsyncClient, ids: dict[str, str]) -> None:
    """Otherwise the requests above could be rejected for a reason other than their origin."""
    for name in ALL_ROUTES:
        if not name.endswith(("/wait", "/join")):  # these respond when the run ends
            response = await send(client, name, ids, headers={"origin": ALLOWED[0], "content-type": "text/plain"})
            assert response.status_code not in (403, 415, 421), name
            assert response.headers["access-control-allow-origin"] == ALLOWED[0]


@pytest.mark.parametrize("origin", ALLOWED)
async def test_pages_of_this_machine_and_studio_are_served(client: httpx.AsyncClient, origin: str) -> None:
    for content_type in ("application/json", "application/json; charset=utf-8", "Application/VND.api+JSON"):
        created = await client.post("/threads", content=b"{}", headers={"origin": origin, "content-type": content_type})
        assert (created.status_code, created.headers["access-control-allow-origin"]) == (200, origin)
    plain = await client.post("/threads", content=b"{}", headers={"origin": origin, "content-type": "text/plain"})
    untyped = await client.post("/threads", content=b"{}", headers={"origin": origin})
    assert (plain.status_code, untyped.status_code) == (200, 200)
    thread = plain.json()["thread_id"]
    assert (await client.delete(f"/threads/{thread}", headers={"origin": origin})).status_code == 204
    requested = {"access-control-request-method": "DELETE", "access-control-request-headers": "x-api-key,content-type"}
    preflight = await client.options(f"/threads/{thread}", headers={"origin": origin, **requested})
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, origin)
    assert await response_to_command(client, origin, "agent.getTree", {"run_id": NEW})


async def test_clients_that_are_not_browsers_are_served(client: httpx.AsyncClient, ids: dict[str, str]) -> None:
    assert (await client.post("/threads", json={})).status_code == 200
    assert (await client.post(f"/threads/{ids['thread_id']}/copy")).status_code == 200
    cancelled = await client.post(f"/threads/{ids['thread_id']}/runs/{ids['run_id']}/cancel")
    assert cancelled.status_code == 202
    assert await response_to_command(client, None, "agent.getTree", ids)


@pytest.mark.parametrize("method", COMMANDS)
async def test_no_command_of_a_foreign_page_is_accepted(
    client: httpx.AsyncClient, ids: dict[str, str], method: str
) -> None:
    """Its WebSocket is not opened; one of an allowed page is."""
    before = await stored_records(client)
    for origin in FOREIGN[:-1]:
        with pytest.raises(InvalidStatus) as error:
            await response_to_command(client, origin, method, ids)
        assert error.value.response.status_code == 403
        assert b"origin.refused" in (error.value.response.body or b"")
    assert await stored_records(client) == before
    for origin in ALLOWED:
        assert await response_to_command(client, origin, method, ids)


async def test_a_page_of_this_server_is_not_foreign(client: httpx.AsyncClient) -> None:
    """Also behind a proxy that ends TLS, and behind one that changes the host, as `Sec-Fetch-Site` shows."""
    address = f"{client.base_url.host}:{client.base_url.port}"
    behind_a_proxy = {"origin": "https://desk.example", "sec-fetch-site": "same-origin"}
    for headers in ({"origin": f"http://{address}"}, {"origin": f"https://{address}"}, behind_a_proxy):
        assert (await client.post("/threads", json={}, headers=headers)).status_code == 200
    for relation in ("same-site", "cross-site", "none"):
        headers = {"origin": "https://desk.example", "sec-fetch-site": relation}
        assert (await client.post("/threads", json={}, headers=headers)).status_code == 403


@pytest.mark.parametrize(
    ("mode", "dest", "status"),
    [("no-cors", "image", 403), ("no-cors", "script", 403), ("navigate", "iframe", 403), ("navigate", "document", 200)],
)
async def test_a_foreign_page_can_link_to_pages_and_embed_nothing(
    desk: Desk, mode: str, dest: str, status: int
) -> None:
    async with desk.serves(http={"app": "./webapp.py:app"}) as client:
        sent = {"sec-fetch-site": "cross-site", "sec-fetch-mode": mode, "sec-fetch-dest": dest}
        found = {
            path: (await client.get(path, headers=sent)).status_code for path in ("/", "/info", "/ui/static/run.js")
        }
        assert found == dict.fromkeys(found, status)
        same_site = sent | {"sec-fetch-site": "same-site"}
        assert (await client.get("/info", headers=same_site)).status_code == 200
        assert (await client.get("/hello", headers=sent)).status_code == 200  # routes of the host app decide themselves


async def test_origins_in_langgraph_json_are_allowed(desk: Desk) -> None:
    cors = {"allow_origins": ["https://desk.example"], "allow_origin_regex": r"https://\w+\.team\.example"}
    async with desk.serves(http={"cors": cors}) as client:
        for origin in ("https://desk.example", "https://ann.team.example", "http://localhost:3000", *STUDIO):
            created = await client.post("/threads", json={}, headers={"origin": origin})
            assert (created.status_code, created.headers["access-control-allow-origin"]) == (200, origin)
            assert await response_to_command(client, origin, "agent.getTree", {"run_id": NEW})
        lookalikes = ("https://desk.example.evil.example", "https://ann.team.example.evil.example")
        for origin in (*lookalikes, "https://a.b.team.example", "http://desk.example"):
            rejected = await client.post("/threads", json={}, headers={"origin": origin})
            assert (rejected.status_code, rejected.json()["code"]) == (403, "origin.refused")
            assert "http.cors.allow_origins" in rejected.json()["detail"]
            with pytest.raises(InvalidStatus):
                await response_to_command(client, origin, "agent.getTree", {"run_id": NEW})
        from_file = await client.post("/threads", json={}, headers={"origin": "null"})
        assert (from_file.status_code, from_file.json()["code"]) == (403, "origin.refused")
        assert "open it from a web server" in from_file.json()["detail"]
        assert "allow_origins" not in from_file.json()["detail"], "it would allow pages of every site"


def test_the_cache_of_origin_decisions_is_bounded() -> None:
    origins = Origins(CorsSection(allow_origin_regex=r"https://a+\.example"), restricted=True)
    assert not any(origins.allows(f"https://{number}.example") for number in range(3000))
    assert origins.allows(f"https://{'a' * 100_000}.example")
    assert not origins.allows(f"https://{'b' * 100_000}.example")
    assert sum(map(len, origins.decisions.entries)) < 100_000


async def test_cors_without_origins_allows_no_foreign_page(desk: Desk) -> None:
    async with desk.serves(http={"cors": {"allow_headers": ["x-desk"], "allow_credentials": True}}) as client:
        assert (await client.post("/threads", json={}, headers={"origin": "https://evil.example"})).status_code == 403


async def test_a_wildcard_origin_allows_every_page(desk: Desk) -> None:
    async with desk.serves(http={"cors": {"allow_origins": ["*"]}}) as client:
        for origin in FOREIGN[:-1]:
            sent = {"origin": origin, "content-type": "text/plain"}
            created = await client.post("/threads", content=b"{}", headers=sent)
            assert (created.status_code, created.headers["access-control-allow-origin"]) == (200, "*")
            assert await response_to_command(client, origin, "agent.getTree", {"run_id": NEW})


async def test_a_server_with_an_auth_file_allows_every_origin(desk: Desk) -> None:
    ann = {"authorization": "Bearer ann-token", "origin": "https://elsewhere.example"}
    async with desk.serves(auth=AUTH) as client:
        created = await client.post("/threads", content=b"{}", headers=ann | {"host": "desk.example"})
        assert (created.status_code, created.headers["access-control-allow-origin"]) == (200, "*")


async def test_routes_of_the_host_app_reject_foreign_pages(desk: Desk) -> None:
    """But they may accept forms."""
    async with desk.serves(http={"app": "./webapp.py:app"}) as client:
        for origin, status in (("https://evil.example", 403), (ALLOWED[0], 200)):
            assert (await client.get("/hello", headers={"origin": origin})).status_code == status
        form = await client.post("/hello", data={"a": "b"})
        assert form.status_code == 405  # the response of the host app, not 415


COOKIES: list[tuple[str | None, CorsSection, str]] = [
    (None, CorsSection(), "session=1"),
    ("http://testserver", CorsSection(), "session=1"),
    ("https://evil.example", CorsSection(), ""),
    ("null", CorsSection(), ""),
    ("http://localhost:3000", CorsSection(), ""),
    ("https://evil.example", CorsSection(allow_credentials=True), ""),
    ("https://evil.example", CorsSection(allow_origins=["*"], allow_credentials=True), ""),
    ("https://app.example", CorsSection(allow_origins=["https://app.example"]), ""),
    ("https://app.example", CorsSection(allow_origins=["https://app.example"], allow_credentials=True), "session=1"),
    (
        "https://a.app.example",
        CorsSection(allow_origin_regex=r"https://\w+\.app\.example", allow_credentials=True),
        "session=1",
    ),
]


@pytest.mark.parametrize(("origin", "cors", "passed_on"), COOKIES)
def test_cookies_are_passed_on_only_from_trusted_origins(origin: str | None, cors: CorsSection, passed_on: str) -> None:
    """Both in a request and on a WebSocket."""
    headers = {"cookie": "session=1"} | ({"origin": origin} if origin else {})
    checks = Middleware(ForeignPages, Origins(cors, restricted=False), None)
    client = TestClient(Starlette(routes=_COOKIE_ROUTES, middleware=[checks]))
    with client.websocket_connect("/socket", headers=headers) as socket:
        assert socket.receive_text() == passed_on
    for method in ("GET", "POST", "DELETE"):
        assert client.request(method, "/", headers=headers).text == passed_on


def _cookie(connection: HTTPConnection) -> str:
    return connection.headers.get("cookie", "")


async def _respond(request: Request) -> PlainTextResponse:
    return PlainTextResponse(_cookie(request))


async def _send(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(_cookie(websocket))
    await websocket.close()


_COOKIE_ROUTES = [Route("/", _respond, methods=["GET", "POST", "DELETE"]), WebSocketRoute("/socket", _send)]

SESSIONS = """
from langgraph_sdk import Auth

auth = Auth()

@auth.authenticate
def authenticate(headers):
    if headers.get(b"cookie") != b"session=ann":
        raise Auth.exceptions.HTTPException(401, "sign in")
    return "ann"
"""


async def test_a_foreign_page_cannot_use_a_session_cookie(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "sessions.py").write_text(SESSIONS)
    session = {"cookie": "session=ann"}
    async with desk.serves(auth={"path": "./sessions.py:auth"}) as client:
        own = {"origin": f"http://{client.base_url.host}:{client.base_url.port}"}
        assert (await client.post("/threads", json={}, headers=session | own)).status_code == 200
        assert (await client.get("/ui/recent", headers=session)).status_code == 200
        async with get_client(url=str(client.base_url), api_key=None, headers=session) as ann:
            ids = await create_one_of_each(ann)
        for name in ALL_ROUTES.keys() - PUBLIC_ROUTES:
            for origin in ("https://evil.example", "null"):
                sent = session | {"origin": origin, "content-type": "text/plain"}
                response = await send(client, name, ids, headers=sent)
                signs_in = response.status_code == 303 and response.headers["location"].startswith("/ui/sign-in?")
                assert response.status_code == 401 or signs_in, name


@pytest.mark.parametrize(
    ("dev", "host", "sent"),
    [(True, "127.0.0.1", True), (True, "::1", True), (True, "0.0.0.0", False), (False, "127.0.0.1", False)],
)
async def test_only_dev_on_loopback_allows_private_network_access(desk: Desk, dev: bool, host: str, sent: bool) -> None:
    async with desk.serves(dev=dev, options={"host": host}) as client:
        for origin in ("https://smith.langchain.com", "https://evil.example"):
            preflight = {"access-control-request-method": "POST", "access-control-request-private-network": "true"}
            response = await client.options("/threads", headers={"origin": origin, **preflight})
            allowed = response.headers.get("access-control-allow-private-network") == "true"
            assert allowed == (sent and origin in STUDIO)


async def response_to_command(client: httpx.AsyncClient, origin: str | None, method: str, ids: Ids) -> Any:
    """The first frame after a command on the WebSocket of a new thread."""
    url = f"ws://{client.base_url.host}:{client.base_url.port}/threads/{new_id()}/stream/events"
    headers = {} if origin is None else {"origin": origin}
    async with asyncio.timeout(30), connect(url, additional_headers=headers) as socket:
        await socket.send(json.dumps(COMMANDS[method].frame(ids)))
        return json.loads(await socket.recv())


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://smith.langchain.com"])
async def test_the_official_clients_work_from_a_page(desk: Desk, origin: str) -> None:
    """The SDK, streams and `RemoteGraph`, with the headers that a browser adds."""
    settings = desk.settings(desk.file(env={"GREETING": "Good day"}))
    graphs = await Registry.load(settings.config)
    async with serving(settings, graphs) as served, running_worker(settings, graphs):
        url, headers = served.url, {"origin": origin}
        async with get_client(url=url, api_key=None, headers=headers) as sdk:
            thread = (await sdk.threads.create())["thread_id"]
            assert await sdk.runs.wait(thread, "greet", input={"text": "hi"})
            parts = [part async for part in sdk.runs.stream(thread, "greet", input={"text": "hi"})]
            assert [part.event for part in parts][-1] == "values"
            await sdk.threads.update(thread, metadata={"a": 1})
            await sdk.threads.delete(thread)
            assert await RemoteGraph("greet", client=sdk).ainvoke({"text": "hi"})
        async with get_client(url=url, api_key=None, headers={"origin": "https://evil.example"}) as sdk:
            with pytest.raises(PermissionDeniedError, match=r"http\.cors\.allow_origins"):
                await sdk.runs.create(None, "greet", input={"text": "hi"})
