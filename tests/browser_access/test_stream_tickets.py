"""Tickets: one stream, once, for seconds."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest
import websockets
from starlette.types import Receive, Scope, Send

from slipway.api.middleware.ticket_parameter import TicketParameter
from slipway.browser_access.random_texts import digest_of
from slipway.browser_access.stream_tickets import TICKET_KEY
from slipway.runs.record import new_id
from tests.api_keys.conftest import KeyHolder, new_holder
from tests.http.conftest import Served


@pytest.fixture
async def thread_id(served: Served, holder: KeyHolder) -> str:
    async with holder.http() as http:
        return str((await http.post("/threads", json={})).json()["thread_id"])


async def ticket_for(holder: KeyHolder, path: str) -> dict[str, Any]:
    async with holder.http() as http:
        response = await http.post(f"{path}/ticket")
        assert response.status_code == 200, response.text
        return dict(response.json())


async def status_of_stream(url: str, path: str) -> int:
    async with httpx.AsyncClient(base_url=url) as http, http.stream("GET", path) as response:
        return response.status_code


async def test_a_ticket_opens_one_stream_once(served: Served, holder: KeyHolder, thread_id: str) -> None:
    ticket = await ticket_for(holder, f"/threads/{thread_id}/stream")
    assert ticket["path"] == f"/threads/{thread_id}/stream?ticket={ticket['ticket']}"
    assert ticket["expires_in_s"] == 30
    statuses = Counter(await asyncio.gather(*(status_of_stream(served.url, ticket["path"]) for _ in range(32))))
    assert statuses == {200: 1, 401: 31}


async def test_a_ticket_opens_a_stream_of_a_run_with_other_parameters(
    served: Served, holder: KeyHolder, thread_id: str
) -> None:
    async with holder.http() as http:
        run = {"assistant_id": "graph", "input": {}, "after_seconds": 3600}
        assistants = (await http.post("/assistants/search", json={})).json()
        run["assistant_id"] = assistants[0]["assistant_id"]
        run_id = (await http.post(f"/threads/{thread_id}/runs", json=run)).json()["run_id"]
    path = f"/threads/{thread_id}/runs/{run_id}/stream"
    ticket = (await ticket_for(holder, path))["ticket"]
    assert await status_of_stream(served.url, f"{path}?stream_mode=values&ticket={ticket}") == 200


async def test_a_ticket_is_for_its_path_only(served: Served, holder: KeyHolder, thread_id: str) -> None:
    async with holder.http() as http:
        other = str((await http.post("/threads", json={})).json()["thread_id"])
    ticket = (await ticket_for(holder, f"/threads/{thread_id}/stream"))["ticket"]
    assert await status_of_stream(served.url, f"/threads/{other}/stream?ticket={ticket}") == 401
    assert await status_of_stream(served.url, f"/threads/{thread_id}/stream?ticket={ticket}") == 401, "it is used up"
    for path in (f"/threads/{thread_id}", "/threads/search", f"/threads/{thread_id}/state"):
        ticket = (await ticket_for(holder, f"/threads/{thread_id}/stream"))["ticket"]
        assert await status_of_stream(served.url, f"{path}?ticket={ticket}") == 401


@pytest.mark.parametrize("ticket", ["", "x", "%00", "a" * 43, "a" * 5000, "x&ticket=y"])
async def test_what_is_no_ticket_is_rejected(served: Served, thread_id: str, ticket: str) -> None:
    assert await status_of_stream(served.url, f"/threads/{thread_id}/stream?ticket={ticket}") == 401


async def test_nobody_gets_a_ticket_for_what_they_cannot_read(
    served: Served, holder: KeyHolder, thread_id: str
) -> None:
    bob = await new_holder(served, "runs:read", owner="bob")
    async with bob.http() as http:
        assert (await http.post(f"/threads/{thread_id}/stream/ticket")).status_code == 404
        assert (await http.post(f"/threads/{thread_id}/runs/{new_id()}/stream/ticket")).status_code == 404
        assert (await http.post(f"/threads/{new_id()}/stream/ticket")).status_code == 404
    async with httpx.AsyncClient(base_url=served.url) as http:
        assert (await http.post(f"/threads/{thread_id}/stream/ticket")).status_code == 401
    async with holder.http() as http:
        ticket = (await http.post(f"/threads/{thread_id}/stream/ticket")).json()["ticket"]
        again = await http.post(f"/threads/{thread_id}/stream/ticket?ticket={ticket}", headers={"x-api-key": ""})
        assert again.status_code == 401, "a ticket makes no further tickets"


async def test_a_ticket_ends_with_the_key_that_requested_it(served: Served, holder: KeyHolder, thread_id: str) -> None:
    ticket = await ticket_for(holder, f"/threads/{thread_id}/stream")
    await served.services.api_keys.revoke(holder.key.key.key_id, "the test")
    assert await status_of_stream(served.url, ticket["path"]) == 401


async def test_a_stream_that_a_ticket_has_opened_ends_with_the_key(
    served: Served, holder: KeyHolder, thread_id: str
) -> None:
    ticket = await ticket_for(holder, f"/threads/{thread_id}/stream")
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as http, http.stream("GET", ticket["path"]) as stream:
        assert stream.status_code == 200
        await served.services.api_keys.revoke(holder.key.key.key_id, "the test")
        received = "".join([part async for part in stream.aiter_text()])
    assert "access.refused" in received


async def test_a_ticket_expires_and_is_stored_as_a_hash(served: Served, holder: KeyHolder, thread_id: str) -> None:
    ticket = (await ticket_for(holder, f"/threads/{thread_id}/stream"))["ticket"]
    services = served.services
    stored = services.keys.stream_ticket(digest_of(ticket))
    assert 0 < await services.pipeline.send("TTL", stored, repeatable=True) <= 30
    assert ticket.encode() not in await services.pipeline.send("DUMP", stored, repeatable=True)


async def test_a_ticket_opens_a_websocket_once(served: Served, holder: KeyHolder, thread_id: str) -> None:
    path = f"/threads/{thread_id}/stream/events"
    ticket = await ticket_for(holder, path)
    uri = f"{served.url.replace('http', 'ws')}{ticket['path']}"
    async with websockets.connect(uri) as socket:
        await socket.send('{"id": 1, "method": "subscription.subscribe", "params": {"channels": ["values"]}}')
        assert '"subscription_id"' in str(await socket.recv())
    async with websockets.connect(uri) as again:
        await again.wait_closed()
        assert again.close_code == 4401


async def test_a_ticket_opens_the_websocket_of_a_thread_that_does_not_exist_yet(
    served: Served, holder: KeyHolder, thread_id: str
) -> None:
    ticket = await ticket_for(holder, f"/threads/{new_id()}/stream/events")
    async with websockets.connect(f"{served.url.replace('http', 'ws')}{ticket['path']}") as socket:
        await socket.send('{"id": 1, "method": "subscription.subscribe", "params": {"channels": ["values"]}}')
        assert '"subscription_id"' in str(await socket.recv())
    bob = await new_holder(served, "runs:read", owner="bob")
    async with bob.http() as http:
        assert (await http.post(f"/threads/{thread_id}/stream/events/ticket")).status_code == 404, "it is of another"


async def test_nothing_after_the_first_middleware_sees_a_ticket() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    other = {"type": "http", "path": "/sign-in/callback", "query_string": b"ticket=of-the-host-app"}
    await TicketParameter(app)(other, nothing, nothing)
    assert seen.pop()["query_string"] == b"ticket=of-the-host-app"
    scope = {"type": "websocket", "path": "/x/stream/events", "query_string": b"a=b&ticket=secret&c=d"}
    await TicketParameter(app)(scope, nothing, nothing)
    assert seen[0] is scope, "the scope of the server itself, which logs the address of a WebSocket"
    assert (scope["query_string"], scope[TICKET_KEY]) == (b"a=b&c=d", "secret")
