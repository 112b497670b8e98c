"""The order of a thread's runs, the strategies for a busy thread, and the status of an idle thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from slipway.checkpoints.fenced_writers import CheckpointWriter, IdleThreadWriter, PausedRunWriter
from slipway.errors import Conflict, NotFound
from slipway.health.scripts import HealthScripts
from slipway.runs.cancel_reasons import Action
from slipway.runs.operator_pause import OperatorPause
from slipway.runs.record import Phase, Run
from slipway.runs.script_results import AttemptFenced, Settled
from slipway.runs.worker_list_scripts import WorkerListScripts
from tests.runs.conftest import Stores, handover
from tests.shards import shards_of

pytestmark = pytest.mark.one_queue


async def test_the_runs_of_a_thread_execute_one_after_the_other(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    for expected in [await stores.create_run(thread_id) for _ in range(5)]:
        (running,) = await stores.claim()
        assert running.run_id == expected.run_id
        assert await stores.claim() == []
        assert (await stores.thread_of(running)).status == "busy"
        await stores.settle(running)
    assert (await stores.threads.get(thread_id)).status == "idle"


async def test_runs_of_different_threads_do_not_wait_for_each_other(stores: Stores) -> None:
    created = {(await stores.create_run()).run_id for _ in range(5)}
    assert {run.run_id for run in await stores.claim()} == created


async def test_a_delayed_run_does_not_block_later_runs_of_its_thread(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    later = await stores.create_run(thread_id, after_s=60)
    assert await stores.claim() == []
    assert (await stores.reload(later)).reason == "delay"
    now = await stores.create_run(thread_id)
    running = await stores.claim_one()
    assert running.run_id == now.run_id
    await stores.settle(running)
    assert await stores.claim() == []
    await _make_due(stores, later)
    assert (await stores.claim_one()).run_id == later.run_id


async def test_delayed_runs_are_claimed_in_the_order_of_their_due_times(stores: Stores) -> None:
    runs = [await stores.create_run(after_s=60) for _ in range(4)]
    now = await stores.create_run()
    order = [runs[index] for index in (2, 0, 3, 1)]
    now_ms = await _server_ms(stores)
    for age_s, run in zip((4, 3, 2, 1), order, strict=True):
        await stores.pipeline.send(
            "ZADD", stores.shards.home.later_queue, "XX", now_ms - age_s * 1000, f"{run.run_id}:1"
        )
    assert [run.run_id for run in await stores.claim()] == [run.run_id for run in (*order, now)]


async def _server_ms(stores: Stores) -> int:
    seconds, micros = await stores.pipeline.send("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


async def test_a_delayed_run_waits_for_the_active_run_of_its_thread(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    later = await stores.create_run(thread_id, after_s=60)
    await stores.create_run(thread_id)
    running = await stores.claim_one()
    await _make_due(stores, later)
    assert await stores.claim() == []
    await stores.settle(running)
    assert (await stores.claim_one()).run_id == later.run_id


async def _make_due(stores: Stores, run: Run) -> None:
    """Changes the stored due time of a delayed run, as if its delay had passed."""
    due_ms = await _server_ms(stores)
    await stores.pipeline.send("HSET", stores.keys.run(run.run_id), "due_ms", due_ms)
    assert (
        await stores.pipeline.send("ZADD", stores.shards.home.later_queue, "XX", "CH", due_ms, f"{run.run_id}:1") == 1
    )


async def test_no_run_of_a_thread_overtakes_one_that_waits_for_its_next_attempt(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    later = await stores.create_run(thread_id, after_s=60)
    first = await stores.create_run(thread_id)
    running = await stores.claim_one()
    assert await stores.attempt(running).release(handover(running, delay_ms=60_000))
    await _make_due(stores, later)
    assert await stores.claim() == []
    assert await stores.phase_of(first) is Phase.QUEUED


async def test_a_released_or_reclaimed_run_is_claimed_before_later_runs_of_its_thread(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    first, _ = [await stores.create_run(thread_id) for _ in range(2)]
    assert await stores.attempt(running := await stores.claim_one()).release(handover(running))
    assert (await stores.claim_one()).run_id == first.run_id
    await stores.reap()
    assert (await stores.claim_one()).run_id == first.run_id


async def test_a_cancelled_run_does_not_block_the_next_run(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    first, second, third = [await stores.create_run(thread_id) for _ in range(3)]
    await stores.runs.cancel(thread_id, first.run_id, Action.INTERRUPT)
    assert (await stores.claim_one()).run_id == second.run_id
    await stores.reap()
    await stores.runs.cancel(thread_id, third.run_id, Action.INTERRUPT)
    assert (await stores.claim_one()).run_id == second.run_id


async def test_a_run_that_the_reaper_fails_does_not_block_the_next_run(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    await stores.create_run(thread_id, ceilings={"max_attempts": 1})
    second = await stores.create_run(thread_id)
    await stores.claim_one()
    await stores.reap()
    assert (await stores.threads.get(thread_id)).status == "busy"
    assert (await stores.claim_one()).run_id == second.run_id


async def test_strategy_reject_rejects_a_run_while_the_thread_is_busy(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    await stores.create_run(thread_id, multitask_strategy="reject")
    for _ in range(2):  # queued, then running
        with pytest.raises(Conflict):
            await stores.create_run(thread_id, multitask_strategy="reject")
        await stores.claim()
    await stores.reap()
    with pytest.raises(Conflict):  # between two attempts
        await stores.create_run(thread_id, multitask_strategy="reject")
    assert len(await stores.runs.list(thread_id)) == 1


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_a_newer_run_ends_queued_runs(stores: Stores, strategy: str) -> None:
    thread_id = await stores.create_thread()
    earlier = [await stores.create_run(thread_id) for _ in range(2)]
    newer = await stores.create_run(thread_id, multitask_strategy=strategy)
    assert (await stores.claim_one()).run_id == newer.run_id
    for run in earlier:
        if strategy == "interrupt":
            assert await stores.phase_of(run) is Phase.CANCELLED
        else:
            with pytest.raises(NotFound):
                await stores.reload(run)
        assert (await stores.event_names(run))[-1] == "end"


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_a_newer_run_requests_a_cancel_of_the_running_one(stores: Stores, strategy: str) -> None:
    thread_id = await stores.create_thread()
    await stores.create_run(thread_id)
    running = await stores.claim_one()
    newer = await stores.create_run(thread_id, multitask_strategy=strategy)
    assert await stores.claim() == []
    assert (await stores.reload(running)).cancel is Action(strategy)
    assert await stores.settle(running, Phase.CANCELLED, rollback=strategy == "rollback") == Settled()
    assert (await stores.claim_one()).run_id == newer.run_id


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_a_newer_run_requests_a_cancel_of_a_run_between_two_attempts(stores: Stores, strategy: str) -> None:
    thread_id = await stores.create_thread()
    earlier = await stores.create_run(thread_id)
    await stores.claim_one()
    await stores.reap()
    newer = await stores.create_run(thread_id, multitask_strategy=strategy)
    running = await stores.claim_one()
    assert (running.run_id, running.cancel) == (earlier.run_id, Action(strategy))
    await stores.settle(running, Phase.CANCELLED)
    assert (await stores.claim_one()).run_id == newer.run_id


@pytest.mark.parametrize("before", [Phase.COMPLETED, Phase.WAITING_FOR_APPROVAL, Phase.FAILED])
async def test_cancelling_a_queued_run_restores_the_status_of_its_thread(stores: Stores, before: Phase) -> None:
    thread_id = await stores.create_thread()
    await stores.create_run(thread_id)
    await stores.settle(await stores.claim_one(), before)
    before_run = await stores.threads.get(thread_id)
    queued = await stores.create_run(thread_id)
    assert (await stores.threads.get(thread_id)).status == "busy"
    await stores.runs.cancel(thread_id, queued.run_id, Action.INTERRUPT)
    after_cancel = await stores.threads.get(thread_id)
    assert after_cancel.status == before_run.status
    assert (after_cancel.interrupts, after_cancel.error) == (before_run.interrupts, before_run.error)


async def test_cancelling_a_queued_run_does_not_affect_the_running_one(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    await stores.create_run(thread_id)
    running = await stores.claim_one()
    behind = await stores.create_run(thread_id)
    await stores.runs.cancel(thread_id, behind.run_id, Action.INTERRUPT)
    assert (await stores.threads.get(thread_id)).status == "busy"
    await stores.settle(running, Phase.WAITING_FOR_APPROVAL)
    assert (await stores.threads.get(thread_id)).status == "interrupted"


async def test_a_state_write_does_not_change_the_status_of_a_busy_thread(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    run = await stores.create_run(thread_id)
    await stores.threads.set_state(thread_id, status="interrupted", values={"a": 1}, interrupts={})
    assert (await stores.threads.get(thread_id)).status == "busy"
    await stores.runs.cancel(thread_id, run.run_id, Action.INTERRUPT)
    assert (await stores.threads.get(thread_id)).status == "interrupted"


async def test_concurrent_workers_never_claim_the_same_run_or_thread(stores: Stores) -> None:
    threads = [await stores.create_thread() for _ in range(40)]
    runs = [await stores.create_run(thread_id) for thread_id in threads for _ in range(10)]
    done: list[str] = []
    active: set[str] = set()

    async def work(worker: str) -> None:
        while len(done) < len(runs):
            for running in await stores.claim(limit=7, worker=worker):
                assert running.thread_id not in active
                active.add(running.thread_id)
                await asyncio.sleep(0)
                active.remove(running.thread_id)
                assert await stores.settle(running) == Settled()
                done.append(running.run_id)
            await asyncio.sleep(0)

    async with asyncio.timeout(30):
        await asyncio.gather(*(work(f"w{number}") for number in range(12)))
    assert sorted(done) == sorted(run.run_id for run in runs)
    assert len(set(done)) == len(done)
    for thread_id in threads:
        ids = [run.run_id for run in runs if run.thread_id == thread_id]
        assert [run_id for run_id in done if run_id in ids] == ids


async def test_a_claim_returns_at_most_its_limit(stores: Stores) -> None:
    for _ in range(10):
        await stores.create_run()
    assert len(await stores.claim(limit=3)) == 3
    assert len(await stores.claim(limit=100)) == 7


async def test_a_deleted_thread_leaves_only_the_logs_of_its_runs(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    active = await stores.create_run(thread_id)
    running = await stores.claim_one()
    queued = await stores.create_run(thread_id)
    attempt = stores.attempt(running)
    await stores.threads.delete(thread_id)
    assert [await stores.event_names(run) for run in (active, queued)] == [["metadata", "end"]] * 2
    assert await stores.settle(running) == AttemptFenced()
    assert await stores.attempt(running).release(handover(running)) is None
    attempt.append("values", b"event: values\r\ndata: 1\r\n")
    attempt.add_command(("SET", f"{stores.shards.home.prefix}:late", "1"))
    await asyncio.gather(attempt.flush(), return_exceptions=True)
    assert attempt.is_fenced
    assert await stores.reap() == []
    assert await stores.claim() == []
    keys = await stores.pipeline.send("KEYS", f"{stores.keys.prefix}*")
    logs = {stores.keys.events(run.run_id).encode() for run in (active, queued)}
    stays = (b":queue:waiting", b":trash", b":memory", b":pending_counts")
    assert {key for key in keys if not key.endswith(stays)} == logs
    assert [await stores.pipeline.send("PTTL", key) > 0 for key in logs] == [True, True]


async def test_a_group_slot_is_not_lost_when_the_run_that_would_use_it_is_cancelled(stores: Stores) -> None:
    def limited() -> dict[str, list[tuple[str, int]]]:
        return {"groups": [("few", 1)]}

    await stores.create_run(**limited())
    running = await stores.claim_one()
    second, third = [await stores.create_run(**limited()) for _ in range(2)]
    assert await stores.claim() == []
    await stores.settle(running)
    await stores.runs.cancel(second.thread_id, second.run_id, Action.INTERRUPT)
    assert (await stores.claim_one()).run_id == third.run_id


async def test_a_group_slot_is_not_lost_to_a_stale_job(stores: Stores) -> None:
    first, second, third = [await stores.create_run(groups=[("few", 1)]) for _ in range(3)]
    running = await stores.claim_one()
    assert running.run_id == first.run_id
    assert await stores.claim() == []  # both wait for the slot
    await stores.pipeline.send(
        "ZREM", stores.keys.thread_queue(second.thread_id), second.run_id
    )  # its job is stale now
    await stores.settle(running)
    assert [run.run_id for run in await stores.claim()] == [third.run_id]


async def test_a_state_is_not_written_while_a_run_is_pending_or_running(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    incarnation = (await stores.threads.get(thread_id)).incarnation
    key = f"{stores.keys.prefix}:state"

    async def write(value: str) -> None:
        await IdleThreadWriter(stores.pipeline, stores.shards, thread_id, incarnation).write([("SET", key, value)])

    await write("before")
    await stores.create_run(thread_id)
    with pytest.raises(Conflict):
        await write("while pending")
    await stores.claim_one()
    with pytest.raises(Conflict):
        await write("while running")
    await stores.reap()
    with pytest.raises(Conflict):
        await write("between attempts")
    assert await stores.pipeline.send("GET", key) == b"before"
    assert await stores.settle(await stores.claim_one(), Phase.FAILED) == Settled()
    await write("after")
    assert await stores.pipeline.send("GET", key) == b"after"


@pytest.mark.parametrize("is_paused", [False, True], ids=["idle thread", "paused run"])
async def test_a_state_is_not_written_after_its_thread_was_moved_to_another_version(
    stores: Stores, is_paused: bool
) -> None:
    """The graph of the earlier version has made it."""
    thread_id = await stores.create_thread()
    incarnation = (await stores.threads.get(thread_id)).incarnation
    key = f"{stores.keys.prefix}:state"
    run = await stores.create_run(thread_id) if is_paused else None
    if run is not None:
        await stores.scripts.run_pause(run.run_id, OperatorPause("ann", "2026-11-30T12:00:00+00:00", None))

    async def write(version: str) -> None:
        pipeline, keys = stores.pipeline, stores.keys
        writer: CheckpointWriter = IdleThreadWriter(
            pipeline, shards_of(keys), thread_id, incarnation, ("steps", version)
        )
        if run is not None:
            writer = PausedRunWriter(
                pipeline, shards_of(keys), run.run_id, run.incarnation, thread_id, ("steps", version)
            )
        await writer.write([("SET", key, version or "none")])

    await write("")
    await stores.pipeline.send("HSET", stores.keys.thread(thread_id), "version", "2")
    for earlier in ("", "1"):
        with pytest.raises(Conflict, match="was moved to another version of its graph at the same time"):
            await write(earlier)
    assert await stores.pipeline.send("GET", key) == b"none"
    await write("2")
    assert await stores.pipeline.send("GET", key) == b"2"
    await stores.pipeline.send("HSET", stores.keys.thread(thread_id), "version_graph", "another")
    await write("")


@pytest.mark.parametrize("priority", ["high", "normal", "low"])
async def test_the_age_of_the_oldest_due_job_is_measured_from_its_due_time(stores: Stores, priority: str) -> None:
    oldest = await stores.create_run(priority=priority)
    await stores.create_run(after_s=3600)
    for queue, attempt in ((stores.shards.home.queue, 1), (stores.shards.home.suspect_queue, 2)):
        newer = await stores.create_run(priority="high")
        assert 0 <= await _oldest_due_s(stores) < 30
        await stores.pipeline.send("ZINCRBY", queue, -90_000, f"{oldest.run_id}:{attempt}")
        assert 90 <= await _oldest_due_s(stores) < 120
        claimed = await stores.claim()
        assert len(claimed) == 2
        assert await _oldest_due_s(stores) == 0
        await stores.settle(next(run for run in claimed if run.run_id == newer.run_id))
        await stores.reap()


async def _oldest_due_s(stores: Stores) -> float:
    return (await HealthScripts(stores.pipeline, stores.shards).workload(60_000)).oldest_due_s


async def test_reading_the_workload_takes_one_round_trip(stores: Stores) -> None:
    scripts = HealthScripts(stores.pipeline, stores.shards)
    await scripts.workload(60_000)  # stores the scripts on the server
    before = stores.pipeline.round_trips
    await scripts.workload(60_000)
    assert stores.pipeline.round_trips == before + 1


async def test_only_live_workers_are_counted(stores: Stores) -> None:
    workers = WorkerListScripts(stores.pipeline, stores.shards.processes)
    await workers.list_worker("live", is_live=True, lease_ms=60_000)
    await workers.list_worker("stopped", is_live=True, lease_ms=60_000)
    await workers.list_worker("stopped", is_live=False, lease_ms=60_000)
    await stores.pipeline.send("ZADD", stores.shards.processes.workers, 1, "silent since 1970")
    assert (await HealthScripts(stores.pipeline, stores.shards).workload(60_000)).workers == 1


async def test_the_count_of_due_jobs_includes_those_of_suspects(stores: Stores) -> None:
    for after_s in (0, 0, 3600):
        await stores.create_run(after_s=after_s)

    async def counts() -> Sequence[int]:
        work = await HealthScripts(stores.pipeline, stores.shards).workload(60_000)
        return work.due, work.later, work.leases

    assert await counts() == (2, 1, 0)
    await stores.claim()
    assert await counts() == (0, 1, 2)
    await stores.reap()
    assert await counts() == (2, 1, 0)
