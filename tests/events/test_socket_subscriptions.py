"""The frames of a socket and their order, without a socket and without a worker: the test cancels the runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest

from slipway.api.streams.socket_subscriptions import SocketSubscriptions, Subscription
from slipway.event_protocol.event_filters import EventFilter
from slipway.event_protocol.protocol_event import ProtocolEvent
from tests.events.conftest import ALL_CHANNELS, start_run
from tests.http.conftest import Served
from tests.waiting import Eventually

ALL = EventFilter.from_request(ALL_CHANNELS)


@dataclass
class Client:
    """Receives the frames. `checks` counts the access checks, `errors` has the errors that ended the stream."""

    frames: list[Any] = field(default_factory=list)
    checks: int = 0
    errors: list[Exception] = field(default_factory=list)

    async def receive(self, frame: bytes) -> None:
        self.frames.append(orjson.loads(frame))

    async def check(self) -> None:
        self.checks += 1

    async def fail(self, error: Exception) -> None:
        self.errors.append(error)

    @property
    def numbers(self) -> list[int]:
        return [frame["seq"] for frame in self.frames if frame.get("type") == "event"]


@pytest.fixture
def receiver() -> Client:
    return Client()


def subscriptions_of(receiver: Client, served: Served, thread: str) -> SocketSubscriptions:
    log = served.services.protocol_log
    return SocketSubscriptions(log, thread, send=receiver.receive, check=receiver.check, on_error=receiver.fail)


@pytest.fixture
def subscriptions(served: Served, thread: str, receiver: Client) -> SocketSubscriptions:
    return subscriptions_of(receiver, served, thread)


async def cancel(client: httpx.AsyncClient, thread: str, run: str) -> None:
    response = await client.post(f"/threads/{thread}/runs/{run}/cancel")
    assert response.status_code < 300, response.text


async def start_and_cancel(client: httpx.AsyncClient, thread: str) -> str:
    run = await start_run(client, thread, "steps", input={"until": 1})
    await cancel(client, thread, run)
    return run


async def events_of(served: Served, thread: str, since: int = 0, through: int | None = None) -> list[ProtocolEvent]:
    """The events of the thread so far."""
    replay = served.services.protocol_log.replay(thread, since, through)
    return [event async for batch in replay for event in batch]


def response(replayed: int) -> bytes:
    return orjson.dumps({"replayed_events": replayed})


async def test_a_replay_contains_the_events_between_two_numbers(
    served: Served, client: httpx.AsyncClient, thread: str
) -> None:
    for _ in range(2):
        await start_and_cancel(client, thread)
    numbers = [event.seq for event in await events_of(served, thread)]
    assert len(numbers) == 4
    for first in range(len(numbers)):
        for last in range(first, len(numbers)):
            replayed = await events_of(served, thread, numbers[first], numbers[last])
            assert [event.seq for event in replayed] == numbers[first + 1 : last + 1]


async def test_runs_are_ordered_by_their_ordinals(served: Served, client: httpx.AsyncClient, thread: str) -> None:
    """A run that was created later gets the smaller ordinal if it is cancelled first, before either has started."""
    first, second = [await start_run(client, thread, "steps", input={"until": 1}) for _ in range(2)]
    for run in (second, first):
        await cancel(client, thread, run)
    events = await events_of(served, thread)
    assert [event.seq for event in events] == sorted(event.seq for event in events)
    assert [run for event in events[::2] for run in (first, second) if run in event.event_id] == [second, first]


async def test_a_subscription_after_the_last_event_replays_nothing_and_follows(
    served: Served,
    client: httpx.AsyncClient,
    thread: str,
    receiver: Client,
    subscriptions: SocketSubscriptions,
    eventually: Eventually,
) -> None:
    """Events before the position of the client are not read again."""
    await start_and_cancel(client, thread)
    existing = [event.seq for event in await events_of(served, thread)]
    await subscriptions.subscribe("mine", Subscription(ALL, existing[-1]), response)
    assert receiver.frames == [{"replayed_events": 0}]
    await start_and_cancel(client, thread)
    all_numbers = [event.seq for event in await events_of(served, thread)]
    await eventually(lambda: receiver.numbers == all_numbers[len(existing) :])
    assert receiver.checks == 1, "once, before the new run"
    await subscriptions.aclose()
    assert receiver.errors == []


async def test_the_response_to_run_start_comes_before_the_events_of_the_run(
    served: Served,
    client: httpx.AsyncClient,
    thread: str,
    receiver: Client,
    subscriptions: SocketSubscriptions,
    eventually: Eventually,
) -> None:
    await subscriptions.subscribe("mine", Subscription(ALL), response)
    other = Client()
    later = subscriptions_of(other, served, thread)
    await later.subscribe("of another socket", Subscription(ALL), response)
    async with subscriptions.command():
        await start_and_cancel(client, thread)
        await eventually(lambda: len(other.numbers) == 2)  # it is notified after the first
        assert receiver.numbers == []
    await eventually(lambda: len(receiver.numbers) == 2)
    for each in (subscriptions, later):
        await each.aclose()
