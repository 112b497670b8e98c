"""What is sent on a socket, and in which order, without a socket and without a worker: runs end by being cancelled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest

from slipway.api.streams.socket_subscriptions import SocketSubscriptions, Subscription
from slipway.event_protocol.event_filters import EventFilter
from slipway.event_protocol.protocol_event import ProtocolEvent
from tests.conftest import Eventually
from tests.events.conftest import EVERY, start
from tests.http.conftest import Served

ALL = EventFilter.from_request(EVERY)


@dataclass
class Client:
    """Who gets the frames. `checks` is how often it was found out whether it may read."""

    frames: list[Any] = field(default_factory=list)
    checks: int = 0
    broken: list[Exception] = field(default_factory=list)

    async def receive(self, frame: bytes) -> None:
        self.frames.append(orjson.loads(frame))

    async def check(self) -> None:
        self.checks += 1

    async def break_off(self, error: Exception) -> None:
        self.broken.append(error)

    @property
    def numbers(self) -> list[int]:
        """Those of the events."""
        return [frame["seq"] for frame in self.frames if frame.get("type") == "event"]


@pytest.fixture
def receiver() -> Client:
    """A client that has received nothing."""
    return Client()


def feed_to(receiver: Client, served: Served, thread: str) -> SocketSubscriptions:
    """What sends to a client."""
    log = served.services.protocol_log
    return SocketSubscriptions(log, thread, send=receiver.receive, check=receiver.check, on_error=receiver.break_off)


@pytest.fixture
def feed(served: Served, thread: str, receiver: Client) -> SocketSubscriptions:
    """What sends to `receiver`."""
    return feed_to(receiver, served, thread)


async def cancel(client: httpx.AsyncClient, thread: str, run: str) -> None:
    """End a run."""
    answer = await client.post(f"/threads/{thread}/runs/{run}/cancel")
    assert answer.status_code < 300, answer.text


async def run_cancelled(client: httpx.AsyncClient, thread: str) -> str:
    """A run that was made and cancelled."""
    run = await start(client, thread, "steps", input={"until": 1})
    await cancel(client, thread, run)
    return run


async def events_of(served: Served, thread: str, since: int = 0, through: int | None = None) -> list[ProtocolEvent]:
    """What the thread has had by now."""
    replay = served.services.protocol_log.replay(thread, since, through)
    return [event async for batch in replay for event in batch]


def answer(replayed: int) -> bytes:
    """To a subscription."""
    return orjson.dumps({"replayed_events": replayed})


async def test_a_replay_reaches_from_one_number_to_another(
    served: Served, client: httpx.AsyncClient, thread: str
) -> None:
    for _ in range(2):
        await run_cancelled(client, thread)
    numbers = [event.seq for event in await events_of(served, thread)]
    assert len(numbers) == 4
    for first in range(len(numbers)):
        for last in range(first, len(numbers)):
            found = await events_of(served, thread, numbers[first], numbers[last])
            assert [event.seq for event in found] == numbers[first + 1 : last + 1]


async def test_runs_come_in_the_order_of_their_turns(served: Served, client: httpx.AsyncClient, thread: str) -> None:
    """One that was made later and cancelled before it began had its turn before the one that still waited."""
    first, second = [await start(client, thread, "steps", input={"until": 1}) for _ in range(2)]
    for run in (second, first):
        await cancel(client, thread, run)
    events = await events_of(served, thread)
    assert [event.seq for event in events] == sorted(event.seq for event in events)
    assert [run for event in events[::2] for run in (first, second) if run in event.event_id] == [second, first]


async def test_a_client_that_has_everything_is_followed_from_there(
    served: Served,
    client: httpx.AsyncClient,
    thread: str,
    receiver: Client,
    feed: SocketSubscriptions,
    eventually: Eventually,
) -> None:
    """What it has is not read again, however long the thread is."""
    await run_cancelled(client, thread)
    known = [event.seq for event in await events_of(served, thread)]
    await feed.subscribe("mine", Subscription(ALL, known[-1]), answer)
    assert receiver.frames == [{"replayed_events": 0}]
    await run_cancelled(client, thread)
    every = [event.seq for event in await events_of(served, thread)]
    await eventually(lambda: receiver.numbers == every[len(known) :])
    assert receiver.checks == 1, "before the one run that it did not have"
    await feed.aclose()
    assert receiver.broken == []


async def test_no_event_of_a_run_comes_before_the_answer_to_the_command_that_made_it(
    served: Served,
    client: httpx.AsyncClient,
    thread: str,
    receiver: Client,
    feed: SocketSubscriptions,
    eventually: Eventually,
) -> None:
    await feed.subscribe("mine", Subscription(ALL), answer)
    other = Client()
    behind = feed_to(other, served, thread)
    await behind.subscribe("of another socket", Subscription(ALL), answer)
    async with feed.command():
        await run_cancelled(client, thread)
        await eventually(lambda: len(other.numbers) == 2)  # it is woken behind the first
        assert receiver.numbers == []
    await eventually(lambda: len(receiver.numbers) == 2)
    for each in (feed, behind):
        await each.aclose()
