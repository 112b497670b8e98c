"""The event protocol over a WebSocket, frame by frame."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from slipway.api.routes import event_socket
from slipway.event_protocol.protocol_event import base_number
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from tests.conftest import wait_until
from tests.events.conftest import DEADLINE_S, EVERY, completed, start, told
from tests.http.conftest import Served

pytestmark = pytest.mark.usefixtures("worker")


@asynccontextmanager
async def socket_of(served: Served, thread: str) -> AsyncIterator[ClientConnection]:
    """A socket on a thread."""
    url = f"{served.url.replace('http', 'ws', 1)}/threads/{thread}/stream/events"
    async with asyncio.timeout(DEADLINE_S), connect(url) as socket:
        yield socket


async def heard(socket: ClientConnection) -> Any:
    """The next frame."""
    return orjson.loads(await socket.recv())


async def ask(socket: ClientConnection, ident: int, method: str, **params: Any) -> tuple[Any, list[Any]]:
    """The answer to a command, and the events that came before it."""
    await socket.send(orjson.dumps({"id": ident, "method": method, "params": params}).decode())
    events = []
    while (frame := await heard(socket))["type"] == "event":
        events.append(frame)
    assert frame["id"] == ident
    return frame, events


async def test_commands_and_events_share_a_socket(served: Served, client: httpx.AsyncClient, thread: str) -> None:
    async with socket_of(served, thread) as socket:
        answer, _ = await ask(socket, 1, "subscription.subscribe", channels=EVERY)
        assert answer["type"] == "success"
        started, events = await ask(socket, 2, "run.start", assistant_id="steps", input={"until": 3})
        assert started["result"]["run_id"]
        while not (events and completed(events[-1])):
            events.append(await heard(socket))
        assert events == await told(client, thread, completed)
        ident = answer["result"]["subscription_id"]
        assert (await ask(socket, 3, "subscription.unsubscribe", subscription_id=ident))[0]["type"] == "success"
        again, _ = await ask(socket, 4, "subscription.unsubscribe", subscription_id=ident)
        assert again["error"] == "no_such_subscription"
        assert (await ask(socket, 5, "run.start", assistant_id="steps", input={"until": 1}))[1] == []


async def test_reconnecting_goes_on_where_it_was(served: Served, client: httpx.AsyncClient, thread: str) -> None:
    await start(client, thread, "steps", input={"until": 3})
    whole = await told(client, thread, completed)
    since = whole[4]["seq"]
    async with socket_of(served, thread) as socket:
        refused, _ = await ask(socket, 1, "subscription.reconnect", channels=EVERY)
        assert refused["error"] == "invalid_argument"
        mine = {"channels": EVERY, "since": since, "subscription_id": "mine"}
        answer, replayed = await ask(socket, 2, "subscription.reconnect", **mine)
        assert answer["result"] == {"subscription_id": "mine", "replayed_events": len(whole) - 5}
        assert replayed == whole[5:]
        _, everything = await ask(socket, 3, "subscription.reconnect", channels=EVERY, since=0)
        assert everything == whole, "a client that has received nothing yet has missed nothing"


async def test_what_is_not_kept_is_a_gap(
    served: Served, client: httpx.AsyncClient, thread: str, pipeline: Pipeline, keys: Keys
) -> None:
    old = await start(client, thread, "steps", input={"until": 1})
    first = await told(client, thread, completed)
    await start(client, thread, "steps", input={"until": 1})
    both = await told(client, thread, lambda event: completed(event) and event["seq"] > first[-1]["seq"])
    await pipeline.send("DEL", keys.events(old))
    async with socket_of(served, thread) as socket:
        answer, _ = await ask(socket, 1, "subscription.reconnect", channels=EVERY, since=first[2]["seq"])
        assert (answer["error"], answer["since"]) == ("resume_gap", first[2]["seq"])
        assert answer["min_available_seq"] == base_number(2) + 1
        answer, replayed = await ask(socket, 2, "subscription.reconnect", channels=EVERY, since=base_number(2))
        assert (answer["type"], replayed) == ("success", both[len(first) :])
    rest = await told(client, thread, completed)
    assert rest == both[len(first) :], "what is left has the numbers that it had"


async def test_as_many_subscriptions_as_there_may_be_can_still_be_replaced(
    served: Served, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_socket, "MAX_SUBSCRIPTIONS", 2)
    async with socket_of(served, thread) as socket:
        answers = [
            (await ask(socket, at, "subscription.subscribe", channels=EVERY, subscription_id=ident))[0]
            for at, ident in enumerate(("a", "b", "c", "a"))
        ]
    assert [answer["type"] for answer in answers] == ["success", "success", "error", "success"]
    assert "at most 2" in answers[2]["message"]


async def test_bad_frames_are_answered_and_the_socket_stays_open(served: Served, thread: str) -> None:
    async with socket_of(served, thread) as socket:
        for frame in ("nonsense", "[]", '{"id": "1", "method": "x"}', b"\xff\xfe"):
            await socket.send(frame)
            assert (await heard(socket))["error"] == "invalid_argument"
        assert (await ask(socket, 1, "no.such"))[0]["error"] == "unknown_command"
        assert (await ask(socket, 2, "subscription.subscribe", channels=[]))[0]["error"] == "invalid_argument"


async def test_what_is_no_thread_is_refused_for_good(served: Served) -> None:
    async with socket_of(served, "nonsense") as socket:
        with pytest.raises(ConnectionClosed) as refused:
            await socket.recv()
        assert refused.value.rcvd is not None
        assert refused.value.rcvd.code == 4422


async def test_a_socket_that_is_gone_is_followed_no_more(served: Served, thread: str) -> None:
    notifications = served.services.thread_notifications
    async with socket_of(served, thread) as socket:
        await ask(socket, 1, "subscription.subscribe", channels=EVERY)
        await wait_until(lambda: notifications.is_subscribed(thread))
    await wait_until(lambda: not notifications.is_subscribed(thread))
