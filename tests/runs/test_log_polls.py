"""An event whose notification was lost is found at the next look at the logs, which costs Redis one call for many
logs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from slipway.errors import StoreUnavailable
from slipway.redis.keys import Keys
from slipway.runs.log_polls import LOGS_OF_A_LOOK, LogPolls
from tests.proxy import Proxy, proxied
from tests.runs.conftest import Stores, opened
from tests.runs.log_followers import Follower, start_writer
from tests.waiting import Eventually

POLL_S = 0.2


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look follows in time for a test."""
    monkeypatch.setattr("slipway.runs.log_polls.POLL_S", POLL_S)


@pytest.fixture
async def proxy(valkey_url: str) -> AsyncIterator[Proxy]:
    """The proxy between Redis and the subscriber of `remote`."""
    async with proxied(valkey_url) as proxy:
        yield proxy


@pytest.fixture
async def remote(valkey_url: str, keys: Keys, proxy: Proxy) -> AsyncIterator[Stores]:
    """A web process that receives notifications through the proxy."""
    async with opened(valkey_url, keys, subscriber_url=proxy.url) as stores:
        yield stores


async def test_events_whose_notifications_were_lost_are_found(
    remote: Stores, proxy: Proxy, stores: Stores, eventually: Eventually
) -> None:
    writers = [await start_writer(stores) for _ in range(3)]
    followers = [Follower(remote.events, writer.run_id) for writer in writers]
    await eventually(lambda: all(follower.events for follower in followers))
    proxy.drops = lambda reply: reply[0] == b"message"
    for writer in writers[:2]:
        await writer.write(3)
        await writer.settle()
    for follower in followers[:2]:
        assert (await follower.wait_until_end()).numbers == [1, 2, 3]
    assert followers[2].numbers == []
    await followers[2].disconnect()


async def test_followers_of_a_deleted_log_end(
    remote: Stores, proxy: Proxy, stores: Stores, eventually: Eventually
) -> None:
    writer = await start_writer(stores)
    follower = Follower(remote.events, writer.run_id)
    await eventually(lambda: follower.events)
    proxy.drops = lambda reply: reply[0] == b"message"
    await stores.pipeline.send("DEL", stores.keys.events(writer.run_id))
    await follower.wait_until_end()


@pytest.mark.one_queue
async def test_one_call_looks_at_many_logs(stores: Stores, eventually: Eventually) -> None:
    writers = [await start_writer(stores) for _ in range(LOGS_OF_A_LOOK)]
    followers = [Follower(stores.events, writer.run_id) for writer in writers]
    await eventually(lambda: all(follower.events for follower in followers))
    before = await script_calls(stores)

    async def were_looked_at() -> bool:
        return await script_calls(stores) > before

    await eventually(were_looked_at)
    assert await script_calls(stores) - before <= 2
    for follower in followers:
        await follower.disconnect()


async def test_a_run_that_was_removed_is_not_looked_at(eventually: Eventually) -> None:
    looks: list[Sequence[str]] = []

    async def look(run_ids: Sequence[str]) -> None:
        looks.append(run_ids)

    polls = LogPolls(look)
    for run_id in ("a", "b"):
        polls.add(run_id)
    await eventually(lambda: looks)
    assert looks == [["a", "b"]]
    polls.remove("a")
    await eventually(lambda: len(looks) == 3)
    assert looks[1:] == [["b"], ["b"]]
    polls.remove("b")


async def test_looks_continue_after_redis_was_unavailable(eventually: Eventually) -> None:
    looks = 0

    async def look(run_ids: Sequence[str]) -> None:
        nonlocal looks
        looks += 1
        raise StoreUnavailable("no connection")

    polls = LogPolls(look)
    polls.add("a")
    await eventually(lambda: looks == 2)
    polls.remove("a")


async def script_calls(stores: Stores) -> int:
    """How many scripts Redis has executed."""
    info = (await stores.pipeline.send("INFO", "commandstats", repeatable=True)).decode()
    return sum(
        int(line.split("calls=")[1].split(",")[0]) for line in info.splitlines() if line.startswith("cmdstat_evalsha:")
    )
