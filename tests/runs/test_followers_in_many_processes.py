"""What clients in many web processes cost Redis: one subscription and one copy of each event for each process, however
many clients it has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.event_log import EventLog
from tests.runs.conftest import Stores, opened
from tests.runs.log_followers import Follower, NumberWriter, start_writer
from tests.waiting import wait_until

PROCESSES = 64
EVENTS = 20


@dataclass(frozen=True, slots=True)
class RedisWork:
    """What Redis executed and sent for `EVENTS` events."""

    calls: dict[str, int]
    sent_bytes: int
    subscribers: int


@pytest.fixture
async def processes(valkey_url: str, keys: Keys) -> AsyncIterator[list[EventLog]]:
    """The event logs of 64 web processes, each with connections of its own."""
    async with AsyncExitStack() as stack:
        yield [(await stack.enter_async_context(opened(valkey_url, keys))).events for _ in range(PROCESSES)]


async def test_redis_works_once_for_each_process_and_not_for_each_client(
    stores: Stores, processes: list[EventLog]
) -> None:
    one = await work_for(stores, processes[:1], clients=1)
    many_clients = await work_for(stores, processes[:1], clients=20)
    many_processes = await work_for(stores, processes, clients=1)
    many_of_both = await work_for(stores, processes, clients=20)
    for work in (one, many_clients, many_processes, many_of_both):
        assert work.calls == one.calls, "no client and no process sends a command for an event"
    assert one.subscribers == many_clients.subscribers == 1
    assert many_processes.subscribers == many_of_both.subscribers == PROCESSES
    assert abs(many_clients.sent_bytes - one.sent_bytes) < one.sent_bytes / 10
    assert abs(many_of_both.sent_bytes - many_processes.sent_bytes) < many_processes.sent_bytes / 10


async def work_for(stores: Stores, processes: Sequence[EventLog], clients: int) -> RedisWork:
    """Writes the events while each process has this number of clients that follow the run."""
    writer = await start_writer(stores)
    await writer.write()
    async with following(writer, processes, clients) as followers:
        calls, sent = await counters(stores.pipeline)
        connections = (await stores.pipeline.send("CLIENT", "LIST", repeatable=True)).decode().splitlines()
        subscribed = [line for line in connections if " sub=1 " in line]
        for _ in range(EVENTS):
            await writer.write()
        await wait_until(lambda: all(len(follower.numbers) == EVENTS + 1 for follower in followers))
        calls_after, sent_after = await counters(stores.pipeline)
        await writer.settle()
        for follower in followers:
            await follower.wait_until_end()
    executed = {name: count - calls.get(name, 0) for name, count in calls_after.items()}
    return RedisWork(
        {name: count for name, count in executed.items() if count and name not in _COUNTING},
        sent_after - sent,
        len(subscribed),
    )


@asynccontextmanager
async def following(writer: NumberWriter, processes: Sequence[EventLog], clients: int) -> AsyncIterator[list[Follower]]:
    """Clients that have received the first events."""
    followers = [Follower(events, writer.run_id) for events in processes for _ in range(clients)]
    try:
        await wait_until(lambda: all(follower.numbers for follower in followers))
        yield followers
    finally:
        for follower in followers:
            await follower.disconnect()


_COUNTING = frozenset({"info", "client|list", "ping"})
"""Commands of this test, and those that connections send at an interval."""


async def counters(pipeline: Pipeline) -> tuple[dict[str, int], int]:
    """How often each command was executed, and the bytes that were sent to clients."""
    info = (await pipeline.send("INFO", "commandstats", "stats", repeatable=True)).decode()
    lines = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    calls = {
        name.removeprefix("cmdstat_"): int(text.split(",")[0].removeprefix("calls="))
        for name, text in lines.items()
        if name.startswith("cmdstat_")
    }
    return calls, int(lines["total_net_output_bytes"])
