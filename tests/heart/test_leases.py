"""Heartbeats: leases live as long as their process, whatever the network and the graphs do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.keyspace.names import Keys
from app.redis.link import Address
from app.runs.attempts import Attempt
from app.runs.cancels import Action
from app.runs.leases import Heart
from app.runs.runs import Run
from tests.conftest import Eventually
from tests.heart.conftest import Stores, opened, settings_of
from tests.heart.servers import server
from tests.proxy import Proxy, proxied

LEASE_S, BEAT_S = 2.0, 0.2


@asynccontextmanager
async def beating(url: str, keys: Keys, **differs: Any) -> AsyncIterator[Heart]:
    """A heart of a worker named `w`."""
    settings = settings_of(url, keys, lease_s=LEASE_S, heartbeat_s=BEAT_S, reap_every_s=0.1, **differs)
    heart = Heart(Address(url), keys, "w", settings, listed=True)
    await heart.start()
    try:
        yield heart
    finally:
        await heart.stop()


async def held(stores: Stores) -> tuple[Run, Attempt]:
    """A run with a short lease."""
    await stores.run(await stores.thread())
    run = await stores.claim_one(lease_ms=int(LEASE_S * 1000))
    return run, stores.attempt(run)


async def expired(stores: Stores) -> list[tuple[str, int, str]]:
    """What the reaper takes now."""
    return await stores.scripts.run_reap(event_ttl_s=60, pause_ms=0)


async def _stays_held(stores: Stores, for_s: float) -> None:
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        assert await expired(stores) == []
        await asyncio.sleep(0.02)


async def test_a_blocked_event_loop_keeps_its_leases(valkey_url: str, keys: Keys, stores: Stores) -> None:
    _, attempt = await held(stores)
    async with beating(valkey_url, keys) as heart:
        heart.hold(attempt)
        time.sleep(2.5 * LEASE_S)
        assert await expired(stores) == []
        assert not attempt.lost


async def test_a_lease_without_a_heart_ends(stores: Stores, eventually: Eventually) -> None:
    run, _ = await held(stores)
    taken: list[tuple[str, int, str]] = []

    async def ends() -> bool:
        taken.extend(await expired(stores))
        return bool(taken)

    await eventually(ends)
    assert taken == [(run.run_id, 1, "queued")]


async def test_a_heart_tells_that_a_run_is_in_other_hands(
    valkey_url: str, keys: Keys, stores: Stores, eventually: Eventually
) -> None:
    _, attempt = await held(stores)
    told: list[Action | None] = []
    attempt.on_stop = told.append
    async with beating(valkey_url, keys) as heart:
        heart.hold(attempt)
        await stores.reap()
        await eventually(lambda: attempt.lost)
        again = await stores.claim_one()
        assert again.attempt == 2
        await asyncio.sleep(2 * BEAT_S)  # more beats say no more
    assert told == [None]


async def test_a_heart_tells_of_a_cancel_whose_message_was_lost(
    valkey_url: str, keys: Keys, stores: Stores, eventually: Eventually
) -> None:
    run, attempt = await held(stores)
    async with beating(valkey_url, keys) as heart:
        heart.hold(attempt)
        await stores.runs.cancel(run.thread_id, run.run_id, Action.ROLLBACK)
        await eventually(lambda: attempt.cancel is Action.ROLLBACK)


async def test_a_silent_connection_costs_no_lease(valkey_url: str, keys: Keys, stores: Stores) -> None:
    _, attempt = await held(stores)
    async with proxied(valkey_url) as proxy, beating(proxy.url, keys) as heart:
        heart.hold(attempt)
        await _a_beat(proxy)
        proxy.deafen()  # this connection, not the next
        await _stays_held(stores, 2.5 * LEASE_S)


async def _a_beat(proxy: Proxy) -> None:
    count = proxy.requests
    async with asyncio.timeout(30):
        while proxy.requests == count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_broken_connection_costs_no_lease(valkey_url: str, keys: Keys, stores: Stores) -> None:
    _, attempt = await held(stores)
    async with proxied(valkey_url) as proxy, beating(proxy.url, keys) as heart:
        heart.hold(attempt)
        for _ in range(4):
            await _a_beat(proxy)
            proxy.cut()
            await _stays_held(stores, 0.3)


async def test_a_full_server_costs_no_lease(keys: Keys, eventually: Eventually) -> None:
    async with server("--maxmemory-policy", "noeviction") as full, opened(full.url, keys) as stores:
        _, attempt = await held(stores)
        async with beating(full.url, keys) as heart:
            heart.hold(attempt)
            await stores.wire.send("CONFIG", "SET", "maxmemory", "1")
            await _stays_held(stores, 2 * LEASE_S)
            assert not attempt.lost


async def test_an_unexpected_answer_does_not_stop_the_heart(keys: Keys, eventually: Eventually) -> None:
    async with server() as odd, opened(odd.url, keys) as stores:
        _, attempt = await held(stores)
        async with beating(odd.url, keys) as heart:
            heart.hold(attempt)
            await stores.wire.send("SET", keys.workers, "not a sorted set")
            await asyncio.sleep(1.2 * BEAT_S)
            await stores.wire.send("DEL", keys.workers)
            await _stays_held(stores, 2 * LEASE_S)


@pytest.mark.parametrize("listed", [True, False])
async def test_a_worker_is_listed_while_it_lives(valkey_url: str, keys: Keys, stores: Stores, listed: bool) -> None:
    settings = settings_of(valkey_url, keys, lease_s=LEASE_S, heartbeat_s=BEAT_S, reap_every_s=0.1)
    heart = Heart(Address(valkey_url), keys, "w", settings, listed=listed)
    await heart.start()
    run, attempt = await held(stores)
    heart.hold(attempt)
    await _stays_held(stores, 2 * BEAT_S)
    assert await stores.wire.send("ZRANGE", keys.workers, 0, -1) == ([b"w"] if listed else [])
    await heart.stop()
    assert await stores.wire.send("ZCARD", keys.workers) == 0
    assert run.run_id


async def test_an_older_attempt_in_the_same_process_hears_that_it_lost(
    valkey_url: str, keys: Keys, stores: Stores
) -> None:
    heart = Heart(Address(valkey_url), keys, "w", settings_of(valkey_url, keys), listed=True)
    await stores.run(await stores.thread())
    older = stores.attempt(await stores.claim_one())
    heart.hold(older)
    await stores.reap()
    newer = stores.attempt(await stores.claim_one())
    heart.hold(newer)
    assert (older.lost, newer.lost) == (True, False)
