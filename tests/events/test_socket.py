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
from tests.events.conftest import ALL_CHANNELS, DEADLINE_S, is_completed, read_until, start_run
from tests.http.conftest import Served
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("worker")


@asynccontextmanager
async def open_socket(served: Served, thread: str) -> AsyncIterator[ClientConnection]:
    url = f"{served.url.replace('http', 'ws', 1)}/threads/{thread}/stream/events"
    async with asyncio.timeout(DEADLINE_S), connect(url) as socket:
        yield socket


async def next_frame(socket: ClientConnection) -> Any:
    return orjson.loads(await socket.recv())


async def send(socket: ClientConnection, command_id: int, method: str, **params: Any) -> tuple[Any, list[Any]]:
    """The response to a command, and the events that were received before it."""
    await socket.send(orjson.dumps({"id": command_id, "method": method, "params": params}).decode())
    events = []
    while (frame := await next_frame(socket))["type"] == "event":
        events.append(frame)
    assert frame["id"] == command_id
    return frame, events


async def test_commands_and_events_share_a_socket(served: Served, client: httpx.AsyncClient, thread: str) -> None:
    async with open_socket(served, thread) as socket:
        response, _ = await send(socket, 1, "subscription.subscribe", channels=ALL_CHANNELS)
        assert response["type"] == "success"
        started, events = await send(socket, 2, "run.start", assistant_id="steps", input={"until": 3})
        assert started["result"]["run_id"]
        while not (events and is_completed(events[-1])):
            events.append(await next_frame(socket))
        assert events == await read_until(client, thread, is_completed)
        subscription_id = response["result"]["subscription_id"]
        assert (await send(socket, 3, "subscription.unsubscribe", subscription_id=subscription_id))[0][
            "type"
        ] == "success"
        again, _ = await send(socket, 4, "subscription.unsubscribe", subscription_id=subscription_id)
        assert again["error"] == "no_such_subscription"
        assert (await send(socket, 5, "run.start", assistant_id="steps", input={"until": 1}))[1] == []


async def test_a_reconnected_subscription_receives_the_events_after_since(
    served: Served, client: httpx.AsyncClient, thread: str
) -> None:
    await start_run(client, thread, "steps", input={"until": 3})
    all_events = await read_until(client, thread, is_completed)
    since = all_events[4]["seq"]
    async with open_socket(served, thread) as socket:
        rejected, _ = await send(socket, 1, "subscription.reconnect", channels=ALL_CHANNELS)
        assert rejected["error"] == "invalid_argument"
        mine = {"channels": ALL_CHANNELS, "since": since, "subscription_id": "mine"}
        response, replayed = await send(socket, 2, "subscription.reconnect", **mine)
        assert response["result"] == {"subscription_id": "mine", "replayed_events": len(all_events) - 5}
        assert replayed == all_events[5:]
        _, replayed = await send(socket, 3, "subscription.reconnect", channels=ALL_CHANNELS, since=0)
        assert replayed == all_events, "since=0 replays all events"


async def test_a_client_behind_a_deleted_log_receives_resume_gap(
    served: Served, client: httpx.AsyncClient, thread: str, pipeline: Pipeline, keys: Keys
) -> None:
    deleted = await start_run(client, thread, "steps", input={"until": 1})
    first = await read_until(client, thread, is_completed)
    await start_run(client, thread, "steps", input={"until": 1})
    both = await read_until(client, thread, lambda event: is_completed(event) and event["seq"] > first[-1]["seq"])
    await pipeline.send("DEL", keys.events(deleted))
    async with open_socket(served, thread) as socket:
        response, _ = await send(socket, 1, "subscription.reconnect", channels=ALL_CHANNELS, since=first[2]["seq"])
        assert (response["error"], response["since"]) == ("resume_gap", first[2]["seq"])
        assert response["min_available_seq"] == base_number(2) + 1
        response, replayed = await send(
            socket, 2, "subscription.reconnect", channels=ALL_CHANNELS, since=base_number(2)
        )
        assert (response["type"], replayed) == ("success", both[len(first) :])
    remaining = await read_until(client, thread, is_completed)
    assert remaining == both[len(first) :], "the remaining events have the same numbers"


async def test_a_subscription_is_replaced_when_the_limit_is_reached(
    served: Served, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_socket, "MAX_SUBSCRIPTIONS", 2)
    async with open_socket(served, thread) as socket:
        responses = [
            (await send(socket, command_id, "subscription.subscribe", channels=ALL_CHANNELS, subscription_id=name))[0]
            for command_id, name in enumerate(("a", "b", "c", "a"))
        ]
    assert [response["type"] for response in responses] == ["success", "success", "error", "success"]
    assert "at most 2" in responses[2]["message"]


async def test_invalid_frames_get_an_error_and_the_socket_stays_open(served: Served, thread: str) -> None:
    async with open_socket(served, thread) as socket:
        for frame in ("nonsense", "[]", '{"id": "1", "method": "x"}', b"\xff\xfe"):
            await socket.send(frame)
            assert (await next_frame(socket))["error"] == "invalid_argument"
        assert (await send(socket, 1, "no.such"))[0]["error"] == "unknown_command"
        assert (await send(socket, 2, "subscription.subscribe", channels=[]))[0]["error"] == "invalid_argument"


async def test_a_socket_of_an_invalid_thread_id_is_closed_with_4422(served: Served) -> None:
    async with open_socket(served, "nonsense") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4422


async def test_a_closed_socket_ends_its_subscription_of_notifications(served: Served, thread: str) -> None:
    notifications = served.services.thread_notifications
    async with open_socket(served, thread) as socket:
        await send(socket, 1, "subscription.subscribe", channels=ALL_CHANNELS)
        await wait_until(lambda: notifications.is_subscribed(thread))
    await wait_until(lambda: not notifications.is_subscribed(thread))
