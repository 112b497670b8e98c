"""A FastAPI application as `http.app`: its own features work, and all routes of Slipway work inside it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.auth.test_http_section import ANN, AUTH, Desk, desk, status

__all__ = ["desk"]

APP = "./fastapi_app.py:app"
CLERK = {"x-clerk": "kim"}


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the host app on an open server."""
    async with desk.serves(http={"app": APP}) as client:
        yield client


async def test_routes_dependencies_and_background_tasks_work(client: httpx.AsyncClient) -> None:
    assert await status(client, "/desk/orders", "POST", json={"item": "tea"}) == 403
    created = await client.post("/desk/orders", json={"item": "tea"}, headers=CLERK)
    assert (created.status_code, created.json()) == (201, {"item": "tea", "count": 1})
    invalid = await client.post("/desk/orders", json={"count": "many"}, headers=CLERK)
    assert invalid.status_code == 422
    assert [problem["loc"] for problem in invalid.json()["detail"]] == [["body", "item"], ["body", "count"]]
    assert (await client.get("/desk/sold")).json() == {"sold": ["tea by kim"], "opened": "desk"}


async def test_error_handlers_of_the_host_app_apply_only_to_its_routes(client: httpx.AsyncClient) -> None:
    sold_out = await client.post("/desk/orders", json={"item": "moon"}, headers=CLERK)
    assert (sold_out.status_code, sold_out.json()) == (409, {"sold": "out"})
    assert await status(client, "/desk/orders") == 405
    invalid = await client.get("/threads/none")
    assert invalid.status_code == 422
    assert "thread_id" in invalid.json()["detail"]


async def test_streams_and_websockets_work(client: httpx.AsyncClient) -> None:
    assert (await client.get("/desk/words")).text == "one two three"
    async with connect(f"ws{str(client.base_url).removeprefix('http')}/desk/echo") as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"


async def test_a_route_of_the_host_app_creates_a_run(client: httpx.AsyncClient) -> None:
    assert (await client.get("/desk/greeting")).json() == {"run": "pending"}


async def test_middleware_of_the_host_app_wraps_slipways_routes_and_streams(client: httpx.AsyncClient) -> None:
    thread = (await client.post("/threads", json={})).json()["thread_id"]
    body = {"assistant_id": "greet", "input": {"text": "hi"}}
    async with client.stream("POST", f"/threads/{thread}/runs/stream", json=body) as response:
        assert (response.status_code, response.headers["x-desk"]) == (200, "yes")
        async for line in response.aiter_lines():
            if line == "event: metadata":  # comes while the run waits for a worker
                break
    response = await client.get("/ok", headers={"origin": "https://desk.example"})
    assert response.headers["access-control-allow-origin"] in ("*", "https://desk.example")


async def test_openapi_describes_the_routes_of_both_apps(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert {"/desk/orders", "/desk/sold", "/threads", "/runs/stream"} <= document["paths"].keys()
    assert "Order" in document["components"]["schemas"]
    assert "Swagger" in (await client.get("/docs")).text


async def test_routes_of_the_host_app_can_require_a_user(desk: Desk) -> None:
    http = {"app": APP, "enable_custom_route_auth": True}
    async with desk.serves(http=http, auth=AUTH) as client:
        assert await status(client, "/desk/sold") == 401
        assert await status(client, "/desk/sold", headers=ANN) == 200
        assert await status(client, "/desk/orders", "POST", json={"item": "tea"}, headers=ANN) == 403
        assert await status(client, "/desk/orders", "POST", json={"item": "tea"}, headers=ANN | CLERK) == 201


@pytest.mark.parametrize("order", ["auth_first", "middleware_first"])
async def test_routes_of_the_host_app_receive_the_user(desk: Desk, order: str) -> None:
    http = {"app": APP, "enable_custom_route_auth": True, "middleware_order": order}
    async with desk.serves(http=http, auth=AUTH) as client:
        user = await client.get("/desk/me", headers=ANN)
        assert user.json() == {"identity": "ann", "team": "blue", "permissions": ["desk"]}
        assert await status(client, "/desk/me", headers={"authorization": "Bearer dan-token"}) == 403
