"""The writes of an attempt are sent in groups and fenced. Its writer survives a Redis that is unavailable, full or
read-only."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from slipway.errors import Fenced, StoreUnavailable
from slipway.redis.keys import Keys
from slipway.runs.attempt_writer import DEFAULT_LIMITS, AttemptWriter, SendLimits
from slipway.runs.cancel_reasons import Action
from slipway.runs.script_results import AttemptFenced, Settled
from slipway.runs.scripts import RunScripts
from tests.incompressible import incompressible
from tests.proxy import proxied
from tests.runs.conftest import Stores, handover, opened, settlement
from tests.runs.servers import is_only_client, is_rejecting, server
from tests.waiting import Eventually, event_loop_iterations, wait_until

pytestmark = pytest.mark.one_queue

FRAME = b"event: values\r\ndata: %d\r\n"


async def claimed_attempt(
    stores: Stores, limits: SendLimits = DEFAULT_LIMITS, *, followed: bool = True
) -> AttemptWriter:
    await stores.create_run(followed=followed)
    attempt = stores.attempt(await stores.claim_one(), limits)
    attempt.write_behind = False  # a write returns when Redis has acknowledged it
    return attempt


def increment(stores: Stores) -> tuple[Any, ...]:
    return "INCR", f"{stores.shards.home.prefix}:count"


async def read_count(stores: Stores) -> int:
    return int(await stores.pipeline.send("GET", f"{stores.shards.home.prefix}:count", repeatable=True) or 0)


async def logged_numbers(stores: Stores, attempt: AttemptWriter) -> list[int]:
    log = await stores.log_of(attempt.run)
    return [int(event.data) for event in log if event.name == "values"]


async def test_all_writes_of_one_event_loop_iteration_are_one_group(stores: Stores) -> None:
    attempt = await claimed_attempt(stores)
    await attempt.write([increment(stores)])  # loads the script
    before = stores.pipeline.round_trips
    for number in range(100):
        attempt.append("values", FRAME % number)
        attempt.add_command(increment(stores))
    await asyncio.gather(*(attempt.write([increment(stores)]) for _ in range(10)))
    assert stores.pipeline.round_trips <= before + 2  # tasks start one event loop iteration later
    assert await read_count(stores) == 111
    assert await logged_numbers(stores, attempt) == list(range(100))


async def test_events_that_arrive_while_a_group_is_sent_share_the_next_group(stores: Stores) -> None:
    attempt = await claimed_attempt(stores)
    before = stores.pipeline.round_trips
    for number in range(200):
        attempt.append("values", FRAME % number)
        await event_loop_iterations(1)
    await attempt.flush()
    assert stores.pipeline.round_trips - before < 150
    assert await logged_numbers(stores, attempt) == list(range(200))


async def test_what_is_written_behind_a_group_in_flight_is_stored_though_nobody_holds_the_writer(
    stores: Stores, eventually: Eventually
) -> None:
    attempt = await claimed_attempt(stores)
    run_id = attempt.run.run_id
    attempt.append("values", FRAME % 1)
    while not attempt.groups_sent:
        await event_loop_iterations(1)
    attempt.append("values", FRAME % 2)
    del attempt
    gc.collect()

    async def both_are_stored() -> bool:
        return (await stores.event_names(run_id)).count("values") == 2

    await eventually(both_are_stored)


async def test_commands_wait_for_the_events_of_their_superstep(stores: Stores, eventually: Eventually) -> None:
    attempt = await claimed_attempt(stores)
    attempt.write_behind = True
    attempt.add_command(increment(stores))  # without events it is sent after a delay

    async def counted() -> bool:
        return await read_count(stores) == 1

    await eventually(counted)
    await attempt.flush()
    attempt = await claimed_attempt(stores, SendLimits(delay_s=60))
    attempt.write_behind = True
    groups = attempt.groups_sent
    await attempt.write([increment(stores)])
    await event_loop_iterations(50)  # more than a command waits if there is no delay
    attempt.append("values", FRAME % 0)
    await attempt.flush()
    assert attempt.groups_sent == groups + 1
    assert (await logged_numbers(stores, attempt), await read_count(stores)) == ([0], 2)


async def test_commands_do_not_take_an_event_beside_the_stream_for_theirs(stores: Stores) -> None:
    """A notice that a node causes says nothing about the events of another task whose write waits for them."""
    attempt = await claimed_attempt(stores, SendLimits(delay_s=60))
    attempt.write_behind = True
    groups = attempt.groups_sent
    await attempt.write([increment(stores)])
    attempt.append_beside_stream("values", FRAME % 1)
    await event_loop_iterations(50)
    assert attempt.groups_sent == groups
    attempt.append("values", FRAME % 2)
    await attempt.flush()
    assert (await logged_numbers(stores, attempt), await read_count(stores)) == ([1, 2], 1)


async def test_the_logged_events_of_a_long_log_are_read_in_pages(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.runs.logged_events.PAGE", 2)
    attempt = await claimed_attempt(stores)
    for number in range(5):
        attempt.append("values", FRAME % number, f"mark {number}")
    await attempt.flush()
    logged = await attempt.read_logged_events()
    assert logged.marks == {f"mark {number}" for number in range(5)}
    assert [logged.has_frame(FRAME % number) for number in range(6)] == [True] * 5 + [False]


async def test_events_and_checkpoint_before_a_superstep_are_one_group(stores: Stores) -> None:
    attempt = await claimed_attempt(stores)
    attempt.write_behind = True
    for number in range(3):
        attempt.append("values", FRAME % number)
        checkpoint = asyncio.create_task(attempt.write([increment(stores)]))  # as LangGraph does
        attempt.superstep_started()
        await attempt.wait_for_capacity()
        await checkpoint
        assert attempt.groups_sent == number + 1
    await attempt.flush()
    assert (await logged_numbers(stores, attempt), await read_count(stores)) == ([0, 1, 2], 3)


async def write_input(stores: Stores, attempt: AttemptWriter) -> None:
    """Writes what LangGraph writes before the first superstep, and starts the superstep."""
    attempt.write_behind = True
    attempt.append("values", FRAME % 0)
    await attempt.write([increment(stores)])
    attempt.superstep_started()
    await attempt.wait_for_capacity()


async def test_the_first_group_of_a_run_without_followers_is_sent_with_its_short_superstep(stores: Stores) -> None:
    attempt = await claimed_attempt(stores, SendLimits(first_group_delay_s=60), followed=False)
    await write_input(stores, attempt)
    attempt.append("values", FRAME % 1)
    await event_loop_iterations(20)
    assert attempt.groups_sent == 0
    assert await attempt.settle(settlement(attempt.run)) == Settled()
    assert (attempt.groups_sent, await logged_numbers(stores, attempt), await read_count(stores)) == (1, [0, 1], 1)


async def test_the_first_group_waits_for_no_long_superstep(stores: Stores) -> None:
    attempt = await claimed_attempt(stores, followed=False)
    await write_input(stores, attempt)
    await wait_until(lambda: attempt.groups_sent)
    await attempt.flush()
    assert (await logged_numbers(stores, attempt), await read_count(stores)) == ([0], 1)


async def test_the_first_group_is_sent_before_the_second_superstep(stores: Stores) -> None:
    attempt = await claimed_attempt(stores, SendLimits(first_group_delay_s=60), followed=False)
    await write_input(stores, attempt)
    attempt.append("values", FRAME % 1)
    attempt.superstep_ended()
    attempt.superstep_started()
    await attempt.wait_for_capacity()
    assert attempt.groups_sent == 1


async def test_the_first_group_waits_for_no_superstep_that_reads(stores: Stores) -> None:
    attempt = await claimed_attempt(stores, SendLimits(first_group_delay_s=60), followed=False)
    await write_input(stores, attempt)
    await attempt.flush()
    assert (await logged_numbers(stores, attempt), await read_count(stores)) == ([0], 1)


async def test_without_a_trusted_lease_the_first_superstep_waits_for_redis(stores: Stores) -> None:
    attempt = await claimed_attempt(stores, SendLimits(first_group_delay_s=60), followed=False)
    attempt.lease_trusted_until = 0
    await write_input(stores, attempt)
    assert (await logged_numbers(stores, attempt), await read_count(stores)) == ([0], 1)


async def test_the_writes_of_the_last_superstep_are_sent_with_the_settle(stores: Stores) -> None:
    attempt = await claimed_attempt(stores)
    attempt.write_behind = True
    attempt.append("values", FRAME % 0)
    await attempt.write([increment(stores)])
    attempt.superstep_ended()
    await event_loop_iterations(3)  # LangGraph needs these between the last task and the end of its stream
    assert attempt.groups_sent == 0
    assert await attempt.settle(settlement(attempt.run)) == Settled()
    assert (attempt.groups_sent, await logged_numbers(stores, attempt), await read_count(stores)) == (1, [0], 1)


async def test_the_writes_of_a_superstep_do_not_wait_for_slow_work_that_follows_it(stores: Stores) -> None:
    attempt = await claimed_attempt(stores, SendLimits(delay_s=60))
    attempt.write_behind = True
    attempt.append("values", FRAME % 0)
    attempt.superstep_ended()
    await wait_until(lambda: attempt.groups_sent)
    attempt.append("values", FRAME % 1)
    attempt.superstep_ended()
    await attempt.flush()
    assert await logged_numbers(stores, attempt) == [0, 1]


async def test_a_settle_includes_events_that_were_appended_while_it_waited_for_a_group(stores: Stores) -> None:
    attempt = await claimed_attempt(stores)
    attempt.append("values", FRAME % 0)
    await event_loop_iterations(1)  # the first event is sent
    attempt.append("values", FRAME % 1)
    assert await attempt.settle(settlement(attempt.run)) == Settled()
    assert attempt.groups_sent == 2
    assert await logged_numbers(stores, attempt) == [0, 1]


async def test_a_settle_includes_unsent_events_and_commands(stores: Stores) -> None:
    attempt = await claimed_attempt(stores)
    for number in range(10):
        attempt.append("values", FRAME % number)
    attempt.add_command(increment(stores))
    assert await attempt.settle(settlement(attempt.run)) == Settled()
    assert await logged_numbers(stores, attempt) == list(range(10))
    assert await read_count(stores) == 1
    assert (await stores.event_names(attempt.run))[-1] == "end"


async def test_a_graph_waits_when_too_many_bytes_are_buffered(valkey_url: str, keys: Keys, stores: Stores) -> None:
    async with proxied(valkey_url) as proxy, opened(proxy.url, keys, one_queue=True) as remote:
        attempt = await claimed_attempt(remote)
        proxy.hold_replies()
        attempt.append("values", FRAME % 0)
        await event_loop_iterations(1)  # it is sent, and its reply is held back
        for _ in range(3):
            attempt.append("values", incompressible(600_000))
        waiting = asyncio.ensure_future(attempt.wait_for_capacity())
        await wait_until(lambda: proxy.held_back_bytes)
        assert not waiting.done()
        proxy.release_replies()
        await asyncio.wait_for(waiting, 30)


async def test_a_cancelled_write_does_not_cancel_other_writes_of_its_group(
    valkey_url: str, keys: Keys, stores: Stores
) -> None:
    async with proxied(valkey_url) as proxy, opened(proxy.url, keys, one_queue=True) as remote:
        attempt = await claimed_attempt(remote)
        await attempt.write([increment(remote)])
        proxy.hold_replies()
        first, second = [asyncio.create_task(attempt.write([increment(remote)])) for _ in range(2)]
        await wait_until(lambda: proxy.held_back_bytes)
        assert not first.done()
        assert not second.done()
        first.cancel()
        proxy.release_replies()
        with pytest.raises(asyncio.CancelledError):
            await first
        await asyncio.wait_for(second, 30)
    assert await read_count(stores) == 3


async def test_all_events_before_a_superstep_are_sent_before_it_starts(
    valkey_url: str, keys: Keys, stores: Stores, eventually: Eventually
) -> None:
    async with proxied(valkey_url) as proxy, opened(proxy.url, keys, one_queue=True) as remote:
        attempt = await claimed_attempt(remote)
        attempt.write_behind = True
        await attempt.write([increment(remote)])
        await attempt.flush()  # loads the script
        proxy.hold_replies()
        attempt.append("values", FRAME % 0)
        await attempt.write([increment(remote)])
        attempt.superstep_started()
        await asyncio.wait_for(attempt.wait_for_capacity(), 30)  # the superstep starts without a reply

        async def is_logged() -> bool:
            return await logged_numbers(stores, attempt) == [0]

        await eventually(is_logged)
        attempt.append("values", FRAME % 1)
        attempt.superstep_started()
        waiting = asyncio.ensure_future(attempt.wait_for_capacity())
        await event_loop_iterations(10)  # more than it needs to return
        assert not waiting.done(), "the group before it is not acknowledged"
        proxy.release_replies()
        await asyncio.wait_for(waiting, 30)
        assert await attempt.settle(settlement(attempt.run)) == Settled()
    assert await logged_numbers(stores, attempt) == [0, 1]
    assert await read_count(stores) == 2


async def test_a_killed_process_loses_nothing_from_before_a_superstep(keys: Keys) -> None:
    """Redis reads 16 KiB of a connection at a time. If it cannot send its replies because the process was killed, it
    closes the connection and does not read the rest."""
    async with server() as own_server, opened(own_server.url, keys, one_queue=True) as survivor:
        async with opened(own_server.url, keys, one_queue=True) as killed:
            attempt = await claimed_attempt(killed)
            await attempt.write([increment(killed)])  # loads the script
            attempt.write_behind = True
            own_server.suspend()
            for started in range(10):
                attempt.append("values", FRAME % started)
                attempt.add_command(("SET", f"{killed.shards.home.prefix}:padding", b"x" * 20_000))
                attempt.superstep_started()
                waiting = asyncio.ensure_future(attempt.wait_for_capacity())
                await event_loop_iterations(10)  # more than it needs to return
                if not waiting.done():
                    waiting.cancel()
                    break
        await wait_until(lambda: not killed.pipeline.connected)  # the event loop closes the socket a moment later
        own_server.resume()
        await wait_until(partial(is_only_client, survivor.pipeline))
        assert (await logged_numbers(survivor, attempt))[:started] == list(range(started))


class DelayingScripts(RunScripts):
    """Delays one call of `run_apply`, so that later groups reach Redis before it."""

    delay_next = False

    def run_apply(self, *arguments: Any) -> asyncio.Future[Any]:
        if not self.delay_next:
            return super().run_apply(*arguments)
        self.delay_next, self._delayed_arguments = False, arguments
        self._reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        return self._reply

    def send_delayed(self) -> None:
        """Sends the delayed call."""
        super().run_apply(*self._delayed_arguments).add_done_callback(
            lambda done: self._reply.set_result(done.result())
        )


async def test_groups_that_arrive_before_their_predecessor_are_sent_again(stores: Stores) -> None:
    scripts = DelayingScripts(stores.pipeline, stores.shards)
    attempt = await claimed_attempt(replace(stores, scripts=scripts))
    attempt.write_behind = True
    await attempt.write([increment(stores)])
    await attempt.flush()
    scripts.delay_next = True
    for number in range(3):
        await _superstep(attempt, number)
        await stores.pipeline.send("PING")  # Redis has rejected the group
    assert await logged_numbers(stores, attempt) == []
    scripts.send_delayed()
    await attempt.flush()
    assert await logged_numbers(stores, attempt) == [0, 1, 2]
    assert not attempt.is_fenced


async def test_an_attempt_with_an_untrusted_lease_waits_for_redis_before_the_next_superstep(stores: Stores) -> None:
    attempt = await claimed_attempt(stores)
    attempt.write_behind = True
    attempt.lease_trusted_until = 0.0
    await _superstep(attempt, 0)  # waits for the reply; the attempt still owns the run
    assert await logged_numbers(stores, attempt) == [0]
    await stores.reap()
    await stores.claim_one()
    with pytest.raises(Fenced):
        await _superstep(attempt, 1)
    assert await logged_numbers(stores, attempt) == [0]


async def _superstep(attempt: AttemptWriter, number: int) -> None:
    attempt.append("values", FRAME % number)
    attempt.superstep_started()
    await attempt.wait_for_capacity()


async def test_a_fenced_attempt_changes_nothing_and_is_reported_once(stores: Stores) -> None:
    attempt = await claimed_attempt(stores)
    stops: list[Action | None] = []
    attempt.on_stop = stops.append
    await stores.reap()
    successor = await stores.claim_one()
    before = await stores.dump()
    with capture_logs() as logs:
        attempt.append("values", FRAME % 1)
        attempt.add_command(increment(stores))
        with pytest.raises(Fenced):
            await attempt.write([increment(stores)])
        for _ in range(3):
            with pytest.raises(Fenced):
                await attempt.write([increment(stores)])
            attempt.append("values", FRAME % 2)
            await event_loop_iterations(1)  # it would be sent
        assert await attempt.settle(settlement(attempt.run)) == AttemptFenced()
        assert await attempt.release(handover(attempt.run)) is None
        attempt.mark_fenced()
    assert await stores.dump() == before
    assert stops == [None]
    assert [entry["event"] for entry in logs] == ["attempt.fenced"]
    assert await stores.settle(successor) == Settled()


async def test_a_flush_after_a_fenced_write_raises(stores: Stores, eventually: Eventually) -> None:
    attempt = await claimed_attempt(stores)
    await stores.reap()
    attempt.append("values", FRAME % 1)
    await eventually(lambda: attempt.is_fenced)
    with pytest.raises(Fenced):
        await attempt.flush()


async def test_the_reply_to_the_next_write_reports_a_cancel_request(stores: Stores) -> None:
    attempt = await claimed_attempt(stores)
    stops: list[Action | None] = []
    attempt.on_stop = stops.append
    await stores.runs.cancel(attempt.run.thread_id, attempt.run.run_id, Action.ROLLBACK)
    await attempt.write([increment(stores)])
    await attempt.write([increment(stores)])
    assert stops == [Action.ROLLBACK]


async def test_a_disconnect_after_any_write_stores_every_write_once(
    valkey_url: str, keys: Keys, stores: Stores
) -> None:
    async with proxied(valkey_url) as proxy, opened(proxy.url, keys, one_queue=True) as remote:
        attempt = await claimed_attempt(remote)
        for number in range(40):
            proxy.cut_after_requests = proxy.requests + 1 + number % 3
            attempt.append("values", FRAME % number)
            await attempt.write([increment(remote)])
        proxy.cut_after_requests = proxy.requests + 1
        attempt.append("values", FRAME % 40)
        assert await attempt.settle(settlement(attempt.run)) == Settled()
        assert remote.pipeline.connections > 10
    assert await logged_numbers(stores, attempt) == list(range(41))
    assert await read_count(stores) == 40
    assert (await stores.event_names(attempt.run)).count("end") == 1


async def test_an_attempt_is_fenced_when_redis_stays_unavailable(valkey_url: str, keys: Keys) -> None:
    async with proxied(valkey_url) as proxy, opened(proxy.url, keys, one_queue=True, patience_s=0.3) as remote:
        attempt = await claimed_attempt(remote)
        proxy.rejecting = True
        proxy.cut()
        with pytest.raises(StoreUnavailable):
            await attempt.write([increment(remote)])
        assert attempt.is_fenced


async def test_kills_and_restarts_of_redis_lose_and_repeat_no_write(keys: Keys) -> None:
    async with server() as own_server, opened(own_server.url, keys, one_queue=True, patience_s=30) as stores:
        attempt = await claimed_attempt(stores)

        written = asyncio.Queue[int]()

        async def write() -> None:
            for number in range(300):
                attempt.append("values", FRAME % number)
                await attempt.write([increment(stores)])
                written.put_nowait(number)

        writing = asyncio.create_task(write())
        for _ in range(3):
            async with asyncio.timeout(30):
                for _ in range(20):
                    await written.get()
            await own_server.kill()
            await own_server.start()
        await writing
        assert await logged_numbers(stores, attempt) == list(range(300))
        assert await read_count(stores) == 300


async def test_writes_wait_while_redis_is_full(keys: Keys) -> None:
    async with (
        server("--maxmemory-policy", "noeviction") as own_server,
        opened(own_server.url, keys, one_queue=True) as stores,
    ):
        attempt = await claimed_attempt(stores)
        await stores.pipeline.send("CONFIG", "SET", "maxmemory", "1")
        attempt.append("values", FRAME % 0)
        writing = asyncio.ensure_future(attempt.write([increment(stores)]))
        await wait_until(partial(is_rejecting, stores.pipeline, "OOM"))
        assert not writing.done()
        assert await logged_numbers(stores, attempt) == [], "no part of a group is stored"
        await stores.pipeline.send("CONFIG", "SET", "maxmemory", "0")
        await asyncio.wait_for(writing, 30)
        assert (await logged_numbers(stores, attempt), await read_count(stores)) == ([0], 1)


async def test_writes_wait_while_redis_is_read_only(keys: Keys) -> None:
    async with server() as own_server, opened(own_server.url, keys, one_queue=True) as stores:
        attempt = await claimed_attempt(stores)
        await stores.pipeline.send("REPLICAOF", "127.0.0.1", "1")
        writing = asyncio.ensure_future(attempt.write([increment(stores)]))
        await wait_until(partial(is_rejecting, stores.pipeline, "READONLY"))
        assert not writing.done()
        await stores.pipeline.send("REPLICAOF", "NO", "ONE")
        await asyncio.wait_for(writing, 30)
        assert await read_count(stores) == 1


async def test_a_write_fails_with_the_error_of_redis_when_redis_stays_full(keys: Keys) -> None:
    async with server() as own_server, opened(own_server.url, keys, one_queue=True, patience_s=0.3) as stores:
        await stores.pipeline.send("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StoreUnavailable, match="OOM"):
            await stores.threads.create_or_get("0" * 36, {})
