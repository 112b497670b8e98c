"""The effect of each key in the sections `http` and `auth` of langgraph.json, and of the environment variables that
replace sections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import Auth
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from slipway.access.access_control import AccessControl
from slipway.access.auth_file import AuthFile, load_auth
from slipway.access.filters import parse_filter
from slipway.access.users import user_from_result
from slipway.api.host_app.extensions import load_extensions
from slipway.api.host_app.mounting import mount_in_host_app
from slipway.errors import ConfigError
from slipway.graphs.langgraph_json import read
from slipway.graphs.official_sections import AuthSection, HttpSection
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.auth.conftest import PROJECT
from tests.http.conftest import serving

AUTH = {"path": "./auth.py:auth"}
ANN = {"authorization": "Bearer ann-token"}


class Desk:
    """Serves the code of `project/` with other sections in its langgraph.json."""

    def __init__(self, folder: Path, url: str, keys: Keys) -> None:
        self._folder, self._url, self._keys = folder, url, keys
        for source in PROJECT.parent.glob("*.py"):
            (folder / source.name).write_text(source.read_text())

    def file(self, **sections: Any) -> Path:
        """Write a langgraph.json with these sections."""
        file = self._folder / "langgraph.json"
        file.write_text(json.dumps({"dependencies": ["."], "graphs": {"greet": "./graphs.py:greet"}} | sections))
        return file

    def settings(self, file: Path, **options: Any) -> Settings:
        """Settings of a process with this langgraph.json; `options` are other settings."""
        return Settings.from_values({"redis_url": self._url, "key_prefix": self._keys.prefix, "config": file} | options)

    @asynccontextmanager
    async def serves(
        self, *, options: Mapping[str, Any] | None = None, dev: bool = False, **sections: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        """A client of a server with these sections; `options` are other settings."""
        file = self.file(**sections)
        settings = self.settings(file, **(options or {}))
        async with (
            serving(settings, await Registry.load(file), dev=dev) as served,
            httpx.AsyncClient(base_url=served.url, timeout=20) as client,
        ):
            yield client


@pytest.fixture
def desk(tmp_path: Path, valkey_url: str, keys: Keys) -> Desk:
    return Desk(tmp_path, valkey_url, keys)


async def status(client: httpx.AsyncClient, path: str, method: str = "GET", **more: Any) -> int:
    """The status of the response."""
    return (await client.request(method, path, **more)).status_code


async def test_routes_of_the_host_app_win_except_for_health(desk: Desk) -> None:
    async with desk.serves(http={"app": "./webapp.py:app"}, auth=AUTH) as client:
        hello = await client.get("/hello")
        assert hello.json() == {"hello": "desk"}
        assert (await client.get("/threads/count")).json() == {"host_app": True}
        assert (await client.post("/threads/count", json={}, headers=ANN)).json() == 0
        assert (await client.get("/ok")).json()["ok"]
        assert (await client.get("/healthz")).json() == {"alive": True}
        missing = await client.get("/nowhere")
        assert (missing.status_code, missing.headers["x-own"]) == (404, "yes")
        assert "nowhere" in missing.json()["detail"]
        assert (await client.post("/threads", json={})).headers["x-own"] == "yes"


@pytest.mark.parametrize("order", ["auth_first", "middleware_first"])
async def test_routes_of_the_host_app_can_require_a_user(desk: Desk, order: str) -> None:
    http = {"app": "./webapp.py:app", "enable_custom_route_auth": True, "middleware_order": order}
    async with desk.serves(http=http, auth=AUTH) as client:
        denied = await client.get("/hello")
        assert denied.status_code == 401
        assert ("x-own" in denied.headers) == (order == "middleware_first")
        assert await status(client, "/hello", headers=ANN) == 200
        assert await status(client, "/info") == 200
        assert await status(client, "/threads", "POST", json={}) == 401
        assert await status(client, "/threads", "POST", json={}, headers=ANN) == 200


@pytest.mark.parametrize(
    ("key", "paths"),
    [
        ("disable_assistants", ["/assistants/search", "/assistants/count"]),
        ("disable_threads", ["/threads", "/threads/search"]),
        ("disable_runs", ["/runs/wait", "/runs/crons/search"]),
        ("disable_store", ["/store/items/search"]),
    ],
)
async def test_disabled_routes_are_not_found(desk: Desk, key: str, paths: list[str]) -> None:
    async with desk.serves(http={key: True}) as client:
        assert [await status(client, path, "POST", json={}) for path in paths] == [404] * len(paths)
        assert [await status(client, path) for path in ("/ok", "/healthz", "/readyz")] == [200] * 3
        documented = (await client.get("/openapi.json")).json()["paths"]
        assert not set(paths) & documented.keys()


async def test_meta_pages_and_webhooks_can_be_disabled(desk: Desk) -> None:
    off = {"disable_meta": True, "disable_ui": True, "disable_webhooks": True, "disable_mcp": True}
    async with desk.serves(http=off) as client:
        assert [await status(client, path) for path in ("/info", "/metrics", "/openapi.json", "/docs")] == [404] * 4
        assert (await client.get("/")).json()["ok"]
        assert await status(client, "/ui/recent") == 404
        body = {"assistant_id": "greet", "input": {}, "webhook": "https://desk.example/hook"}
        assert "disable_webhooks" in (await client.post("/runs", json=body)).json()["detail"]


async def test_the_mount_prefix_matches_only_whole_path_segments(desk: Desk) -> None:
    async with desk.serves(http={"mount_prefix": "/hell", "app": "./webapp.py:app"}) as client:
        assert [await status(client, path) for path in ("/hello", "/hell/hello")] == [404, 200]


@pytest.mark.parametrize("app", [None, "./webapp.py:app"])
async def test_every_route_is_below_the_mount_prefix(desk: Desk, app: str | None) -> None:
    async with desk.serves(http={"mount_prefix": "/agents", "app": app}) as client:
        assert await status(client, "/threads", "POST", json={}) == 404
        thread = (await client.post("/agents/threads", json={})).json()["thread_id"]
        run = await client.post(f"/agents/threads/{thread}/runs", json={"assistant_id": "greet", "input": {}})
        assert run.headers["content-location"] == f"/threads/{thread}/runs/{run.json()['run_id']}"
        page = await client.get("/agents")
        assert 'href="/agents/ui/graphs/greet"' in page.text
        assert f'href="/agents/ui/threads/{thread}/runs/' in page.text
        assert await status(client, "/agents/ui/static/page.css") == 200
        assert [await status(client, path) for path in ("/ok", "/agents/ok", "/agentsok")] == [200, 200, 404]
        probes = ("/healthz", "/agents/healthz", "/agentshealthz")
        assert [await status(client, path) for path in probes] == [200, 200, 404]


async def test_cors_follows_langgraph_json(desk: Desk) -> None:
    cors = {"allow_origins": ["https://desk.example"], "allow_credentials": True, "expose_headers": ["X-Own"]}
    async with desk.serves(http={"cors": cors}) as client:
        allowed = await client.get("/ok", headers={"origin": "https://desk.example"})
        assert allowed.headers["access-control-allow-origin"] == "https://desk.example"
        assert allowed.headers["access-control-allow-credentials"] == "true"
        assert {"content-location", "x-own"} <= set(allowed.headers["access-control-expose-headers"].split(", "))
        other = await client.get("/ok", headers={"origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_chosen_headers_are_logged(desk: Desk) -> None:
    section = {"include": ["X-*", "authorization"], "exclude": ["x-private"]}
    async with desk.serves(http={"logging_headers": section}) as client:
        with capture_logs() as lines:
            sent = {"x-team": "blue", "x-private": "p", "x-api-key": "k", "authorization": "a"}
            await client.get("/nowhere", headers=sent)
    (line,) = [line for line in lines if line["event"] == "http.request"]
    assert line["headers"] == {"x-team": "blue"}


async def test_a_store_path_that_is_not_used_is_logged(desk: Desk) -> None:
    with capture_logs() as lines:
        async with desk.serves(store={"path": "./graphs.py:store"}):
            pass
    assert [line["member"] for line in lines if line["event"] == "langgraph_json.not_used"] == ["store.path"]


async def test_openapi_describes_how_to_authenticate(desk: Desk) -> None:
    openapi = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}, "security": [{"token": []}]}
    async with desk.serves(auth=AUTH | {"openapi": openapi}) as client:
        document = (await client.get("/openapi.json")).json()
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"] == openapi["securitySchemes"]
    assert document["paths"]["/ok"]["get"]["security"] == []
    assert "security" not in document["paths"]["/threads"]["post"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("from langgraph_sdk import Auth\nauth = Auth()", "no authenticate handler"),
        ("auth = 1", "must be a langgraph_sdk.Auth object, found an object of type int"),
        ("raise OSError('no directory')", "cannot be loaded: OSError: no directory (bad.py:1)"),
        ("ought = 1", "cannot be loaded: ./bad.py has no attribute 'auth'"),
        ("raise SystemExit(3)", "cannot be loaded: SystemExit: 3 (bad.py:1)"),
        (
            "from langgraph_sdk import Auth\nauth = Auth()\n@auth.authenticate\nasync def f(password): return 'a'",
            "'password'",
        ),
    ],
)
async def test_an_invalid_auth_file_stops_the_start(desk: Desk, tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "bad.py").write_text(source)
    file = desk.file(auth={"path": "./bad.py:auth"})
    graphs = await Registry.load(file)
    with pytest.raises(ConfigError, match=r"auth\.path") as error:
        await load_extensions(read(file), graphs.load_object, Settings(config=file))
    assert message in str(error.value)


SHARED = """
from langgraph_sdk import Auth

auth = Auth()

@auth.authenticate
def authenticate(authorization: str) -> str:
    return authorization

@auth.on.threads
async def members(ctx, value):
    accessible = {"$or": [{"members": {"$contains": ctx.user.identity}}, {"open": True}]}
    if ctx.action == "create_run":
        value["metadata"]["members"] = [ctx.user.identity]
        value["metadata"]["created_by"] = ctx.user.identity
        value["kwargs"]["config"]["tags"] = ["marked"]
    return accessible
"""


async def test_an_auth_file_can_share_threads_between_users(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "shared.py").write_text(SHARED)
    run = {"assistant_id": "greet", "input": {}, "after_seconds": 3600}
    async with desk.serves(auth={"path": "./shared.py:auth"}) as client:
        ann, bob = {"authorization": "ann"}, {"authorization": "bob"}
        both = (await client.post("/threads", json={"metadata": {"members": ["ann", "bob"]}}, headers=ann)).json()
        hers = (await client.post("/threads", json={"metadata": {"members": ["ann"]}}, headers=ann)).json()
        created = await client.post(f"/threads/{both['thread_id']}/runs", json=run, headers=bob)
        assert created.json()["metadata"]["created_by"] == "bob"
        assert created.json()["kwargs"]["config"]["tags"] == ["marked"]
        for more in ({}, {"if_not_exists": "create"}):
            path = f"/threads/{hers['thread_id']}/runs"
            assert await status(client, path, "POST", json=run | more, headers=bob) == 404
        new = await client.post(f"/threads/{uuid4()}/runs", json=run | {"if_not_exists": "create"}, headers=bob)
        found = await client.get(f"/threads/{new.json()['thread_id']}", headers=bob)
        assert found.json()["metadata"]["members"] == ["bob"]
        listed = (await client.post("/threads/search", json={}, headers=bob)).json()
        assert {thread["thread_id"] for thread in listed} == {both["thread_id"], new.json()["thread_id"]}


async def test_the_cache_calls_the_handler_once_for_each_user(tmp_path: Path, desk: Desk) -> None:
    (tmp_path / "counting.py").write_text(
        "from langgraph_sdk import Auth\nauth = Auth()\ncalls = []\n"
        "@auth.authenticate\ndef authenticate(authorization):\n"
        "    calls.append(authorization)\n    return authorization\n"
    )
    file = desk.file(auth={"path": "./counting.py:auth", "cache": {"cache_keys": ["Authorization"], "max_size": 1}})
    graphs = await Registry.load(file)
    auth = load_auth(read(file).auth, graphs.load_object)
    assert auth is not None
    for name in ("ann", "ann", "bob", "ann"):
        headers = {b"authorization": name.encode()}
        assert (await auth.authenticate({"headers": headers, "authorization": name})).identity == name
    assert graphs.load_object("./counting.py:calls") == ["ann", "bob", "ann"]


@pytest.mark.parametrize(
    ("filter_", "matching", "other"),
    [
        ({"a": 1}, {"a": 1}, {"a": True}),
        ({"a": None}, {"a": None}, {}),
        ({"a": {"$eq": "x"}, "b": "y"}, {"a": "x", "b": "y"}, {"a": "x"}),
        ({"a": {"$contains": "x"}}, {"a": ["x", "y"]}, {"a": "x"}),
        ({"a": {"$contains": ["x", "y"]}}, {"a": ["y", "x"]}, {"a": ["x"]}),
        ({"$or": [{"a": 1}, {"b": 2}]}, {"b": 2}, {"b": 1}),
        ({"$and": [{"a": 1}, {"$or": [{"b": 2}, {"b": 3}]}]}, {"a": 1, "b": 3}, {"a": 1}),
    ],
)
def test_a_filter_matches_metadata(filter_: dict[str, Any], matching: dict[str, Any], other: dict[str, Any]) -> None:
    assert parse_filter(filter_).matches(matching)
    assert not parse_filter(filter_).matches(other)


def test_filters_on_texts_can_be_evaluated_by_a_script() -> None:
    assert parse_filter({"a": "x", "b": {"$eq": "y"}}).required_texts() == {"a": "x", "b": "y"}
    assert parse_filter({}).required_texts() == {}
    for filter_ in ({"a": 1}, {"a": {"$contains": "x"}}, {"$or": [{"a": "x"}, {"b": "y"}]}):
        assert parse_filter(filter_).required_texts() is None
    assert (parse_filter({"a": "x"}) & parse_filter({"a": "y"})).required_texts() is None


@pytest.mark.parametrize(
    "filter_",
    [
        {"a": {"$gt": 1}},
        {"a": {"b": 1}},
        {"$or": [{"a": 1}]},
        {"$not": {"a": 1}},
        {"$or": [{"$or": [{"$or": [{"a": 1}, {"a": 2}]}, {"a": 3}]}, {"a": 4}]},
    ],
)
def test_an_invalid_filter_is_rejected(filter_: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_filter(filter_)


@pytest.mark.parametrize("order", ["auth_first", "middleware_first"])
def test_an_app_that_is_mounted_again_uses_only_the_new_auth_file(
    order: Literal["auth_first", "middleware_first"],
) -> None:
    async def me(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.user.identity)

    host_app = Starlette(routes=[Route("/me", me)])
    section = HttpSection(enable_custom_route_auth=True, middleware_order=order)
    for name in ("ann", "bob"):
        auth = Auth()
        auth.authenticate(_authenticate_as(name))
        app = mount_in_host_app(host_app, Starlette(), section, AccessControl(AuthFile(auth, AuthSection())))
        assert TestClient(app).get("/me").text == name


def test_a_body_that_the_auth_file_read_reaches_the_host_app() -> None:
    auth = Auth()

    @auth.authenticate
    async def authenticate(body: Any) -> str:
        return str(body["user"])

    async def echo(request: Request) -> Response:
        async with asyncio.timeout(5):
            return Response(await request.body())

    host_app = Starlette(routes=[Route("/echo", echo, methods=["POST"])])
    section = HttpSection(enable_custom_route_auth=True)
    client = TestClient(mount_in_host_app(host_app, Starlette(), section, AccessControl(AuthFile(auth, AuthSection()))))
    assert client.post("/echo", json={"user": "ann"}).json() == {"user": "ann"}


def _authenticate_as(name: str) -> Any:
    async def authenticate() -> str:
        return name

    return authenticate


class UserObject:
    identity = "ann"
    permissions = ("desk",)


@pytest.mark.parametrize(
    "result", ["ann", {"identity": "ann"}, UserObject(), (["desk"], "ann"), (("desk",), UserObject())]
)
def test_a_handler_may_return_a_user_in_every_shape(result: object) -> None:
    user = user_from_result(result)
    assert (user.identity, user.display_name, user["identity"], user.is_authenticated) == ("ann", "ann", "ann", True)


def test_permissions_beside_the_user_replace_those_of_the_user() -> None:
    assert user_from_result((["desk"], {"identity": "ann", "permissions": ["everything"]})).permissions == ["desk"]


@pytest.mark.parametrize(
    "result", [None, "", {}, {"identity": 7}, object(), (["p"], None), ({"identity": "a"}, "x", 1)]
)
def test_a_result_without_a_user_is_an_error(result: object) -> None:
    with pytest.raises(TypeError):
        user_from_result(result)


def test_environment_variables_replace_sections_of_langgraph_json(desk: Desk, tmp_path: Path) -> None:
    file = desk.file(http={"disable_ui": True})
    env = {
        "LANGGRAPH_HTTP": '{"mount_prefix": "/a"}',
        "LANGGRAPH_STORE": '{"ttl": {"default_ttl": 5}}',
        "LANGGRAPH_AUTH": '{"path": "./auth.py:auth"}',
        "LANGGRAPH_CHECKPOINTER": '{"ttl": {"default_ttl": 7}}',
        "LANGGRAPH_WEBHOOKS": '{"headers": {"x-a": "b"}, "url": {"allowed_domains": ["a.example"]}}',
        "LANGSERVE_GRAPHS": '{"other": {"path": "./graphs.py:greet"}}',
    }
    config = read(file, env)
    assert (config.http.prefix, config.http.disable_ui, list(config.graphs)) == ("/a", False, ["other"])
    assert config.store.ttl.default_ttl == 5
    assert config.checkpointer.ttl is not None
    assert config.auth.path == "./auth.py:auth"
    assert config.webhooks.headers == {"x-a": "b"}
    assert list(read(tmp_path / "none.json", env).graphs) == ["other"]
    with pytest.raises(ConfigError, match=r"http\.mount_prefix"):
        read(file, {"LANGGRAPH_HTTP": '{"mount_prefix": "a b"}'})
