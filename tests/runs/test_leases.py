"""Heartbeats renew the leases of a live process, also when its event loop is blocked or Redis is unavailable."""

from __future__ import annotations

import asyncio
import platform
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.per_shard import PerShard
from slipway.redis.server_subscriber import ServerSubscriber
from slipway.redis.subscriber import MessageHandler
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.cancel_reasons import Action
from slipway.runs.leases import LeaseRenewer, reclaim_process
from slipway.runs.queue_scripts import Grace, QueueScripts
from slipway.runs.record import Phase, Run
from slipway.runs.script_results import Instruction
from slipway.runs.worker_list_scripts import WorkerListScripts
from slipway.stop_times import CLOSE_WITHIN_S
from tests.proxy import proxied
from tests.runs.claiming_workers import claiming_worker
from tests.runs.conftest import Stores, opened, plain, settings_of
from tests.runs.servers import server
from tests.shards import shards_of
from tests.waiting import Eventually, wait_until

pytestmark = pytest.mark.one_queue

LEASE_S, HEARTBEAT_S = 2.0, 0.2


@asynccontextmanager
async def renewing_leases(url: str, keys: Keys, **differs: Any) -> AsyncIterator[LeaseRenewer]:
    """A started lease renewer of a worker named `w`."""
    values = {"lease_s": LEASE_S, "heartbeat_s": HEARTBEAT_S, "reap_every_s": 0.1} | differs
    lease_renewer = LeaseRenewer(Address(url), shards_of(keys), "w", settings_of(url, keys, **values), is_worker=True)
    await lease_renewer.start()
    try:
        yield lease_renewer
    finally:
        await lease_renewer.stop()


async def claimed_attempt(stores: Stores) -> tuple[Run, AttemptWriter]:
    """Claims a new run with a lease of `LEASE_S` seconds."""
    await stores.create_run()
    run = await stores.claim_one(lease_ms=int(LEASE_S * 1000))
    return run, stores.attempt(run)


async def reap_expired(stores: Stores) -> list[tuple[str, int, str]]:
    """One round of the reaper: reclaims the runs whose lease expired."""
    return plain((await stores.queues[0].run_reap(event_ttl_s=60, pause_ms=0)).runs)


async def _lease_end_ms(stores: Stores, run: Run) -> float:
    """When the lease of a run ends unless it is renewed, on the clock of Redis."""
    return float(await stores.pipeline.send("ZSCORE", stores.shards.home.leases, run.run_id))


async def _redis_now_ms(stores: Stores) -> float:
    seconds, micros = await stores.pipeline.send("TIME")
    return int(seconds) * 1000 + int(micros) / 1000


async def _check_lease_is_renewed(stores: Stores, run: Run) -> None:
    """Reaps until the lease that the run has now would have ended. The reaper must find no expired lease."""
    end_ms = await _lease_end_ms(stores, run)

    async def would_have_ended() -> bool:
        now_ms = await _redis_now_ms(stores)
        assert await reap_expired(stores) == []
        return now_ms > end_ms

    await wait_until(would_have_ended)


async def _wait_for_heartbeats(attempt: AttemptWriter, count: int = 1) -> None:
    """Waits until so many more heartbeats have renewed the lease of the attempt."""
    for _ in range(count):
        last = attempt.lease_trusted_until

        def has_renewed(before: float = last) -> bool:
            return attempt.lease_trusted_until > before

        await wait_until(has_renewed)


@pytest.mark.slow
async def test_leases_are_renewed_while_the_event_loop_is_blocked(valkey_url: str, keys: Keys, stores: Stores) -> None:
    _, attempt = await claimed_attempt(stores)
    async with renewing_leases(valkey_url, keys) as lease_renewer:
        lease_renewer.add(attempt, time.monotonic())
        time.sleep(1.5 * LEASE_S)  # the event loop is blocked for longer than a lease lasts
        assert await reap_expired(stores) == []
        assert not attempt.is_fenced


async def test_a_run_is_not_reclaimed_before_its_lease_expires(stores: Stores) -> None:
    await stores.create_run()
    run = await stores.claim_one(lease_ms=250)
    end_ms = await _lease_end_ms(stores, run)
    reclaimed: list[tuple[str, int, str]] = []
    async with asyncio.timeout(30):
        while not reclaimed:
            reclaimed = await reap_expired(stores)
    assert await _redis_now_ms(stores) >= end_ms
    assert reclaimed == [(run.run_id, 1, "queued")]


async def test_after_an_outage_live_workers_have_a_grace_period_to_renew_their_leases(stores: Stores) -> None:
    """The test writes the outage into the record of the last contact."""
    grace: Grace = {"silence_ms": 60_000, "lease_ms": 60_000}

    async def reap() -> list[tuple[str, int, str]]:
        return plain((await stores.queues[0].run_reap(event_ttl_s=60, pause_ms=0, grace=grace)).runs)

    async def run_with_expired_lease() -> Run:
        await stores.create_run()
        return await stores.claim_one(lease_ms=-1)

    crashed = await run_with_expired_lease()
    assert await reap() == [(crashed.run_id, 1, "queued")]  # there was no outage
    crashed = await stores.claim_one(lease_ms=-1)
    assert await reap() == [(crashed.run_id, 2, "queued")]
    alive, dead = await stores.claim_one(lease_ms=-1), await run_with_expired_lease()
    await stores.pipeline.send("HINCRBY", stores.shards.home.outage_watch, "last_contact_ms", -grace["silence_ms"] - 1)
    assert await reap() == []
    reports = [(alive.run_id, alive.attempt, alive.incarnation)]
    assert await stores.queues[0].renew_leases(reports, lease_ms=60_000, grace=grace) == []
    assert await reap() == []
    await stores.pipeline.send("HINCRBY", stores.shards.home.outage_watch, "grace_until_ms", -grace["lease_ms"])
    assert await reap() == [(dead.run_id, 1, "queued")]


async def test_a_cancel_is_sent_to_the_worker_at_once(
    valkey_url: str, keys: Keys, stores: Stores, eventually: Eventually
) -> None:
    lease_renewer = LeaseRenewer(
        Address(valkey_url), stores.shards, "w", settings_of(valkey_url, keys), is_worker=True
    )  # it is not started, so it sends no heartbeats
    _, attempt = await claimed_attempt(stores)
    lease_renewer.add(attempt, time.monotonic())
    async with subscribed(valkey_url, shards_of(keys).home.control("w"), lease_renewer.on_control_message):
        await stores.runs.cancel(attempt.run.thread_id, attempt.run.run_id, Action.ROLLBACK)
        await eventually(lambda: attempt.cancel is Action.ROLLBACK)


@asynccontextmanager
async def subscribed(url: str, channel: str, handler: MessageHandler) -> AsyncIterator[None]:
    """Subscribes to a channel for the duration of the block."""
    subscriber = ServerSubscriber(Address(url), "test control")
    await subscriber.open()
    try:
        await subscriber.subscribe(channel, handler)
        yield
    finally:
        await subscriber.close()


async def test_a_heartbeat_reports_that_another_worker_owns_a_run(
    valkey_url: str, keys: Keys, stores: Stores, eventually: Eventually
) -> None:
    _, attempt = await claimed_attempt(stores)
    stops: list[Action | None] = []
    attempt.on_stop = stops.append
    async with renewing_leases(valkey_url, keys) as lease_renewer:
        lease_renewer.add(attempt, time.monotonic())
        await stores.reap()
        await eventually(lambda: attempt.is_fenced)
        assert (await stores.claim_one()).attempt == 2
        _, other = await claimed_attempt(stores)
        lease_renewer.add(other, time.monotonic())
        await _wait_for_heartbeats(other, 2)  # they do not report it again
    assert stops == [None]


async def test_a_heartbeat_reports_a_cancel_whose_message_was_lost(
    valkey_url: str, keys: Keys, stores: Stores, eventually: Eventually
) -> None:
    run, attempt = await claimed_attempt(stores)
    async with renewing_leases(valkey_url, keys) as lease_renewer:
        lease_renewer.add(attempt, time.monotonic())
        await stores.runs.cancel(run.thread_id, run.run_id, Action.ROLLBACK)
        await eventually(lambda: attempt.cancel is Action.ROLLBACK)


@pytest.mark.one_shard("its settings have one shard")
async def test_only_the_leases_of_a_crashed_process_are_reclaimed(valkey_url: str, keys: Keys, stores: Stores) -> None:
    for pid in (12, 123):
        await stores.create_run()
        await stores.claim_one(worker=f"{platform.node()}:{pid}:abcd")
    dead, alive = await stores.pipeline.send("ZRANGE", shards_of(keys).home.leases, 0, -1)
    assert await reclaim_process(settings_of(valkey_url, keys), 12) == [dead.decode()]
    assert await stores.pipeline.send("ZRANGE", shards_of(keys).home.leases, 0, -1) == [alive]


class SlowScripts(QueueScripts):
    """The reply to a heartbeat arrives late."""

    sent_at = 0.0

    async def renew_leases(self, *args: Any, **options: Any) -> list[tuple[str, Instruction]]:
        self.sent_at = time.monotonic()
        instructions = await super().renew_leases(*args, **options)
        await asyncio.sleep(0.05)  # the delay of the reply
        return instructions


async def test_it_stops_in_time_while_redis_does_not_reply(keys: Keys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        lease_renewer = LeaseRenewer(Address(url), shards_of(keys), "w", settings_of(url, keys), is_worker=True)
        await lease_renewer.start()
        async with asyncio.timeout(CLOSE_WITHIN_S):
            await lease_renewer.stop()
    await wait_until(lambda: all(thread.name != "heartbeat" for thread in threading.enumerate()))


async def test_a_lease_is_trusted_from_the_moment_when_its_heartbeat_was_sent(
    valkey_url: str, keys: Keys, stores: Stores
) -> None:
    settings = settings_of(valkey_url, keys)
    lease_renewer = LeaseRenewer(Address(valkey_url), stores.shards, "w", settings, is_worker=True)
    scripts = SlowScripts(stores.pipeline, stores.shards.home)
    queues: PerShard[QueueScripts] = PerShard(stores.shards, lambda _: scripts)
    (_, attempt), (_, later) = await claimed_attempt(stores), await claimed_attempt(stores)
    lease_renewer.add(attempt, claim_sent_at=0)
    heartbeat = asyncio.create_task(
        lease_renewer.send_heartbeat(queues, WorkerListScripts(stores.pipeline, stores.shards.processes))
    )
    await wait_until(lambda: scripts.sent_at)
    lease_renewer.add(later, claim_sent_at=0)  # the heartbeat did not renew this one
    await heartbeat
    trusted_for_s = settings.lease_s * 7 / 8
    assert 0 < attempt.lease_trusted_until - trusted_for_s <= scripts.sent_at
    assert later.lease_trusted_until == trusted_for_s


async def test_a_heartbeat_does_not_extend_the_trust_in_the_lease_of_a_lost_run(
    valkey_url: str, keys: Keys, stores: Stores
) -> None:
    settings = settings_of(valkey_url, keys)
    lease_renewer = LeaseRenewer(Address(valkey_url), stores.shards, "w", settings, is_worker=True)
    _, attempt = await claimed_attempt(stores)
    lease_renewer.add(attempt, claim_sent_at=0)
    await stores.reap()
    await lease_renewer.start()
    await wait_until(lambda: attempt.is_fenced)
    assert attempt.lease_trusted_until == settings.lease_s * 7 / 8
    await lease_renewer.stop()


async def test_the_lease_of_a_claim_is_trusted_from_the_moment_when_the_claim_was_sent(
    valkey_url: str, stores: Stores
) -> None:
    """The worker may be suspended before it receives the reply."""
    claims_sent_at: list[float] = []
    await claimed_attempt(stores)  # loads the script

    async def execute(_: dict[str, Any], run: Run, claim_sent_at: float) -> None:
        claims_sent_at.append(claim_sent_at)

    async with proxied(valkey_url) as proxy, claiming_worker(proxy.url, stores, execute) as claiming:
        proxy.hold_replies()
        run = await stores.create_run()

        async def is_claimed() -> bool:
            return await stores.phase_of(run) is Phase.RUNNING

        await wait_until(is_claimed, beside=claiming.task)
        claimed_at = time.monotonic()
        proxy.release_replies()
        await wait_until(lambda: claims_sent_at, beside=claiming.task)
    assert claims_sent_at[0] <= claimed_at


async def test_a_worker_claims_again_soon_after_a_lost_connection(valkey_url: str, stores: Stores) -> None:
    claimed: list[str] = []

    async def execute(_: dict[str, Any], run: Run, claim_sent_at: float) -> None:
        claimed.append(run.run_id)

    async with proxied(valkey_url) as proxy, claiming_worker(proxy.url, stores, execute) as claiming:
        first = await stores.create_run()
        await wait_until(lambda: claimed == [first.run_id], beside=claiming.task)
        await wait_until(lambda: claiming.health.pending() == (), beside=claiming.task)
        sent_before = claiming.pipeline.round_trips
        with capture_logs() as logs:
            proxy.drop_data()  # Redis does not receive the next claim
            second = await stores.create_run()
            await wait_until(lambda: claiming.pipeline.round_trips > sent_before, beside=claiming.task)
            proxy.cut()
            await wait_until(lambda: any(entry["event"] == "claim.failed" for entry in logs), beside=claiming.task)
            await wait_until(lambda: claimed == [first.run_id, second.run_id], beside=claiming.task)


@pytest.mark.slow
async def test_leases_are_renewed_when_a_connection_stops_responding(
    valkey_url: str, keys: Keys, stores: Stores
) -> None:
    run, attempt = await claimed_attempt(stores)
    async with proxied(valkey_url) as proxy, renewing_leases(proxy.url, keys) as lease_renewer:
        lease_renewer.add(attempt, time.monotonic())
        await _wait_for_heartbeats(attempt)
        proxy.drop_data()  # affects this connection, not the next one
        await _check_lease_is_renewed(stores, run)


async def test_leases_are_renewed_when_connections_are_cut(valkey_url: str, keys: Keys, stores: Stores) -> None:
    run, attempt = await claimed_attempt(stores)
    async with proxied(valkey_url) as proxy, renewing_leases(proxy.url, keys) as lease_renewer:
        lease_renewer.add(attempt, time.monotonic())
        await _wait_for_heartbeats(attempt)
        for _ in range(4):
            before_ms = await _lease_end_ms(stores, run)
            proxy.cut()

            async def is_renewed(end_ms: float = before_ms) -> bool:
                return await _lease_end_ms(stores, run) > end_ms

            await wait_until(is_renewed)
        assert not attempt.is_fenced


async def test_leases_are_renewed_as_soon_as_redis_is_available_again(
    valkey_url: str, keys: Keys, stores: Stores
) -> None:
    """The next heartbeat would be due much later."""
    settings = {"lease_s": 300, "heartbeat_s": 100}
    _, attempt = await claimed_attempt(stores)
    async with proxied(valkey_url) as proxy, renewing_leases(proxy.url, keys, **settings) as lease_renewer:
        lease_renewer.add(attempt, claim_sent_at=0)
        await _wait_for_heartbeats(attempt)
        proxy.cut()
        await _wait_for_heartbeats(attempt)


@pytest.mark.slow
async def test_leases_are_renewed_while_redis_is_full(keys: Keys) -> None:
    async with server("--maxmemory-policy", "noeviction") as full, opened(full.url, keys, one_queue=True) as stores:
        run, attempt = await claimed_attempt(stores)
        async with renewing_leases(full.url, keys) as lease_renewer:
            lease_renewer.add(attempt, time.monotonic())
            await stores.pipeline.send("CONFIG", "SET", "maxmemory", "1")
            await _check_lease_is_renewed(stores, run)
            assert not attempt.is_fenced


@pytest.mark.slow
async def test_an_unexpected_reply_does_not_stop_the_heartbeats(keys: Keys) -> None:
    async with server() as odd, opened(odd.url, keys, one_queue=True) as stores:
        run, attempt = await claimed_attempt(stores)
        with capture_logs() as logs:
            async with renewing_leases(odd.url, keys) as lease_renewer:
                lease_renewer.add(attempt, time.monotonic())
                await stores.pipeline.send("DEL", shards_of(keys).home.outage_watch)
                await stores.pipeline.send("SET", shards_of(keys).home.outage_watch, "not a hash")
                await wait_until(lambda: "heartbeat.failed" in [entry["event"] for entry in logs])
                await stores.pipeline.send("DEL", shards_of(keys).home.outage_watch)
                await _check_lease_is_renewed(stores, run)


@pytest.mark.slow
async def test_a_worker_that_cannot_be_listed_keeps_its_leases(keys: Keys, eventually: Eventually) -> None:
    async with server() as odd, opened(odd.url, keys, one_queue=True) as stores:
        run, attempt = await claimed_attempt(stores)
        await stores.pipeline.send("SET", shards_of(keys).processes.workers, "not a sorted set")
        async with renewing_leases(odd.url, keys) as lease_renewer:
            lease_renewer.add(attempt, time.monotonic())
            await _check_lease_is_renewed(stores, run)
            await _wait_for_heartbeats(attempt)
            await stores.pipeline.send("DEL", shards_of(keys).processes.workers)
            await eventually(lambda: _is_listed(stores))


async def test_a_worker_whose_leases_cannot_be_renewed_is_listed_and_does_not_trust_them(
    valkey_url: str, keys: Keys, stores: Stores
) -> None:
    lease_renewer = LeaseRenewer(Address(valkey_url), stores.shards, "w", settings_of(valkey_url, keys), is_worker=True)
    _, attempt = await claimed_attempt(stores)
    lease_renewer.add(attempt, claim_sent_at=0)
    before = attempt.lease_trusted_until
    await stores.pipeline.send("SET", shards_of(keys).home.outage_watch, "not a hash")
    await lease_renewer.send_heartbeat(stores.queues, WorkerListScripts(stores.pipeline, stores.shards.processes))
    assert await _is_listed(stores)
    assert attempt.lease_trusted_until == before


async def test_a_heartbeat_takes_one_round_trip(valkey_url: str, keys: Keys, stores: Stores) -> None:
    lease_renewer = LeaseRenewer(Address(valkey_url), stores.shards, "w", settings_of(valkey_url, keys), is_worker=True)
    await lease_renewer.send_heartbeat(
        stores.queues, WorkerListScripts(stores.pipeline, stores.shards.processes)
    )  # stores the scripts on the server
    before = stores.pipeline.round_trips
    await lease_renewer.send_heartbeat(stores.queues, WorkerListScripts(stores.pipeline, stores.shards.processes))
    assert stores.pipeline.round_trips == before + 1


async def _is_listed(stores: Stores) -> bool:
    return bool(await stores.pipeline.send("ZRANGE", stores.shards.processes.workers, 0, -1) == [b"w"])


@pytest.mark.parametrize("listed", [True, False])
async def test_a_worker_is_listed_until_it_stops(valkey_url: str, keys: Keys, stores: Stores, listed: bool) -> None:
    settings = settings_of(valkey_url, keys, lease_s=LEASE_S, heartbeat_s=HEARTBEAT_S, reap_every_s=0.1)
    lease_renewer = LeaseRenewer(Address(valkey_url), stores.shards, "w", settings, is_worker=listed)
    await lease_renewer.start()
    _, attempt = await claimed_attempt(stores)
    lease_renewer.add(attempt, time.monotonic())
    await _wait_for_heartbeats(attempt)
    assert await stores.pipeline.send("ZRANGE", shards_of(keys).processes.workers, 0, -1) == ([b"w"] if listed else [])
    await lease_renewer.stop()
    assert await stores.pipeline.send("ZCARD", shards_of(keys).processes.workers) == 0


async def test_an_attempt_is_fenced_when_its_process_claims_the_run_again(
    valkey_url: str, keys: Keys, stores: Stores
) -> None:
    lease_renewer = LeaseRenewer(Address(valkey_url), stores.shards, "w", settings_of(valkey_url, keys), is_worker=True)
    await stores.create_run()
    older = stores.attempt(await stores.claim_one())
    lease_renewer.add(older, time.monotonic())
    await stores.reap()
    newer = stores.attempt(await stores.claim_one())
    lease_renewer.add(newer, time.monotonic())
    assert (older.is_fenced, newer.is_fenced) == (True, False)
