"""Request ids, body limits, CORS, and error responses of every route."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from slipway.api.middleware.error_responses import ErrorResponses
from slipway.errors import NotFound
from tests.http.conftest import Served

UNKNOWN = "00000000-0000-4000-8000-000000000000"
THREAD = f"/threads/{UNKNOWN}"
JSON = {"content-type": "application/json"}


async def test_a_request_id_is_created_or_returned(client: httpx.AsyncClient) -> None:
    assert len((await client.get("/ok")).headers["x-request-id"]) == 36
    assert (await client.get("/ok", headers={"x-request-id": "mine"})).headers["x-request-id"] == "mine"
    for invalid in (b"x" * 300, b"", b"two\tcolumns of the log", "\xe4".encode()):
        response = await client.get("/ok", headers=[(b"x-request-id", invalid)])
        assert len(response.headers["x-request-id"]) == 36


async def test_an_error_after_the_response_started_is_logged_and_starts_no_second_response() -> None:
    """Also an expected error such as `NotFound`, because the client already received the status 200."""
    sent: list[Message] = []

    async def start_and_fail(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise NotFound("thread", UNKNOWN)

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with capture_logs() as logs:
        await ErrorResponses(start_and_fail)({"type": "http", "path": "/cut", "headers": []}, receive, send)
    assert [(line["event"], line["path"]) for line in logs] == [("http.request_failed", "/cut")]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PUT", "/threads", 405),
        ("GET", THREAD, 404),
        ("GET", "/threads/not-a-uuid", 422),
        ("GET", f"{THREAD}/state", 404),
        ("GET", f"{THREAD}/history", 404),
        ("GET", f"{THREAD}/runs", 404),
        ("GET", f"{THREAD}/runs/{UNKNOWN}", 404),
        ("GET", f"{THREAD}/runs/{UNKNOWN}/join", 404),
        ("GET", f"{THREAD}/runs/{UNKNOWN}/stream", 404),
        ("POST", f"{THREAD}/runs/{UNKNOWN}/cancel", 404),
        ("DELETE", f"{THREAD}/runs/{UNKNOWN}", 404),
        ("DELETE", THREAD, 404),
        ("GET", f"{THREAD}/runs?limit=0", 422),
        ("GET", f"{THREAD}/runs?status=lost", 422),
        ("GET", f"{THREAD}/runs?select=secrets", 422),
        ("GET", f"{THREAD}/history?limit=x", 422),
        ("GET", f"{THREAD}/state?subgraphs=perhaps", 422),
        ("GET", "/assistants/nobody", 422),
        ("GET", f"/assistants/{UNKNOWN}", 404),
        ("GET", "/assistants/broken", 503),
        ("GET", "/assistants/steps/graph?xray=0", 422),
    ],
)
async def test_errors_have_one_shape(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    assert isinstance(response.json()["detail"], str)
    assert isinstance(response.json()["code"], str)


async def test_a_response_405_lists_the_allowed_methods(client: httpx.AsyncClient) -> None:
    response = await client.put(f"{THREAD}/state/checkpoint")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 422, ""),
        (b"{", 422, ""),
        (b"[]", 422, ""),
        (b'{"assistant_id": "steps", "stream_mode": "vales"}', 422, "stream_mode[0]"),
        (b'{"assistant_id": "nobody"}', 422, "assistant_id"),
        (b'{"assistant_id": "broken"}', 503, None),
        (b'{"assistant_id": "steps", "context": {"a": 1}, "config": {"configurable": {"b": 1}}}', 400, None),
        (
            b'{"assistant_id": "steps", "config": {"configurable": {"ceilings": {"max_stpes": 1}}}}',
            422,
            "config.configurable.ceilings.max_stpes",
        ),
        (b'{"assistant_id": "steps"}', 404, None),
    ],
)
@pytest.mark.parametrize("route", ["runs", "runs/stream", "runs/wait"])
async def test_an_invalid_run_is_rejected_before_the_response_starts(
    client: httpx.AsyncClient, route: str, body: bytes, status: int, field: str | None
) -> None:
    response = await client.post(f"{THREAD}/{route}", content=body, headers=JSON)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.json().get("field") == field


async def test_the_error_for_an_unknown_assistant_lists_the_existing_graphs(client: httpx.AsyncClient) -> None:
    error = (await client.post(f"{THREAD}/runs", json={"assistant_id": "nobody"})).json()
    assert "steps" in error["known"]
    assert "nobody" in error["detail"]


async def test_large_bodies_are_rejected_by_length_and_while_they_arrive(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1024

    large = await client.post("/threads", content=b" " * 65 * 1024, headers=JSON)
    assert large.status_code == 413
    chunked = await client.post("/threads", content=chunks(), headers=JSON)
    assert chunked.status_code == 413
    assert "65536 bytes" in chunked.json()["detail"]
    fits = await client.post("/threads", content=b" " * (64 * 1024 - 2) + b"{}", headers=JSON)
    assert fits.status_code == 200


async def test_pages_of_localhost_can_read_the_response_headers_of_the_protocol(client: httpx.AsyncClient) -> None:
    origin = {"origin": "http://localhost:3000"}
    preflight_request = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    preflight = await client.options("/threads", headers=origin | preflight_request)
    assert preflight.status_code == 200
    plain = await client.get("/nowhere", headers=origin)
    exposed = {name.strip() for name in plain.headers["access-control-expose-headers"].split(",")}
    assert {"content-location", "location", "x-pagination-total", "x-pagination-next", "x-request-id"} <= exposed
    for response in (preflight, plain):
        assert response.headers["access-control-allow-origin"] == origin["origin"]


async def test_an_unexpected_error_shows_its_request_id_only(
    client: httpx.AsyncClient, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(served.services.graphs, "failures", fail)
    response = await client.get("/info")
    assert response.status_code == 500
    assert response.json() == {
        "detail": "internal error",
        "code": "internal",
        "request_id": response.headers["x-request-id"],
    }


async def test_ok_info_and_metrics_describe_the_server(client: httpx.AsyncClient) -> None:
    services = {"redis": "up", "workers": "down"}
    assert (await client.get("/ok?check_db=1")).json() == {"ok": True, "services": services}
    info = (await client.get("/info")).json()
    assert info["flags"]["assistants"] is True
    assert info["graphs_unavailable"] == ["broken"]
    await client.get(f"{THREAD}/runs")
    metrics = (await client.get("/metrics")).text
    assert 'route="/threads/{thread_id}/runs",status="404"' in metrics
    assert "slipway_workers 0.0" in metrics
