"""An answer that lasts ends with the access of its reader: when the thread's metadata changes, when the auth file
answers otherwise at the next run, and when the thread is deleted."""

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
from slipway.sse_frames import HEARTBEAT
from tests.attacks.rules_server import RUN, admin, ann, graphs, made, rules, served, settings
from tests.conftest import Eventually, wait_until
from tests.http.conftest import Served
from tests.runs.conftest import settlement
from tests.working import working

__all__ = ["admin", "ann", "graphs", "rules", "served", "settings"]

DEADLINE_S = 30
MEMBERS = {"members": {"$contains": "ann"}}
ON_THREADS = ("threads:read", "threads:create_run", "threads:update")
LATER = RUN | {"after_seconds": 3600}
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
"""Answers that are events, on a thread that exists."""
WAITS = {
    "GET " + RUN_PATH + "/join",
    "POST /threads/{thread_id}/runs/wait",
    "POST " + RUN_PATH + "/cancel",
}
"""Answers that are one JSON object, in the end."""
STATELESS = {"POST /runs/stream", "POST /runs/wait"}
"""Answers about a run whose thread is made for it."""
LONG = sorted(STREAMS | WAITS)
OF_THREAD = ["GET /threads/{thread_id}/stream", "POST /threads/{thread_id}/stream/events"]


def test_every_long_response_is_listed() -> None:
    streams = {
        f"{each.method} {plain_path(each.path)}" for each in ENDPOINTS if each.media_type == "text/event-stream"
    } | {f"{each.method} {each.path}" for each in site.ENDPOINTS if each.path.endswith("/events")}
    waits = {f"{each.method} {plain_path(each.path)}" for each in ENDPOINTS if each.path.endswith(("/join", "/wait"))}
    assert streams | waits == (STREAMS | WAITS | STATELESS) - {"POST " + RUN_PATH + "/cancel"}


@dataclass(slots=True)
class Open:
    """An answer that has begun, and what has come of it."""

    response: httpx.Response
    received: bytearray
    reading: asyncio.Task[None]

    async def text(self) -> str:
        """All of it, once it is over. Fails when it does not end properly."""
        async with asyncio.timeout(DEADLINE_S):
            await self.reading
        return self.received.decode()


@asynccontextmanager
async def opened(client: httpx.AsyncClient, name: str, ids: dict[str, str], **query: Any) -> AsyncIterator[Open]:
    """A long answer, from the moment that its headers have come; `query` is added to its parameters."""
    method, _, path = name.partition(" ")
    body = EVENTS if path.endswith("/stream/events") else LATER if method == "POST" and "cancel" not in path else None
    params = query | ({"wait": "true"} if path.endswith("/cancel") else {"end": "true"})
    request = client.build_request(
        method, path.format(**ids), json=body, params=params, timeout=DEADLINE_S, headers={"last-event-id": "-"}
    )
    response = await client.send(request, stream=True)
    assert response.status_code == 200, await response.aread()

    received = bytearray()

    async def read() -> None:
        async for piece in response.aiter_bytes():
            received.extend(piece)

    reading = asyncio.create_task(read())
    try:
        yield Open(response, received, reading)
    finally:
        reading.cancel()
        await response.aclose()


@pytest.fixture
async def ids(admin: httpx.AsyncClient, rules: Any) -> dict[str, str]:
    """A thread with ann among its members, which threads are for, and a run of it that waits."""
    rules.filters = dict.fromkeys(ON_THREADS, MEMBERS)
    thread_id = (await made(admin, "/threads", {"metadata": {"members": ["ann", "bob"]}}))["thread_id"]
    run = await made(admin, f"/threads/{thread_id}/runs", RUN)
    return {"thread_id": thread_id, "run_id": run["run_id"]}


async def set_members(admin: httpx.AsyncClient, thread_id: str, *members: str) -> None:
    """Who may use the thread from now on."""
    answer = await admin.patch(f"/threads/{thread_id}", json={"metadata": {"members": members}})
    assert answer.status_code == 200


def error_in(name: str, text: str) -> Any:
    """The error with which an answer ended: what the last event or the JSON has."""
    if "/ui/" in name:
        return {"code": "not_found"}  # the page asks anew, and is told by the status
    if name in WAITS | STATELESS and "data:" not in text:
        return orjson.loads(text)["__error__"]
    last = text.replace(HEARTBEAT.decode(), "").rstrip().rpartition("\r\n\r\n")[2]
    assert last.startswith("event: error\r\n"), text
    return orjson.loads(last.partition("data: ")[2])


async def hold_run(served: Served, name: str) -> None:
    """For an answer that waits until a cancelled run has stopped: one that waits has at once, one that a worker holds
    has not."""
    if name.endswith("/cancel"):
        _, held = await served.services.scripts.run_claim("nobody", 1, 60_000)
        assert len(held) == 1


async def is_listened_to(served: Served, thread_id: str) -> bool:
    """Whether the server has subscribed to what happens to the thread."""
    services = served.services
    return bool((await services.pipeline.send("PUBSUB", "NUMSUB", services.keys.thread_notifications(thread_id)))[1])


async def end_runs(served: Served, admin: httpx.AsyncClient, thread_id: str) -> None:
    """What the thread is busy with comes to its end: as a worker has it, or because it is cancelled."""
    for run in (await admin.get(f"/threads/{thread_id}/runs")).json():
        if run["status"] == "running":
            now = await served.services.runs.find(run["run_id"])
            settled = settlement(now, Phase.CANCELLED).arguments(now, 0)
            assert (await served.services.scripts.run_settle(settled, [])) == Settled()
        else:
            await admin.post(f"/threads/{thread_id}/runs/{run['run_id']}/cancel")


@pytest.mark.parametrize("name", LONG)
async def test_a_metadata_change_that_removes_access_ends_a_response(
    served: Served, admin: httpx.AsyncClient, ann: httpx.AsyncClient, ids: dict[str, str], name: str
) -> None:
    """At once: nothing that happens after the change is sent."""
    await hold_run(served, name)
    async with opened(ann, name, ids) as answer:
        await set_members(admin, ids["thread_id"], "bob")
        await end_runs(served, admin, ids["thread_id"])
        text = await answer.text()
    error = error_in(name, text)
    assert error.get("code") == "not_found" or error.get("error") == "no_such_run", text
    assert "interrupted" not in text
    path = name.partition(" ")[2].format(**ids)
    again = await ann.get(path) if name.startswith("GET") else await ann.get(f"/threads/{ids['thread_id']}")
    assert again.status_code == 404, "a client that comes back does not come back twice"


@pytest.mark.parametrize("name", LONG)
async def test_a_metadata_change_that_keeps_access_ends_no_response(
    served: Served, admin: httpx.AsyncClient, ann: httpx.AsyncClient, ids: dict[str, str], rules: Any, name: str
) -> None:
    """It is asked about, and then the answer goes on."""
    await hold_run(served, name)
    async with opened(ann, name, ids) as answer:
        await wait_until(lambda: is_listened_to(served, ids["thread_id"]))
        rules.asked.clear()
        await set_members(admin, ids["thread_id"], "ann", "cleo")
        await wait_until(lambda: ON_THREADS[name.endswith("/cancel") * 2] in rules.operations())
        await end_runs(served, admin, ids["thread_id"])
        if name in OF_THREAD:
            await wait_until(lambda: b"interrupted" in answer.received)
        else:
            assert "not_found" not in await answer.text()


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
    """The client receives no event that says that the stream is over, and comes back."""
    async with opened(ann, name, ids) as answer:
        await eventually(lambda: is_listened_to(served, ids["thread_id"]))
        rules.broken = {"threads:read"}
        await set_members(admin, ids["thread_id"], "ann")
        with suppress(httpx.RemoteProtocolError):
            await answer.text()
    assert b"event: error" not in answer.received
    assert b"event: end" not in answer.received


@pytest.mark.parametrize("name", [name for name in LONG if not name.endswith("/cancel")])
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
    """No metadata has changed, but the handler refuses by now; no word of the run is sent."""
    monkeypatch.setattr(access_watch, "RECHECK_AFTER_S", 0.0)
    thread_id = ids["thread_id"]
    await admin.post(f"/threads/{thread_id}/runs/{ids['run_id']}/cancel")
    ids = {"thread_id": thread_id, "run_id": (await made(admin, f"/threads/{thread_id}/runs", RUN))["run_id"]}
    monkeypatch.setitem(LATER, "after_seconds", 0)
    async with opened(ann, name, ids) as answer:
        rules.refused = {"threads:read"}
        async with working(settings, graphs):
            text = await answer.text()
    if "/ui/" not in name:
        error = error_in(name, text)
        assert error.get("code") == "access.refused" or error.get("error") == "permission_denied", text
    assert "said" not in text


async def test_a_response_is_authorized_again_before_a_written_state_is_sent(
    served: Served, admin: httpx.AsyncClient, ann: httpx.AsyncClient, ids: dict[str, str], rules: Any
) -> None:
    thread_id = ids["thread_id"]
    await end_runs(served, admin, thread_id)
    modes = {"stream_mode": ["run_modes", "state_update"]}
    async with opened(ann, OF_THREAD[0], ids, **modes) as answer:
        for text, refused in (("to be seen", set()), ("secret", {"threads:read"})):
            await wait_until(lambda: b"run_done" in answer.received)
            rules.refused = refused
            written = await admin.post(f"/threads/{thread_id}/state", json={"values": {"text": text}})
            assert written.status_code == 200, written.text
            if not refused:
                await wait_until(lambda: b"to be seen" in answer.received)
        received = await answer.text()
    assert error_in(OF_THREAD[0], received)["code"] == "access.refused"
    assert "secret" not in received


async def test_no_event_is_sent_during_the_authorization(
    served: Served, admin: httpx.AsyncClient, ann: httpx.AsyncClient, ids: dict[str, str], rules: Any
) -> None:
    """But the heartbeat, so that the client waits."""
    assert (await served.services.scripts.run_claim("nobody", 1, 60_000))[1]
    async with opened(ann, OF_THREAD[0], ids) as answer:
        await wait_until(lambda: b"event: metadata" in answer.received)  # asked before it
        rules.asked.clear()
        rules.still = {"threads:read"}
        await set_members(admin, ids["thread_id"], "ann", "cleo")
        await wait_until(lambda: "threads:read" in rules.operations())
        await end_runs(served, admin, ids["thread_id"])
        beats = answer.received.count(HEARTBEAT)
        await wait_until(lambda: answer.received.count(HEARTBEAT) >= beats + 2)
        assert b"interrupted" not in answer.received


async def test_a_response_is_authorized_again_after_an_outage(
    served: Served, ann: httpx.AsyncClient, ids: dict[str, str], rules: Any
) -> None:
    """Whatever was published meanwhile was missed."""
    thread_id, services = ids["thread_id"], served.services
    async with socket_of(served, thread_id) as socket, opened(ann, OF_THREAD[0], ids) as answer:
        assert (await say(socket, "agent.getTree"))["id"] == 1
        await wait_until(lambda: services.thread_notifications.is_subscribed(thread_id))
        rules.refused = {"threads:read"}
        services.subscriber.connection.disconnect()
        assert await closed(socket) == (4403, [])
        assert error_in(OF_THREAD[0], await answer.text())["code"] == "access.refused"


@pytest.mark.parametrize("name", sorted(STATELESS))
async def test_a_metadata_change_ends_the_response_of_a_stateless_run(
    admin: httpx.AsyncClient, ann: httpx.AsyncClient, rules: Any, name: str, eventually: Eventually
) -> None:
    """Its thread is made for it and can be changed all the same."""
    rules.filters = {"threads:read": MEMBERS}
    async with opened(ann, name, {}) as answer:
        place = answer.response.headers["content-location"]
        (thread,) = (await admin.post("/threads/search", json={})).json()
        await set_members(admin, thread["thread_id"], "bob")
        text = await answer.text()
    assert place
    assert error_in(name, text)["code"] == "not_found"


@pytest.mark.parametrize("name", sorted(STATELESS | {"POST /threads/{thread_id}/runs/wait"}))
async def test_a_user_who_may_not_read_the_created_thread_still_gets_the_result(
    ann: httpx.AsyncClient, rules: Any, settings: Settings, graphs: Registry, name: str
) -> None:
    """On a thread that is made for the run, the filter of `threads:read` counts once somebody changes the metadata."""
    rules.filters = {"threads:read": MEMBERS}
    body = RUN | ({"if_not_exists": "create"} if "thread_id" in name else {})
    path = name.partition(" ")[2].format(thread_id=uuid.uuid4())
    async with working(settings, graphs):
        answer = await ann.post(path, json=body)
    assert "for ann" in answer.text


@pytest.mark.parametrize("name", OF_THREAD)
async def test_a_stream_ends_when_its_thread_is_deleted(
    admin: httpx.AsyncClient, ann: httpx.AsyncClient, ids: dict[str, str], eventually: Eventually, name: str
) -> None:
    """Also when another thread gets its id at once."""
    async with opened(ann, name, ids) as answer:
        await admin.post(f"/threads/{ids['thread_id']}/runs/{ids['run_id']}/cancel")
        await eventually(lambda: b"data:" in answer.received)
        await admin.delete(f"/threads/{ids['thread_id']}")
        await made(admin, "/threads", {"thread_id": ids["thread_id"], "metadata": {"members": ["ann"]}})
        text = await answer.text()
    error = error_in(name, text)
    assert error.get("code") == "not_found" or error.get("error") == "no_such_run"


async def test_the_sdk_does_not_reconnect_after_access_was_lost(
    served: Served, admin: httpx.AsyncClient, ids: dict[str, str]
) -> None:
    """The Python SDK, by each of its streams: what it gets, and how often it asks."""
    thread_id, run_id = ids["thread_id"], ids["run_id"]
    answers: list[tuple[str, int]] = []

    async def note(response: httpx.Response) -> None:
        answers.append((response.url.path.removeprefix(f"/threads/{thread_id}"), response.status_code))

    async with get_client(url=served.url, api_key=None, headers={"authorization": "Bearer ann-token"}) as client:
        client.http.client.event_hooks["response"].append(note)

        async def parts(stream: AsyncIterator[Any]) -> list[Any]:
            return [(part.event, part.data) async for part in stream]

        reading = asyncio.gather(
            parts(client.runs.join_stream(thread_id, run_id, last_event_id="-1")),
            parts(await client.threads.join_stream(thread_id, last_event_id="-")),
            client.runs.join(thread_id, run_id),
        )
        await wait_until(lambda: len(set(answers)) == 3)
        await set_members(admin, thread_id, "bob")
        async with asyncio.timeout(DEADLINE_S):
            of_run, of_thread, outcome = await reading
    assert of_run[-1] == of_thread[-1]
    assert (of_run[-1][0], of_run[-1][1]["code"]) == ("error", "not_found")
    assert outcome["__error__"]["code"] == "not_found"
    assert len(answers) == 3, answers


@asynccontextmanager
async def socket_of(served: Served, thread_id: str) -> AsyncIterator[ClientConnection]:
    """A socket of ann's."""
    url = f"{served.url.replace('http', 'ws', 1)}/threads/{thread_id}/stream/events"
    headers = {"authorization": "Bearer ann-token"}
    async with asyncio.timeout(DEADLINE_S), connect(url, additional_headers=headers) as socket:
        yield socket


async def say(socket: ClientConnection, method: str, **params: Any) -> Any:
    """The answer to a command; events before it are passed over."""
    await socket.send(orjson.dumps({"id": 1, "method": method, "params": params}).decode())
    while (frame := orjson.loads(await socket.recv()))["type"] == "event":
        pass
    return frame


async def closed(socket: ClientConnection) -> tuple[int, list[Any]]:
    """By which code the server closes the socket, and the frames before that."""
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
            assert (await say(socket, "subscription.subscribe", **EVENTS))["type"] == "success"
        else:
            assert (await say(socket, "agent.getTree"))["id"] == 1
        await set_members(admin, ids["thread_id"], "bob")
        await admin.post(f"/threads/{ids['thread_id']}/runs/{ids['run_id']}/cancel")
        assert await closed(socket) == (4404, [])


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
        assert (await say(socket, "agent.getTree"))["id"] == 1
        rules.refused = {"threads:read"}
        await socket.send(orjson.dumps({"id": 2, "method": method, "params": params}).decode())
        assert await closed(socket) == (4403, [])
    assert len((await admin.get(f"/threads/{ids['thread_id']}/runs")).json()) == 1


@pytest.mark.parametrize("when", ["at first", "later"])
async def test_a_long_denial_closes_a_websocket_with_its_code(
    served: Served, ids: dict[str, str], rules: Any, when: str
) -> None:
    """In any script: a frame that closes has room for 123 bytes."""

    def refuse(value: Any) -> None:
        raise Auth.exceptions.HTTPException(403, "нельзя " * 20)

    if when == "at first":
        rules.changes = {"threads:read": refuse}
    async with socket_of(served, ids["thread_id"]) as socket:
        if when == "later":
            assert (await say(socket, "agent.getTree"))["id"] == 1
            rules.changes = {"threads:read": refuse}
            await socket.send(orjson.dumps({"id": 2, "method": "agent.getTree", "params": {}}).decode())
        assert await closed(socket) == (4403, [])
    assert (socket.close_reason or "").startswith("нельзя нельзя")


async def test_a_websocket_closes_when_its_thread_is_deleted(
    served: Served, admin: httpx.AsyncClient, ids: dict[str, str]
) -> None:
    async with socket_of(served, ids["thread_id"]) as socket:
        assert (await say(socket, "subscription.subscribe", **EVENTS))["type"] == "success"
        await admin.delete(f"/threads/{ids['thread_id']}")
        code, _ = await closed(socket)
        assert code == 4404
