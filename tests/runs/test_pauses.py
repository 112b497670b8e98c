"""Pausing and resuming runs: what the scripts change, in every phase."""

from __future__ import annotations

import asyncio

import pytest

from slipway.clock import Clock
from slipway.errors import Conflict, NotFound
from slipway.health.doctor import Doctor
from slipway.redis.hash_fields import fields_of
from slipway.run_operations.operations import OperatedRun, Operator, RunOperations
from slipway.runs.audit import AuditTrail
from slipway.runs.cancel_reasons import Action
from slipway.runs.record import Phase, Run, new_id
from slipway.runs.script_results import PauseRequested
from tests.runs.conftest import LEASE_MS, TTL_S, Stores, handover

EVE = Operator("eve", "too many refunds")
IDEMPOTENT = [("pause", Phase.PAUSED), ("resume", Phase.QUEUED)]


def operations_of(stores: Stores) -> RunOperations:
    return RunOperations(stores.runs, stores.scripts, Clock(), event_ttl_s=TTL_S)


async def pause(stores: Stores, run: Run) -> OperatedRun:
    return await operations_of(stores).pause(run.run_id, EVE)


async def resume(stores: Stores, run: Run) -> OperatedRun:
    return await operations_of(stores).resume(run.run_id, EVE)


async def actions_of(stores: Stores, run: Run) -> list[str]:
    trail = AuditTrail(stores.pipeline, stores.keys, stores.scripts)
    return [entry.action for entry in await trail.read(run.run_id)]


async def problems(stores: Stores) -> list[object]:
    return [*await Doctor(stores.pipeline, stores.shards, lease_ms=LEASE_MS, repair=False).check_all()]


async def test_a_queued_run_is_paused_at_once(stores: Stores) -> None:
    run = await stores.create_run()
    paused = (await pause(stores, run)).run
    assert (paused.phase, paused.status, paused.reason) == (Phase.PAUSED, "pending", "paused by eve: too many refunds")
    assert paused.operator_pause is not None
    assert (paused.operator_pause.by, paused.operator_pause.reason) == ("eve", "too many refunds")
    assert await stores.claim() == []
    assert (await stores.thread_of(run)).status == "busy"
    assert await stores.event_names(run) == ["metadata", "notice"]
    assert await problems(stores) == []
    assert (await resume(stores, run)).run.phase is Phase.QUEUED
    assert (await stores.claim_one()).run_id == run.run_id
    assert await actions_of(stores, run) == ["run.paused", "run.resumed"]


@pytest.mark.one_queue
async def test_a_running_run_is_paused_when_its_attempt_stops(stores: Stores) -> None:
    run = await stores.create_run(groups=[("one", 1)])
    attempt = stores.attempt(running := await stores.claim_one())
    requested: list[bool] = []
    attempt.on_pause = lambda: requested.append(True)
    assert (await pause(stores, run)).run.phase is Phase.RUNNING
    instructions = await stores.queues[0].renew_leases([(run.run_id, 1, run.incarnation)], lease_ms=LEASE_MS)
    assert instructions == [(run.run_id, PauseRequested())]
    attempt.request_pause()
    assert requested == [True]
    await attempt.release(handover(running, usage="[3]"))
    assert await stores.phase_of(run) is Phase.PAUSED
    assert await stores.pipeline.send("SCARD", stores.shards.home.group_runs("one")) == 0, "it takes no slot"
    assert await problems(stores) == []
    await resume(stores, run)
    assert (await stores.claim_one()).attempt == 2


async def test_a_pause_is_kept_when_the_worker_dies(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.claim_one()
    await pause(stores, run)
    await stores.reap()
    assert await stores.phase_of(run) is Phase.PAUSED
    assert await stores.claim() == []
    await resume(stores, run)
    assert (await stores.claim_one()).attempt == 2


async def test_a_run_that_is_resumed_before_its_attempt_stops_is_queued(stores: Stores) -> None:
    run = await stores.create_run()
    running = await stores.claim_one()
    await pause(stores, run)
    assert (await resume(stores, run)).run.phase is Phase.RUNNING
    await stores.attempt(running).release(handover(running))
    assert (await stores.claim_one()).run_id == run.run_id


@pytest.mark.parametrize("after", [0, 1], ids=["paused first", "paused behind another"])
async def test_later_runs_of_the_thread_wait_behind_a_paused_run(stores: Stores, after: int) -> None:
    thread_id = await stores.create_thread()
    runs = [await stores.create_run(thread_id) for _ in range(3)]
    await pause(stores, runs[after])
    for run in runs[:after]:
        await stores.settle(await stores.claim_one())
        assert await stores.phase_of(run) is Phase.COMPLETED
    assert await problems(stores) == [], "no job is queued"
    assert await stores.claim() == []
    await resume(stores, runs[after])
    for run in runs[after:]:
        claimed = await stores.claim_one()
        assert claimed.run_id == run.run_id
        await stores.settle(claimed)


@pytest.mark.parametrize(("operation", "phase"), IDEMPOTENT)
async def test_a_repeated_operation_changes_nothing(stores: Stores, operation: str, phase: Phase) -> None:
    run = await stores.create_run()
    await pause(stores, run)
    if operation == "resume":
        await resume(stores, run)
    once = await stores.dump()
    repeated = await getattr(operations_of(stores), operation)(run.run_id, Operator("bo", "another reason"))
    assert (repeated.run.phase, repeated.changed) == (phase, False)
    assert await stores.dump() == once


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("action", list(Action))
async def test_a_paused_run_can_be_cancelled(stores: Stores, started: bool, action: Action) -> None:
    run = await stores.create_run(thread_id := await stores.create_thread())
    if started:
        running = await stores.claim_one()
        await pause(stores, run)
        await stores.attempt(running).release(handover(running))
    else:
        await pause(stores, run)
    later = await stores.create_run(thread_id)
    cancelled = await operations_of(stores).cancel(run.run_id, EVE, action)
    if started:  # only its graph can read the state
        assert cancelled is not None
        assert cancelled.changed
        claimed = await stores.claim_one()
        assert claimed.cancel is action
        await stores.settle(claimed, Phase.CANCELLED, rollback=action is Action.ROLLBACK)
    if action is Action.INTERRUPT:
        repeated = await operations_of(stores).cancel(run.run_id, EVE, action)
        assert repeated is not None
        assert (repeated.run.phase, repeated.changed) == (Phase.CANCELLED, False)
        assert repeated.run.cancel_cause == "cancelled by eve"
        assert (await actions_of(stores, run))[-1] == "run.cancelled"
    assert (await stores.log_of(run))[-1].name == "end"
    assert (await stores.claim_one()).run_id == later.run_id
    assert await problems(stores) == []


async def test_a_newer_run_that_interrupts_cancels_a_paused_run(stores: Stores) -> None:
    run = await stores.create_run(thread_id := await stores.create_thread())
    running = await stores.claim_one()
    await pause(stores, run)
    await stores.attempt(running).release(handover(running))
    newer = await stores.create_run(thread_id, multitask_strategy="interrupt")
    claimed = await stores.claim_one()
    assert (claimed.run_id, claimed.cancel) == (run.run_id, Action.INTERRUPT)
    await stores.settle(claimed, Phase.CANCELLED)
    assert (await stores.claim_one()).run_id == newer.run_id


@pytest.mark.parametrize("started", [False, True])
async def test_a_paused_run_can_be_deleted(stores: Stores, started: bool) -> None:
    run = await stores.create_run(thread_id := await stores.create_thread())
    running = await stores.claim_one() if started else None
    await pause(stores, run)
    if running is not None:
        with pytest.raises(Conflict):
            await stores.runs.delete(thread_id, run.run_id)
        await stores.attempt(running).release(handover(running))
    later = await stores.create_run(thread_id)
    await stores.runs.delete(thread_id, run.run_id)
    with pytest.raises(NotFound):
        await stores.reload(run)
    assert (await stores.log_of(run))[-1].name == "end"
    assert (await stores.claim_one()).run_id == later.run_id
    assert await problems(stores) == []


async def test_the_thread_of_a_deleted_paused_run_is_idle(stores: Stores) -> None:
    run = await stores.create_run()
    await pause(stores, run)
    await stores.runs.delete(run.thread_id, run.run_id)
    assert (await stores.thread_of(run)).status == "idle"


async def test_a_paused_run_is_deleted_with_its_thread(stores: Stores) -> None:
    run = await stores.create_run()
    await pause(stores, run)
    await stores.threads.delete(run.thread_id)
    assert (await stores.log_of(run))[-1].name == "end"
    assert await problems(stores) == []


async def test_a_run_that_cannot_be_paused_says_why(stores: Stores) -> None:
    with pytest.raises(NotFound):
        await operations_of(stores).pause(new_id(), EVE)
    ended = await stores.create_run()
    await stores.settle(await stores.claim_one())
    with pytest.raises(Conflict, match="it has ended"):
        await pause(stores, ended)
    waiting = await stores.create_run()
    await stores.settle(await stores.claim_one(), Phase.WAITING_FOR_APPROVAL)
    with pytest.raises(Conflict, match="answer its interrupt"):
        await resume(stores, waiting)
    cancelled = await stores.create_run()
    await stores.claim_one()
    await stores.runs.cancel(cancelled.thread_id, cancelled.run_id, Action.INTERRUPT)
    with pytest.raises(Conflict, match="being cancelled"):
        await pause(stores, cancelled)


async def test_a_run_that_is_to_be_cancelled_is_not_paused_when_it_is_released(stores: Stores) -> None:
    run = await stores.create_run()
    running = await stores.claim_one()
    await pause(stores, run)
    await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
    await stores.attempt(running).release(handover(running))
    assert (await stores.claim_one()).cancel is Action.INTERRUPT


@pytest.mark.one_queue
async def test_a_delayed_run_keeps_its_delay(stores: Stores) -> None:
    run = await stores.create_run(after_s=60)
    await pause(stores, run)
    await resume(stores, run)
    assert await stores.claim() == []
    assert await stores.pipeline.send("ZCARD", stores.shards.home.later_queue) == 1


@pytest.mark.one_queue
async def test_a_parked_run_can_be_paused(stores: Stores) -> None:
    running, parked = [await stores.create_run(groups=[("one", 1)]) for _ in range(2)]
    claimed = await stores.claim_one()
    assert claimed.run_id == running.run_id
    await pause(stores, parked)
    await stores.settle(claimed)
    assert await stores.claim() == []
    await resume(stores, parked)
    assert (await stores.claim_one()).run_id == parked.run_id


async def test_operators_who_race_pause_a_run_once(stores: Stores) -> None:
    run = await stores.create_run()
    operations = operations_of(stores)
    results = await asyncio.gather(*(operations.pause(run.run_id, Operator(str(each))) for each in range(20)))
    assert sum(result.changed for result in results) == 1
    assert await actions_of(stores, run) == ["run.paused"]
    fields = fields_of(await stores.pipeline.send("HGETALL", stores.keys.run(run.run_id)))
    assert fields["reason"].startswith(b"paused by ")
