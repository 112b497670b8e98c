"""Attempts: group commit, fencing, and servers that go away while an attempt writes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from slipway.errors import Fenced, StoreUnavailable
from slipway.redis.keys import Keys
from slipway.runs.attempt import DEFAULT_LIMITS, Attempt, SendLimits
from slipway.runs.cancel_reasons import Action
from slipway.runs.script_results import AttemptFenced, Settled
from slipway.runs.scripts import RunScripts
from tests.conftest import Eventually
from tests.proxy import proxied
from tests.runs.conftest import Stores, handover, opened, settlement
from tests.runs.servers import server

FRAME = b"event: values\r\ndata: %d\r\n"


async def _claimed(stores: Stores, limits: SendLimits = DEFAULT_LIMITS) -> Attempt:
    await stores.create_run()
    attempt = stores.attempt(await stores.claim_one(), limits)
    attempt.write_behind = False  # a write returns when it has acknowledged
    return attempt


def _count(stores: Stores) -> tuple[Any, ...]:
    return "INCR", f"{stores.keys.prefix}:count"


async def _counted(stores: Stores) -> int:
    return int(await stores.pipeline.send("GET", f"{stores.keys.prefix}:count", repeatable=True) or 0)


async def _numbers(stores: Stores, attempt: Attempt) -> list[int]:
    log = await stores.log_of(attempt.run)
    return [int(event.data) for event in log if event.name == "values"]


async def test_what_is_written_in_one_turn_lands_in_one_group(stores: Stores) -> None:
    attempt = await _claimed(stores)
    await attempt.write([_count(stores)])  # the script is known from now on
    before = stores.pipeline.round_trips
    for number in range(100):
        attempt.append("values", FRAME % number)
        attempt.add_command(_count(stores))
    await asyncio.gather(*(attempt.write([_count(stores)]) for _ in range(10)))
    assert stores.pipeline.round_trips <= before + 2  # tasks begin a turn later
    assert await _counted(stores) == 111
    assert await _numbers(stores, attempt) == list(range(100))


async def test_one_group_is_under_way_at_a_time_and_the_next_takes_the_rest(stores: Stores) -> None:
    attempt = await _claimed(stores)
    before = stores.pipeline.round_trips
    for number in range(200):
        attempt.append("values", FRAME % number)
        await asyncio.sleep(0)
    await attempt.flush()
    assert stores.pipeline.round_trips - before < 150
    assert await _numbers(stores, attempt) == list(range(200))


async def test_commands_that_nobody_follows_wait_for_the_events_beside_them(
    stores: Stores, eventually: Eventually
) -> None:
    attempt = await _claimed(stores)
    attempt.write_behind = True
    attempt.add_command(_count(stores))  # alone, they wait a moment

    async def counted() -> bool:
        return await _counted(stores) == 1

    await eventually(counted)
    await attempt.flush()
    attempt = await _claimed(stores, SendLimits(delay_s=60))
    attempt.write_behind = True
    groups = attempt.groups_sent
    await attempt.write([_count(stores)])
    for _ in range(50):  # more iterations than a command without a delay waits
        await asyncio.sleep(0)
    attempt.append("values", FRAME % 0)
    await attempt.flush()
    assert attempt.groups_sent == groups + 1
    assert (await _numbers(stores, attempt), await _counted(stores)) == ([0], 2)


async def test_a_later_attempt_knows_all_of_a_long_log(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.runs.logged_events.PAGE", 2)
    attempt = await _claimed(stores)
    for number in range(5):
        attempt.append("values", FRAME % number, f"mark {number}")
    await attempt.flush()
    logged = await attempt.read_logged_events()
    assert logged.marks == {f"mark {number}" for number in range(5)}
    assert [logged.has_frame(FRAME % number) for number in range(6)] == [True] * 5 + [False]


async def test_what_was_before_a_superstep_is_one_group(stores: Stores) -> None:
    attempt = await _claimed(stores)
    attempt.write_behind = True
    for number in range(3):
        attempt.append("values", FRAME % number)
        checkpoint = asyncio.create_task(attempt.write([_count(stores)]))  # as LangGraph does
        attempt.superstep_started()
        await attempt.wait_for_capacity()
        await checkpoint
        assert attempt.groups_sent == number + 1
    await attempt.flush()
    assert (await _numbers(stores, attempt), await _counted(stores)) == ([0, 1, 2], 3)


async def test_a_settle_that_waits_for_a_group_takes_along_what_came_meanwhile(stores: Stores) -> None:
    attempt = await _claimed(stores)
    attempt.append("values", FRAME % 0)
    await asyncio.sleep(0)
    attempt.append("values", FRAME % 1)
    assert await attempt.settle(settlement(attempt.run)) == Settled()
    assert attempt.groups_sent == 2
    assert await _numbers(stores, attempt) == [0, 1]


async def test_a_settle_takes_along_what_was_not_yet_written(stores: Stores) -> None:
    attempt = await _claimed(stores)
    for number in range(10):
        attempt.append("values", FRAME % number)
    attempt.add_command(_count(stores))
    assert await attempt.settle(settlement(attempt.run)) == Settled()
    assert await _numbers(stores, attempt) == list(range(10))
    assert await _counted(stores) == 1
    assert (await stores.event_names(attempt.run))[-1] == "end"


async def test_a_maker_of_events_waits_for_a_slow_server(valkey_url: str, keys: Keys, stores: Stores) -> None:
    async with proxied(valkey_url) as proxy, opened(proxy.url, keys) as far:
        attempt = await _claimed(far)
        proxy.hold_replies()
        attempt.append("values", FRAME % 0)
        await asyncio.sleep(0)
        for _ in range(3):
            attempt.append("values", b"x" * 600_000)
        waiting = asyncio.ensure_future(attempt.wait_for_capacity())
        await asyncio.wait([waiting], timeout=0.05)
        assert not waiting.done()
        proxy.release_replies()
        await asyncio.wait_for(waiting, 30)


async def test_one_that_gives_up_waiting_for_a_group_does_not_stop_the_others(
    valkey_url: str, keys: Keys, stores: Stores
) -> None:
    async with proxied(valkey_url) as proxy, opened(proxy.url, keys) as far:
        attempt = await _claimed(far)
        await attempt.write([_count(far)])
        proxy.hold_replies()
        both = [asyncio.create_task(attempt.write([_count(far)])) for _ in range(2)]
        done, _ = await asyncio.wait(both, timeout=0.05)
        assert not done
        both[0].cancel()
        proxy.release_replies()
        with pytest.raises(asyncio.CancelledError):
            await both[0]
        await asyncio.wait_for(both[1], 30)
    assert await _counted(stores) == 3


async def test_what_was_before_a_superstep_is_on_its_way_when_it_begins(
    valkey_url: str, keys: Keys, stores: Stores, eventually: Eventually
) -> None:
    async with proxied(valkey_url) as proxy, opened(proxy.url, keys) as far:
        attempt = await _claimed(far)
        attempt.write_behind = True
        await attempt.write([_count(far)])
        await attempt.flush()  # the script is known from now on
        proxy.hold_replies()
        for number in range(4):
            attempt.append("values", FRAME % number)
            await attempt.write([_count(far)])
            attempt.superstep_started()
            await asyncio.wait_for(attempt.wait_for_capacity(), 30)  # no answer is needed to go on

            async def arrived(last: int = number) -> bool:
                return await _numbers(stores, attempt) == list(range(last + 1))

            await eventually(arrived)
        attempt.append("values", FRAME % 4)
        attempt.superstep_started()
        too_far = asyncio.ensure_future(attempt.wait_for_capacity())
        await asyncio.wait([too_far], timeout=0.05)
        assert not too_far.done()
        proxy.release_replies()
        await asyncio.wait_for(too_far, 30)
        assert await attempt.settle(settlement(attempt.run)) == Settled()
    assert await _numbers(stores, attempt) == list(range(5))
    assert await _counted(stores) == 5


class HoldingScripts(RunScripts):
    """Holds one call of a script, as if the server could not execute it yet."""

    hold_next = False

    def run_apply(self, *arguments: Any) -> asyncio.Future[Any]:
        if not self.hold_next:
            return super().run_apply(*arguments)
        self.hold_next, self._held = False, arguments
        self._reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        return self._reply

    def send_held(self) -> None:
        """Makes the call that was held."""
        super().run_apply(*self._held).add_done_callback(lambda done: self._reply.set_result(done.result()))


async def test_groups_that_come_before_one_they_follow_are_sent_again(stores: Stores) -> None:
    scripts = HoldingScripts(stores.pipeline, stores.keys)
    attempt = await _claimed(replace(stores, scripts=scripts))
    attempt.write_behind = True
    await attempt.write([_count(stores)])
    await attempt.flush()
    scripts.hold_next = True
    for number in range(3):
        await _superstep(attempt, number)
    await stores.pipeline.send("PING")
    assert await _numbers(stores, attempt) == []
    scripts.send_held()
    await attempt.flush()
    assert await _numbers(stores, attempt) == [0, 1, 2]
    assert not attempt.is_fenced


async def test_who_may_have_lost_the_lease_asks_before_the_next_superstep(stores: Stores) -> None:
    attempt = await _claimed(stores)
    attempt.write_behind = True
    attempt.lease_is_trusted = lambda: False
    await _superstep(attempt, 0)  # the answer is awaited, and the run is still ours
    assert await _numbers(stores, attempt) == [0]
    await stores.reap()
    await stores.claim_one()
    with pytest.raises(Fenced):
        await _superstep(attempt, 1)
    assert await _numbers(stores, attempt) == [0]


async def _superstep(attempt: Attempt, number: int) -> None:
    attempt.append("values", FRAME % number)
    attempt.superstep_started()
    await attempt.wait_for_capacity()


async def test_an_attempt_that_lost_its_run_changes_nothing_and_says_so_once(stores: Stores) -> None:
    attempt = await _claimed(stores)
    told: list[Action | None] = []
    attempt.on_stop = told.append
    await stores.reap()
    successor = await stores.claim_one()
    before = await stores.dump()
    with capture_logs() as logs:
        attempt.append("values", FRAME % 1)
        attempt.add_command(_count(stores))
        with pytest.raises(Fenced):
            await attempt.write([_count(stores)])
        for _ in range(3):
            with pytest.raises(Fenced):
                await attempt.write([_count(stores)])
            attempt.append("values", FRAME % 2)
            await asyncio.sleep(0)
        assert await attempt.settle(settlement(attempt.run)) == AttemptFenced()
        assert await attempt.release(handover(attempt.run)) is False
        attempt.mark_fenced()
    assert await stores.dump() == before
    assert told == [None]
    assert [entry["event"] for entry in logs] == ["attempt.fenced"]
    assert await stores.settle(successor) == Settled()


async def test_a_flush_does_not_confirm_what_was_refused_before_it(stores: Stores, eventually: Eventually) -> None:
    attempt = await _claimed(stores)
    await stores.reap()
    attempt.append("values", FRAME % 1)
    await eventually(lambda: attempt.is_fenced)
    with pytest.raises(Fenced):
        await attempt.flush()


async def test_a_cancel_is_heard_with_the_next_write(stores: Stores) -> None:
    attempt = await _claimed(stores)
    told: list[Action | None] = []
    attempt.on_stop = told.append
    await stores.runs.cancel(attempt.run.thread_id, attempt.run.run_id, Action.ROLLBACK)
    await attempt.write([_count(stores)])
    await attempt.write([_count(stores)])
    assert told == [Action.ROLLBACK]


async def test_a_connection_cut_after_any_write_doubles_nothing(valkey_url: str, keys: Keys, stores: Stores) -> None:
    async with proxied(valkey_url) as proxy, opened(proxy.url, keys) as far:
        attempt = await _claimed(far)
        for number in range(40):
            proxy.cut_after_requests = proxy.requests + 1 + number % 3
            attempt.append("values", FRAME % number)
            await attempt.write([_count(far)])
        proxy.cut_after_requests = proxy.requests + 1
        attempt.append("values", FRAME % 40)
        assert await attempt.settle(settlement(attempt.run)) == Settled()
        assert far.pipeline.connections > 10
    assert await _numbers(stores, attempt) == list(range(41))
    assert await _counted(stores) == 40
    assert (await stores.event_names(attempt.run)).count("end") == 1


async def test_an_attempt_whose_server_stays_away_gives_up_when_patience_ends(valkey_url: str, keys: Keys) -> None:
    async with proxied(valkey_url) as proxy, opened(proxy.url, keys, patience_s=0.3) as far:
        attempt = await _claimed(far)
        proxy.refusing = True
        proxy.cut()
        with pytest.raises(StoreUnavailable):
            await attempt.write([_count(far)])
        assert attempt.is_fenced


async def test_a_server_that_is_killed_and_comes_back_loses_and_doubles_nothing(keys: Keys) -> None:
    async with server() as own, opened(own.url, keys, patience_s=30) as stores:
        attempt = await _claimed(stores)

        async def write() -> None:
            for number in range(300):
                attempt.append("values", FRAME % number)
                await attempt.write([_count(stores)])

        writing = asyncio.create_task(write())
        for _ in range(3):
            seen = await _counted(stores)
            while not writing.done() and await _counted(stores) < seen + 20:  # noqa: ASYNC110
                await asyncio.sleep(0)
            await own.kill()
            await own.start()
        await writing
        assert await _numbers(stores, attempt) == list(range(300))
        assert await _counted(stores) == 300


async def test_writes_wait_for_a_server_that_is_full(keys: Keys) -> None:
    async with server("--maxmemory-policy", "noeviction") as own, opened(own.url, keys) as stores:
        attempt = await _claimed(stores)
        await stores.pipeline.send("CONFIG", "SET", "maxmemory", "1")
        attempt.append("values", FRAME % 0)
        writing = asyncio.ensure_future(attempt.write([_count(stores)]))
        await asyncio.wait([writing], timeout=0.3)
        assert not writing.done()
        assert await _numbers(stores, attempt) == []  # all of a group, or nothing
        await stores.pipeline.send("CONFIG", "SET", "maxmemory", "0")
        await asyncio.wait_for(writing, 30)
        assert (await _numbers(stores, attempt), await _counted(stores)) == ([0], 1)


async def test_writes_wait_for_a_server_that_is_read_only(keys: Keys) -> None:
    async with server() as own, opened(own.url, keys) as stores:
        attempt = await _claimed(stores)
        await stores.pipeline.send("REPLICAOF", "127.0.0.1", "1")
        writing = asyncio.ensure_future(attempt.write([_count(stores)]))
        await asyncio.wait([writing], timeout=0.3)
        assert not writing.done()
        await stores.pipeline.send("REPLICAOF", "NO", "ONE")
        await asyncio.wait_for(writing, 30)
        assert await _counted(stores) == 1


async def test_a_server_that_stays_full_is_reported(keys: Keys) -> None:
    async with server() as own, opened(own.url, keys, patience_s=0.3) as stores:
        await stores.pipeline.send("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StoreUnavailable, match="OOM"):
            await stores.threads.create_or_get("0" * 36, {})
