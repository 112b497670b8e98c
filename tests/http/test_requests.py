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
    for unusable in (b"x" * 300, b"", b"two\tcolumns of the log", "\xe4".encode()):
        answer = await client.get("/ok", headers=[(b"x-request-id", unusable)])
        assert len(answer.headers["x-request-id"]) == 36


async def test_an_answer_that_an_error_cuts_is_in_the_log_and_gets_no_second_beginning() -> None:
    """Whatever the error: the client has a status that says that all is well."""
    sent: list[Message] = []

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise NotFound("thread", UNKNOWN)

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with capture_logs() as logs:
        await ErrorResponses(answers)({"type": "http", "path": "/cut", "headers": []}, receive, send)
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
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert isinstance(answer.json()["detail"], str)
    assert isinstance(answer.json()["code"], str)


async def test_a_response_405_lists_the_allowed_methods(client: httpx.AsyncClient) -> None:
    answer = await client.put(f"{THREAD}/state/checkpoint")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


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
    answer = await client.post(f"{THREAD}/{route}", content=body, headers=JSON)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().get("field") == field


async def test_what_exists_is_listed(client: httpx.AsyncClient) -> None:
    answer = (await client.post(f"{THREAD}/runs", json={"assistant_id": "nobody"})).json()
    assert "steps" in answer["known"]
    assert "nobody" in answer["detail"]


async def test_large_bodies_are_rejected_by_length_and_while_they_arrive(client: httpx.AsyncClient) -> None:
    async def grow() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1024

    large = await client.post("/threads", content=b" " * 65 * 1024, headers=JSON)
    assert large.status_code == 413
    grown = await client.post("/threads", content=grow(), headers=JSON)
    assert grown.status_code == 413
    assert "65536 bytes" in grown.json()["detail"]
    fits = await client.post("/threads", content=b" " * (64 * 1024 - 2) + b"{}", headers=JSON)
    assert fits.status_code == 200


async def test_pages_of_this_machine_may_read_what_they_need(client: httpx.AsyncClient) -> None:
    page = {"origin": "http://localhost:3000"}
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    preflight = await client.options("/threads", headers=page | asks)
    assert preflight.status_code == 200
    plain = await client.get("/nowhere", headers=page)
    exposed = {name.strip() for name in plain.headers["access-control-expose-headers"].split(",")}
    assert {"content-location", "location", "x-pagination-total", "x-pagination-next", "x-request-id"} <= exposed
    for answer in (preflight, plain):
        assert answer.headers["access-control-allow-origin"] == page["origin"]


async def test_an_unexpected_error_shows_its_request_id_only(
    client: httpx.AsyncClient, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode() -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(served.services.graphs, "failures", explode)
    answer = await client.get("/info")
    assert answer.status_code == 500
    assert answer.json() == {
        "detail": "internal error",
        "code": "internal",
        "request_id": answer.headers["x-request-id"],
    }


async def test_system_routes(client: httpx.AsyncClient) -> None:
    services = {"redis": "up", "workers": "down"}
    assert (await client.get("/ok?check_db=1")).json() == {"ok": True, "services": services}
    info = (await client.get("/info")).json()
    assert info["flags"]["assistants"] is True
    assert info["graphs_unavailable"] == ["broken"]
    await client.get(f"{THREAD}/runs")
    metrics = (await client.get("/metrics")).text
    assert 'route="/threads/{thread_id}/runs",status="404"' in metrics
    assert "slipway_workers 0.0" in metrics
