"""A long response ends when its user loses access: when the metadata of the thread changes, when the auth file denies
access at the next run, and when the thread is deleted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest
from langgraph_sdk import Auth, get_client
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from slipway.api.openapi import plain_path
from slipway.api.route_table import ENDPOINTS
from slipway.api.streams import access_watch
from slipway.api.ui import site
from slipway.graphs.registry import Registry
from slipway.runs.record import Phase
from slipway.runs.script_results import Settled
from slipway.settings import Settings
from slipway.sse_frames import PING
from tests.attacks.rules_server import (
    DELAYED_RUN,
    MEMBERS_ONLY,
    RUN,
    THREAD_OPERATIONS,
    admin,
    ann,
    graphs,
    post_json,
    rules,
    served,
    set_members,
    settings,
)
from tests.http.conftest import Served
from tests.runs.conftest import settlement
from tests.waiting import Eventually, wait_until
from tests.worker import running_worker

__all__ = ["admin", "ann", "graphs", "rules", "served", "settings"]

DEADLINE_S = 30
EVENTS = {"channels": ["values", "lifecycle"]}
RUN_PATH = "/threads/{thread_id}/runs/{run_id}"
STREAMS = {
    "GET /threads/{thread_id}/stream",
    "POST /threads/{thread_id}/stream/events",
    "GET " + RUN_PATH + "/stream",
    "POST /threads/{thread_id}/runs/stream",
    "GET /runs/{run_id}/stream",
    "GET /ui" + RUN_PATH + "/events",
}
"""Event streams of an existing thread."""
OPERATOR_STREAMS = {"GET /ui/reviews/events"}
"""Streams for operators, of no thread. They end after a few minutes, and the browser opens them again."""
WAITS = {
    "GET " + RUN_PATH + "/join",
    "POST /threads/{thread_id}/runs/wait",
    "POST " + RUN_PATH + "/cancel",
}
"""Waiting responses: one JSON object at the end."""
STATELESS = {"POST /runs/stream", "POST /runs/wait"}
"""Responses for stateless runs."""
THREAD_RESPONSES = sorted(STREAMS | WAITS)
THREAD_STREAMS = ["GET /threads/{thread_id}/stream", "POST /threads/{thread_id}/stream/events"]


def test_every_long_response_is_listed() -> None:
    streams = {
        f"{each.method} {plain_path(each.path)}" for each in ENDPOINTS if each.media_type == "text/event-stream"
    } | {f"{each.method} {each.path}" for each in site.ENDPOINTS if each.path.endswith("/events")}
    waits = {f"{each.method} {plain_path(each.path)}" for each in ENDPOINTS if each.path.endswith(("/join", "/wait"))}
    assert streams | waits == (STREAMS | OPERATOR_STREAMS | WAITS | STATELESS) - {"POST " + RUN_PATH + "/cancel"}


@dataclass(slots=True)
class OpenResponse:
    """A response that has started, and its bytes so far."""

    response: httpx.Response
    received: bytearray
    reading: asyncio.Task[None]

    async def text(self) -> str:
        """The complete text. Waits for the end, and fails if the connection breaks first."""
        async with asyncio.timeout(DEADLINE_S):
            await self.reading
        return self.received.decode()


@asynccontextmanager
async def open_long_response(
    client: httpx.AsyncClient, name: str, ids: dict[str, str], **query: Any
) -> AsyncIterator[OpenResponse]:
    """Send the request of a long response and wait for its headers; `query` is added to its parameters."""
    method, _, path = name.partition(" ")
    body = (
        EVENTS
        if path.endswith("/stream/events")
        else DELAYED_RUN
        if method == "POST" and "cancel" not in path
        else None
    )
    params = query | ({"wait": "true"} if path.endswith("/cancel") else {"end": "true"})
    request = client.build_request(
        method, path.format(**ids), json=body, params=params, timeout=DEADLINE_S, headers={"last-event-id": "-"}
    )
    response = await client.send(request, stream=True)
    assert response.status_code == 200, await response.aread()

    received = bytearray()

    async def read() -> None:
        async for chunk in response.aiter_bytes():
            received.extend(chunk)

    reading = asyncio.create_task(read())
    try:
        yield OpenResponse(response, received, reading)
    finally:
        reading.cancel()
        await response.aclose()


@pytest.fixture
async def ids(admin: httpx.AsyncClient, rules: Any) -> dict[str, str]:
    """A thread with the members ann and bob, and a queued run on it. Only a thread with the member ann can be used."""
    rules.filters = dict.fromkeys(THREAD_OPERATIONS, MEMBERS_ONLY)
    thread_id = (await post_json(admin, "/threads", {"metadata": {"members": ["ann", "bob"]}}))["thread_id"]
    run = await post_json(admin, f"/threads/{thread_id}/runs", RUN)
    return {"thread_id": thread_id, "run_id": run["run_id"]}


def error_in(name: str, text: str) -> Any:
    """The error at the end of a response: the data of its last event, or a member of its JSON."""
    if "/ui/" in name:
        return {"code": "not_found"}  # the page sends a new request, and gets the status
    if name in WAITS | STATELESS and "data:" not in text:
        return orjson.loads(text)["__error__"]
    last = text.replace(PING.decode(), "").rstrip().rpartition("\r\n\r\n")[2]
    assert last.startswith("event: error\r\n"), text
    return orjson.loads(last.partition("data: ")[2])


async def claim_run(served: Served, name: str) -> None:
    """Claim the run for a route that waits until a cancelled run stopped: a queued run would stop at once."""
    if name.endswith("/cancel"):
        _, claimed, *_ = await served.services.queues[0].run_claim("nobody", 1, 60_000)
        assert len(claimed) == 1


async def is_subscribed(served: Served, thread_id: str) -> bool:
    """Whether the web process has subscribed to notifications of the thread."""
    services = served.services
    return bool((await services.pipeline.send("PUBSUB", "NUMSUB", services.keys.thread_notifications(thread_id)))[1])


async def end_runs(served: Served, admin: httpx.AsyncClient, thread_id: str) -> None:
    """End all runs of the thread: settle a running one as cancelled, and cancel a queued one."""
    for run in (await admin.get(f"/threads/{thread_id}/runs")).json():
        if run["status"] == "running":
            now = await served.services.runs.find(run["run_id"])
            settled = settlement(now, Phase.CANCELLED).arguments(now, 0)
            assert (await served.services.scripts.run_settle(settled, [])) == Settled()
        else:
            await admin.post(f"/threads/{thread_id}/runs/{run['run_id']}/cancel")


@pytest.mark.parametrize("name", THREAD_RESPONSES)
async def test_a_metadata_change_that_removes_access_ends_a_response(
    served: Served, admin: httpx.AsyncClient, ann: httpx.AsyncClient, ids: dict[str, str], name: str
) -> None:
    """No event after the change is sent."""
    await claim_run(served, name)
    async with open_long_response(ann, name, ids) as open_response:
        await set_members(admin, ids["thread_id"], "bob")
        await end_runs(served, admin, ids["thread_id"])
        text = await open_response.text()
    error = error_in(name, text)
    assert error.get("code") == "not_found" or error.get("error") == "no_such_run", text
    assert "interrupted" not in text
    path = name.partition(" ")[2].format(**ids)
    again = await ann.get(path) if name.startswith("GET") else await ann.get(f"/threads/{ids['thread_id']}")
    assert again.status_code == 404, "a client that reconnects is denied, and does not reconnect again"


@pytest.mark.parametrize("name", THREAD_RESPONSES)
async def test_a_metadata_change_that_keeps_access_ends_no_response(
    served: Served, admin: httpx.AsyncClient, ann: httpx.AsyncClient, ids: dict[str, str], rules: Any, name: str
) -> None:
    """The response is authorized again and continues."""
    await claim_run(served, name)
    async with open_long_response(ann, name, ids) as open_response:
        await wait_until(lambda: is_subscribed(served, ids["thread_id"]))
        rules.calls.clear()
        await set_members(admin, ids["thread_id"], "ann", "cleo")
        await wait_until(lambda: THREAD_OPERATIONS[name.endswith("/cancel") * 2] in rules.operations())
        await end_runs(served, admin, ids["thread_id"])
        if name in THREAD_STREAMS:
            await wait_until(lambda: b"interrupted" in open_response.received)
        else:
            assert "not_found" not in await open_response.text()


@pytest.mark.parametrize("name", ["GET /threads/{thread_id}/stream", "GET " + RUN_PATH + "/stream"])
async def test_a_failing_auth_file_disconnects_a_stream(
    served: Served,
    admin: httpx.AsyncClient,
    ann: httpx.AsyncClient,
    ids: dict[str, str],
    rules: Any,
    eventually: Eventually,
    name: str,
) -> None:
    """Without an end event the client reconnects."""
    async with open_long_response(ann, name, ids) as open_response:
        await eventually(lambda: is_subscribed(served, ids["thread_id"]))
        rules.failing = {"threads:read"}
        await set_members(admin, ids["thread_id"], "ann")
        with suppress(httpx.RemoteProtocolError):
            await open_response.text()
    assert b"event: error" not in open_response.received
    assert b"event: end" not in open_response.received


@pytest.mark.parametrize("name", [name for name in THREAD_RESPONSES if not name.endswith("/cancel")])
async def test_a_response_is_authorized_again_when_the_run_starts(
    ann: httpx.AsyncClient,
    admin: httpx.AsyncClient,
    ids: dict[str, str],
    rules: Any,
    settings: Settings,
    graphs: Registry,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """No metadata changed, but the handler denies access now. No event of the run is sent."""
    monkeypatch.setattr(access_watch, "RECHECK_AFTER_S", 0.0)
    thread_id = ids["thread_id"]
    await admin.post(f"/threads/{thread_id}/runs/{ids['run_id']}/cancel")
    ids = {"thread_id": thread_id, "run_id": (await post_json(admin, f"/threads/{thread_id}/runs", RUN))["run_id"]}
    monkeypatch.setitem(DELAYED_RUN, "after_seconds", 0)
    async with open_long_response(ann, name, ids) as open_response:
        rules.denied = {"threads:read"}
        async with running_worker(settings, graphs):
            text = await open_response.text()
    if "/ui/" not in name:
        error = error_in(name, text)
        assert error.get("code") == "access.refused" or error.get("error") == "permission_denied", text
    assert "reply" not in text


async def test_a_response_is_authorized_again_before_a_written_state_is_sent(
    served: Served, admin: httpx.AsyncClient, ann: httpx.AsyncClient, ids: dict[str, str], rules: Any
) -> None:
    thread_id = ids["thread_id"]
    await end_runs(served, admin, thread_id)
    modes = {"stream_mode": ["run_modes", "state_update"]}
    async with open_long_response(ann, THREAD_STREAMS[0], ids, **modes) as open_response:
        for text, denied in (("visible", set()), ("secret", {"threads:read"})):
            await wait_until(lambda: b"run_done" in open_response.received)
            rules.denied = denied
            written = await admin.post(f"/threads/{thread_id}/state", json={"values": {"text": text}})
            assert written.status_code == 200, written.text
            if not denied:
                await wait_until(lambda: b"visible" in open_response.received)
        received = await open_response.text()
    assert error_in(THREAD_STREAMS[0], received)["code"] == "access.refused"
    assert "secret" not in received


async def test_no_event_is_sent_during_the_authorization(
    served: Served, admin: httpx.AsyncClient, ann: httpx.AsyncClient, ids: dict[str, str], rules: Any
) -> None:
    """Heartbeats are sent, so that the client waits."""
    assert (await served.services.queues[0].run_claim("nobody", 1, 60_000))[1]
    async with open_long_response(ann, THREAD_STREAMS[0], ids) as open_response:
        await wait_until(lambda: b"event: metadata" in open_response.received)  # is sent after the first authorization
        rules.calls.clear()
        rules.hanging = {"threads:read"}
        await set_members(admin, ids["thread_id"], "ann", "cleo")
        await wait_until(lambda: "threads:read" in rules.operations())
        await end_runs(served, admin, ids["thread_id"])
        heartbeats = open_response.received.count(PING)
        await wait_until(lambda: open_response.received.count(PING) >= heartbeats + 2)
        assert b"interrupted" not in open_response.received


async def test_a_response_is_authorized_again_after_an_outage(
    served: Served, ann: httpx.AsyncClient, ids: dict[str, str], rules: Any
) -> None:
    """Notifications during the outage are lost."""
    thread_id, services = ids["thread_id"], served.services
    async with socket_of(served, thread_id) as socket, open_long_response(ann, THREAD_STREAMS[0], ids) as open_response:
        assert (await send_command(socket, "agent.getTree"))["id"] == 1
        await wait_until(lambda: services.thread_notifications.is_subscribed(thread_id))
        rules.denied = {"threads:read"}
        services.subscriber.reconnect()
        assert await wait_closed(socket) == (4403, [])
        assert error_in(THREAD_STREAMS[0], await open_response.text())["code"] == "access.refused"


@pytest.mark.parametrize("name", sorted(STATELESS))
async def test_a_metadata_change_ends_the_response_of_a_stateless_run(
    admin: httpx.AsyncClient, ann: httpx.AsyncClient, rules: Any, name: str, eventually: Eventually
) -> None:
    """Its temporary thread can be changed."""
    rules.filters = {"threads:read": MEMBERS_ONLY}
    async with open_long_response(ann, name, {}) as open_response:
        location = open_response.response.headers["content-location"]
        (thread,) = (await admin.post("/threads/search", json={})).json()
        await set_members(admin, thread["thread_id"], "bob")
        text = await open_response.text()
    assert location
    assert error_in(name, text)["code"] == "not_found"


@pytest.mark.parametrize("name", sorted(STATELESS | {"POST /threads/{thread_id}/runs/wait"}))
async def test_a_user_who_may_not_read_the_created_thread_still_gets_the_result(
    ann: httpx.AsyncClient, rules: Any, settings: Settings, graphs: Registry, name: str
) -> None:
    """On a thread that is created with the run, the filter of `threads:read` applies after a metadata change."""
    rules.filters = {"threads:read": MEMBERS_ONLY}
    body = RUN | ({"if_not_exists": "create"} if "thread_id" in name else {})
    path = name.partition(" ")[2].format(thread_id=uuid.uuid4())
    async with running_worker(settings, graphs):
        response = await ann.post(path, json=body)
    assert "for ann" in response.text


@pytest.mark.parametrize("name", THREAD_STREAMS)
async def test_a_stream_ends_when_its_thread_is_deleted(
    admin: httpx.AsyncClient, ann: httpx.AsyncClient, ids: dict[str, str], eventually: Eventually, name: str
) -> None:
    """Also if a new thread gets its id at once."""
    async with open_long_response(ann, name, ids) as open_response:
        await admin.post(f"/threads/{ids['thread_id']}/runs/{ids['run_id']}/cancel")
        await eventually(lambda: b"data:" in open_response.received)
        await admin.delete(f"/threads/{ids['thread_id']}")
        await post_json(admin, "/threads", {"thread_id": ids["thread_id"], "metadata": {"members": ["ann"]}})
        text = await open_response.text()
    error = error_in(name, text)
    assert error.get("code") == "not_found" or error.get("error") == "no_such_run"


async def test_the_sdk_does_not_reconnect_after_access_was_lost(
    served: Served, admin: httpx.AsyncClient, ids: dict[str, str]
) -> None:
    """Each stream of the Python SDK: the error that it receives, and the number of its requests."""
    thread_id, run_id = ids["thread_id"], ids["run_id"]
    responses: list[tuple[str, int]] = []

    async def record(response: httpx.Response) -> None:
        responses.append((response.url.path.removeprefix(f"/threads/{thread_id}"), response.status_code))

    async with get_client(url=served.url, api_key=None, headers={"authorization": "Bearer ann-token"}) as client:
        client.http.client.event_hooks["response"].append(record)

        async def parts(stream: AsyncIterator[Any]) -> list[Any]:
            return [(part.event, part.data) async for part in stream]

        reading = asyncio.gather(
            parts(client.runs.join_stream(thread_id, run_id, last_event_id="-1")),
            parts(await client.threads.join_stream(thread_id, last_event_id="-")),
            client.runs.join(thread_id, run_id),
        )
        await wait_until(lambda: len(set(responses)) == 3)
        await set_members(admin, thread_id, "bob")
        async with asyncio.timeout(DEADLINE_S):
            run_events, thread_events, outcome = await reading
    assert run_events[-1] == thread_events[-1]
    assert (run_events[-1][0], run_events[-1][1]["code"]) == ("error", "not_found")
    assert outcome["__error__"]["code"] == "not_found"
    assert len(responses) == 3, responses


@asynccontextmanager
async def socket_of(served: Served, thread_id: str) -> AsyncIterator[ClientConnection]:
    """A WebSocket of ann."""
    url = f"{served.url.replace('http', 'ws', 1)}/threads/{thread_id}/stream/events"
    headers = {"authorization": "Bearer ann-token"}
    async with asyncio.timeout(DEADLINE_S), connect(url, additional_headers=headers) as socket:
        yield socket


async def send_command(socket: ClientConnection, method: str, **params: Any) -> Any:
    """The response to a command. Skips events."""
    await socket.send(orjson.dumps({"id": 1, "method": method, "params": params}).decode())
    while (frame := orjson.loads(await socket.recv()))["type"] == "event":
        pass
    return frame


async def wait_closed(socket: ClientConnection) -> tuple[int, list[Any]]:
    """The code with which the server closes the WebSocket, and the frames before."""
    frames = []
    with suppress(ConnectionClosed):
        while True:
            frames.append(orjson.loads(await socket.recv()))
    assert socket.close_code is not None
    return socket.close_code, frames


@pytest.mark.parametrize("subscribed", [True, False])
async def test_a_metadata_change_that_removes_access_closes_a_websocket(
    served: Served, admin: httpx.AsyncClient, ids: dict[str, str], subscribed: bool
) -> None:
    async with socket_of(served, ids["thread_id"]) as socket:
        if subscribed:
            assert (await send_command(socket, "subscription.subscribe", **EVENTS))["type"] == "success"
        else:
            assert (await send_command(socket, "agent.getTree"))["id"] == 1
        await set_members(admin, ids["thread_id"], "bob")
        await admin.post(f"/threads/{ids['thread_id']}/runs/{ids['run_id']}/cancel")
        assert await wait_closed(socket) == (4404, [])


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("subscription.subscribe", EVENTS),
        ("subscription.reconnect", EVENTS | {"since": 0}),
        ("subscription.unsubscribe", {"subscription_id": "x"}),
        ("agent.getTree", {}),
        ("run.start", {"assistant_id": "greet", "input": {"text": "hi"}}),
        ("input.respond", {"interrupt_id": "x", "response": 1, "namespace": []}),
        ("state.get", {}),
    ],
)
async def test_a_websocket_authorizes_each_command(
    served: Served, admin: httpx.AsyncClient, ids: dict[str, str], rules: Any, method: str, params: dict[str, Any]
) -> None:
    async with socket_of(served, ids["thread_id"]) as socket:
        assert (await send_command(socket, "agent.getTree"))["id"] == 1
        rules.denied = {"threads:read"}
        await socket.send(orjson.dumps({"id": 2, "method": method, "params": params}).decode())
        assert await wait_closed(socket) == (4403, [])
    assert len((await admin.get(f"/threads/{ids['thread_id']}/runs")).json()) == 1


@pytest.mark.parametrize("when", ["at first", "later"])
async def test_a_long_denial_closes_a_websocket_with_its_code(
    served: Served, ids: dict[str, str], rules: Any, when: str
) -> None:
    """Also in another alphabet: a close frame has at most 123 bytes of text."""

    def deny(value: Any) -> None:
        raise Auth.exceptions.HTTPException(403, "нельзя " * 20)

    if when == "at first":
        rules.changes = {"threads:read": deny}
    async with socket_of(served, ids["thread_id"]) as socket:
        if when == "later":
            assert (await send_command(socket, "agent.getTree"))["id"] == 1
            rules.changes = {"threads:read": deny}
            await socket.send(orjson.dumps({"id": 2, "method": "agent.getTree", "params": {}}).decode())
        assert await wait_closed(socket) == (4403, [])
    assert (socket.close_reason or "").startswith("нельзя нельзя")


async def test_a_websocket_closes_when_its_thread_is_deleted(
    served: Served, admin: httpx.AsyncClient, ids: dict[str, str]
) -> None:
    async with socket_of(served, ids["thread_id"]) as socket:
        assert (await send_command(socket, "subscription.subscribe", **EVENTS))["type"] == "success"
        await admin.delete(f"/threads/{ids['thread_id']}")
        code, _ = await wait_closed(socket)
        assert code == 4404
