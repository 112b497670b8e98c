"""The state machine of runs: every transition, and that a final phase never changes."""

from __future__ import annotations

from typing import Any, Final

import pytest

from slipway.accounting.limits import NAMES as CEILINGS
from slipway.errors import Conflict, NotFound
from slipway.health.doctor import Doctor
from slipway.runs.cancel_reasons import Action
from slipway.runs.delivery_queues import EXTERNAL
from slipway.runs.operator_pause import OperatorPause
from slipway.runs.record import FINAL, Phase, Run, new_id, run_from
from slipway.runs.script_results import CancelRequested, Settled, SettleResult
from slipway.runs.suspect_slots import NO_SUSPECTS
from slipway.runs.unfinished_runs import UnfinishedRuns
from slipway.serialization.json_encoding import dumps
from slipway_workers.start_authorization import AUTHORIZED_FOR_S
from tests.runs.conftest import LEASE_MS, Stores, handover, new_run, settlement
from tests.webhooks.delivery_scripts import delivery_scripts


@pytest.mark.one_queue
async def test_a_run_is_queued_then_running_then_completed(stores: Stores) -> None:
    run = await stores.create_run()
    assert (run.phase, run.status, run.attempt) == (Phase.QUEUED, "pending", 0)
    running = await stores.claim_one()
    assert (running.run_id, running.phase, running.attempt) == (run.run_id, Phase.RUNNING, 1)
    assert await stores.settle(running) == Settled()
    assert await stores.phase_of(run) is Phase.COMPLETED
    assert await stores.event_names(run) == ["metadata", "end"]
    assert await stores.pipeline.send("ZCARD", stores.shards.home.leases) == 0


@pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED])
async def test_a_final_phase_never_changes(stores: Stores, phase: Phase) -> None:
    run = await stores.create_run()
    running = await stores.claim_one()
    await stores.settle(running, phase)
    before = await stores.dump()
    for other in FINAL:
        assert await stores.settle(running, other) == Settled()  # this attempt has already settled the run
    assert not await stores.attempt(running).release(handover(running))
    assert await stores.reap() == []
    assert await stores.claim() == []
    with pytest.raises(NotFound, match=f"run '{run.run_id}' cannot be cancelled: it has ended already"):
        await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
    assert await stores.dump() == before


async def test_a_released_run_continues_with_another_attempt(stores: Stores) -> None:
    run = await stores.create_run()
    first = await stores.claim_one()
    assert await stores.attempt(first).release(handover(first))
    assert await stores.phase_of(run) is Phase.QUEUED
    second = await stores.claim_one()
    assert (second.attempt, second.uncounted_attempts) == (2, 1)
    assert await stores.event_names(run) == ["metadata"]  # no client needs another event


async def test_the_usage_of_a_released_attempt_is_stored(stores: Stores) -> None:
    run = await stores.create_run()
    assert await stores.attempt(await stores.claim_one()).release(handover(run, usage='{"steps":3}'))
    assert (await stores.reload(run)).usage == {"steps": 3}
    assert (await stores.claim_one()).usage == {"steps": 3}


async def test_a_reclaimed_run_gets_another_metadata_event(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.claim_one()
    assert await stores.reap() == [(run.run_id, 1, "queued")]
    again = await stores.claim_one()
    assert (again.attempt, again.uncounted_attempts) == (2, 0)
    log = await stores.log_of(run)
    assert [event.name for event in log] == ["metadata", "metadata"]
    assert b'"attempt":2' in log[1].block


async def test_releases_do_not_count_as_attempts_and_crashes_do(stores: Stores) -> None:
    run = await stores.create_run(ceilings={"max_attempts": 2})
    for _ in range(4):
        await _release(stores)
    await stores.claim_one()
    assert await stores.reap() == [(run.run_id, 5, "queued")]
    await stores.claim_one()
    assert await stores.reap() == [(run.run_id, 6, "failed")]
    failed = await stores.reload(run)
    assert failed.phase is Phase.FAILED
    assert failed.error is not None
    assert failed.error["code"] == "ceiling.attempts"
    assert await stores.event_names(run) == ["metadata", "metadata", "error", "end"]
    thread = await stores.thread_of(run)
    assert (thread.status, thread.error is not None) == ("error", True)


@pytest.mark.one_shard("one claim looks for deliveries in some of the shards")
async def test_the_webhook_of_a_run_without_remaining_attempts_is_sent(stores: Stores) -> None:
    options = {"options": {"webhook": "https://example.com/done"}, "ceilings": {"max_attempts": 1}}
    run = await stores.create_run(**options)
    await stores.claim_one()
    deliveries = delivery_scripts(stores.pipeline, stores.keys)
    assert await deliveries.claim((EXTERNAL,), 10, 60_000) == []
    assert await stores.reap() == [(run.run_id, 1, "failed")]
    [delivery] = await deliveries.claim((EXTERNAL,), 10, 60_000)
    assert (delivery.delivery_id, delivery.fields["body_status"]) == (run.run_id, b"error")
    assert b"ceiling.attempts" in delivery.fields["error"]


async def _release(stores: Stores) -> None:
    running = await stores.claim_one()
    assert await stores.attempt(running).release(handover(running))


async def test_an_answer_completes_the_waiting_run(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    waiting = await stores.create_run(thread_id)
    running = await stores.claim_one()
    await stores.settle(running, Phase.WAITING_FOR_APPROVAL, usage='{"steps":3}')
    assert (await stores.thread_of(waiting)).status == "interrupted"
    answer = await stores.create_run(thread_id, options={"command": {"resume": 1}})
    assert (answer.resumes, answer.usage) == (waiting.run_id, {"steps": 3})
    completed = await stores.reload(waiting)
    assert (completed.phase, completed.resumed_by, completed.reason) == (Phase.COMPLETED, answer.run_id, "answered")


async def test_a_new_run_that_does_not_answer_abandons_the_waiting_run(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    waiting = await stores.create_run(thread_id)
    await stores.settle(await stores.claim_one(), Phase.WAITING_FOR_APPROVAL, usage='{"steps":3}')
    other = await stores.create_run(thread_id)
    assert (other.resumes, other.usage) == (None, {})
    completed = await stores.reload(waiting)
    assert completed.phase is Phase.COMPLETED
    assert completed.reason is not None
    assert "abandoned" in completed.reason


async def test_a_queued_answer_joins_the_chain_when_it_starts(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    waiting = await stores.create_run(thread_id)
    running = await stores.claim_one()
    answer = await stores.create_run(thread_id, options={"command": {"resume": 1}})
    await stores.settle(running, Phase.WAITING_FOR_APPROVAL, usage='{"steps":3}')
    claimed = await stores.claim_one()
    assert (claimed.run_id, claimed.resumes, claimed.usage) == (answer.run_id, waiting.run_id, {"steps": 3})
    assert await stores.phase_of(waiting) is Phase.COMPLETED


async def _waiting_run(stores: Stores, thread_id: str, **ceilings: float) -> Run:
    """A run that waits at an interrupt, with these ceilings."""
    await stores.create_run(thread_id, ceilings=ceilings)
    run = await stores.claim_one()
    await stores.settle(run, Phase.WAITING_FOR_APPROVAL)
    return run


ANSWER: Final = {"command": {"resume": 1}}


async def test_a_chain_that_an_earlier_release_began_keeps_its_ceilings(stores: Stores) -> None:
    """It stored a JSON object."""
    thread_id = await stores.create_thread()
    waiting = await _waiting_run(stores, thread_id)
    limits = {"max_steps": 4, "max_retries": 1 / 3, "max_attempts": 100}
    await stores.pipeline.send("HSET", stores.keys.run(waiting.run_id), "ceilings", dumps(limits))
    answering = await stores.create_run(thread_id, options=ANSWER, ceilings={"max_step_s": 2})
    assert answering.ceilings == waiting.ceilings | {"max_steps": 4, "max_retries": 1 / 3, "max_step_s": 2}


@pytest.mark.parametrize("options", [ANSWER, {"input": None}], ids=["answer", "no input, after a breakpoint"])
async def test_an_answering_run_keeps_every_lower_ceiling_of_its_chain(stores: Stores, options: dict[str, Any]) -> None:
    thread_id = await stores.create_thread()
    chain = dict.fromkeys(CEILINGS, 1 / 3) | {"max_attempts": 2, "max_steps": 9}
    await _waiting_run(stores, thread_id, **chain)
    answering = await stores.create_run(thread_id, options=options, ceilings={"max_steps": 7})
    assert answering.ceilings == chain | {"max_steps": 7}
    assert (await stores.claim_one()).ceilings == answering.ceilings == answering.public()["ceilings"]


async def test_an_answer_that_is_queued_behind_the_interrupt_inherits_the_ceilings_when_it_starts(
    stores: Stores,
) -> None:
    thread_id = await stores.create_thread()
    await stores.create_run(thread_id, ceilings={"max_steps": 3})
    interrupted = await stores.claim_one()
    answer = await stores.create_run(thread_id, options=ANSWER)
    assert answer.ceilings["max_steps"] == 500
    await stores.settle(interrupted, Phase.WAITING_FOR_APPROVAL)
    claimed = await stores.claim_one()
    assert (claimed.run_id, claimed.ceilings["max_steps"]) == (answer.run_id, 3)


async def test_the_ceilings_of_a_chain_stay_low_over_several_answers(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    await _waiting_run(stores, thread_id, max_steps=3)
    for _ in range(2):
        answer = await stores.create_run(thread_id, options=ANSWER)
        assert answer.ceilings["max_steps"] == 3
        await stores.settle(await stores.claim_one(), Phase.WAITING_FOR_APPROVAL)


async def test_the_inherited_max_attempts_fails_a_run_whose_worker_crashes(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    await _waiting_run(stores, thread_id, max_attempts=1)
    answer = await stores.create_run(thread_id, options=ANSWER)
    await stores.claim_one()
    await stores.reap()
    failed = await stores.reload(answer)
    assert (failed.phase, failed.attempt) == (Phase.FAILED, 1)


async def test_a_run_that_does_not_answer_has_its_own_ceilings(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    await _waiting_run(stores, thread_id, max_steps=3)
    assert (await stores.create_run(thread_id)).ceilings["max_steps"] == 500


async def test_the_authorization_of_a_run_is_as_old_as_its_creation(stores: Stores) -> None:
    run = await stores.create_run(user={"identity": "ann"})
    await stores.pipeline.send("HINCRBY", stores.keys.run(run.run_id), "permitted_us", -12_000_000)
    assert AUTHORIZED_FOR_S < 12 <= (await stores.claim_one()).authorized_s_ago < 42


async def test_deleting_a_waiting_run_removes_it_from_its_thread(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.settle(await stores.claim_one(), Phase.WAITING_FOR_APPROVAL)
    await stores.runs.delete(run.thread_id, run.run_id)
    assert await stores.pipeline.send("HEXISTS", stores.keys.thread(run.thread_id), "waiting_run_id") == 0
    assert await Doctor(stores.pipeline, stores.shards, lease_ms=LEASE_MS, repair=False).check_all() == []


@pytest.mark.one_queue
@pytest.mark.one_shard("a shard without a slot of a concurrency group parks its runs")
async def test_unfinished_runs_are_listed_wherever_they_wait(stores: Stores) -> None:
    """Due, delayed, queued behind a run of the thread, parked in a concurrency group, reclaimed after a crash, or
    paused, without a lease and without a job."""
    paused = await stores.create_run()
    await stores.scripts.run_pause(paused.run_id, OperatorPause("eve", "today"))
    reclaimed = await stores.create_run()
    await stores.claim_one(worker="v")
    await stores.reap("v")
    running, parked, behind_parked = [await stores.create_run(groups=[("few", 1)]) for _ in range(3)]
    _, claimed, *_ = await stores.queues[0].run_claim("w", 10, LEASE_MS, NO_SUSPECTS)
    assert [run_from(running).run_id for running in claimed] == [running.run_id]
    cancelled = await stores.create_run()
    await stores.runs.cancel(cancelled.thread_id, cancelled.run_id, Action.INTERRUPT)
    expected = {paused.run_id, reclaimed.run_id, running.run_id, parked.run_id, behind_parked.run_id}
    for thread_id, after_s in ((running.thread_id, 0), (parked.thread_id, 0), (await stores.create_thread(), 0)):
        expected.add((await stores.create_run(thread_id, after_s=after_s)).run_id)
    expected.add((await stores.create_run(after_s=60)).run_id)
    listed = [run.run_id async for run in UnfinishedRuns(stores.pipeline, stores.shards).list_all()]
    assert (set(listed), len(listed)) == (expected, len(expected))


async def test_a_settle_after_a_cancel_request_returns_the_request(stores: Stores) -> None:
    run = await stores.create_run()
    attempt = stores.attempt(running := await stores.claim_one())
    attempt.append("values", b"event: values\r\ndata: 1\r\n")
    await attempt.flush()
    await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
    attempt.append("values", b"event: values\r\ndata: 2\r\n")
    attempt.add_command(("SET", f"{stores.shards.of_run(run.run_id).prefix}:kept", "1"))
    assert await attempt.settle(settlement(running)) == CancelRequested(Action.INTERRUPT)
    assert await stores.phase_of(run) is Phase.RUNNING
    assert await attempt.settle(settlement(running, Phase.CANCELLED)) == Settled()
    assert await stores.event_names(run) == ["metadata", "values", "values", "end"]  # the rejected settle lost no event
    assert await stores.pipeline.send("GET", f"{stores.shards.of_run(run.run_id).prefix}:kept") == b"1"


async def test_events_that_are_appended_during_a_rejected_settle_follow_earlier_ones(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await stores.create_run()
    attempt = stores.attempt(running := await stores.claim_one())
    await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
    settle = stores.scripts.run_settle

    async def settle_then_append(*arguments: Any) -> SettleResult:
        monkeypatch.setattr(stores.scripts, "run_settle", settle)
        result = await settle(*arguments)
        attempt.append("values", b"event: values\r\ndata: 2\r\n")
        return result

    monkeypatch.setattr(stores.scripts, "run_settle", settle_then_append)
    attempt.append("values", b"event: values\r\ndata: 1\r\n")
    assert await attempt.settle(settlement(running)) == CancelRequested(Action.INTERRUPT)
    assert await attempt.settle(settlement(running, Phase.CANCELLED)) == Settled()
    assert [event.data for event in await stores.log_of(run) if event.name == "values"] == [b"1", b"2"]


@pytest.mark.parametrize("reason", [None, "too expensive"])
@pytest.mark.parametrize("action", list(Action))
async def test_a_cancelled_run_and_its_thread_have_the_same_error(
    stores: Stores, action: Action, reason: str | None
) -> None:
    run = await stores.create_run()
    running = await stores.claim_one()
    await stores.runs.cancel(run.thread_id, run.run_id, action, "by hand", reason)
    await stores.settle(running, Phase.CANCELLED)
    name = {Action.INTERRUPT: "UserInterrupt", Action.ROLLBACK: "UserRollback"}[action]
    expected = {"error": name, "message": "by hand: too expensive" if reason else "by hand"}
    assert (await stores.thread_of(run)).error == expected
    assert (await stores.reload(run)).public_error == expected | {"code": "cancelled", "retryable": False}


@pytest.mark.parametrize("action", list(Action))
async def test_a_pending_run_is_cancelled_at_once(stores: Stores, action: Action) -> None:
    run = await stores.create_run()
    await stores.runs.cancel(run.thread_id, run.run_id, action)
    assert (await stores.log_of(run))[-1].name == "end"
    assert await stores.claim() == []
    if action is Action.ROLLBACK:
        with pytest.raises(NotFound):
            await stores.reload(run)
    else:
        assert await stores.phase_of(run) is Phase.CANCELLED


@pytest.mark.one_queue
async def test_the_next_attempt_of_a_cancelled_run_is_due_at_once(stores: Stores) -> None:
    """Its graph reads the state of the thread, which no script can. No other suspect and no slot is waited for."""
    groups = [("one", 1)]
    run = await stores.create_run(groups=groups)
    for _ in range(2):
        await stores.pipeline.send("ZADD", stores.shards.home.later_queue, "XX", 0, f"{run.run_id}:2")
        await stores.claim_one()
        await stores.reap(pause_ms=60_000)
    await stores.create_run(groups=groups)
    await stores.claim_one()  # it has the only slot
    assert await stores.claim() == []
    await stores.runs.cancel(run.thread_id, run.run_id, Action.ROLLBACK)
    assert await stores.phase_of(run) is Phase.QUEUED
    _, claimed, *_ = await stores.queues[0].run_claim("w", 9, LEASE_MS, NO_SUSPECTS)
    assert [run_from(fields).cancel for fields in claimed] == [Action.ROLLBACK]
    assert await stores.pipeline.send("ZCARD", stores.shards.home.later_queue) == 0


async def test_a_stateless_run_that_stops_at_an_interrupt_is_abandoned(stores: Stores) -> None:
    """Its record stays, for its idempotency key, but its thread is deleted, so nobody can answer."""
    spec = new_run(new_id(), options={"temporary": True}, create_thread=True, own_thread=True, retain_s=60)
    run = await stores.create(spec)
    await stores.settle(await stores.claim_one(), Phase.WAITING_FOR_APPROVAL)
    ended = await stores.reload(run)
    assert (ended.phase, ended.reason) == (Phase.COMPLETED, "abandoned: its thread was deleted")
    assert b'"phase":"waiting_for_approval"' in (await stores.log_of(run))[-1].block
    with pytest.raises(NotFound):
        await stores.thread_of(run)


async def test_a_queued_or_running_run_cannot_be_deleted(stores: Stores) -> None:
    run = await stores.create_run()
    with pytest.raises(Conflict):
        await stores.runs.delete(run.thread_id, run.run_id)
    running = await stores.claim_one()
    with pytest.raises(Conflict):
        await stores.runs.delete(run.thread_id, run.run_id)
    await stores.settle(running)
    await stores.runs.delete(run.thread_id, run.run_id)
    with pytest.raises(NotFound):
        await stores.runs.delete(run.thread_id, run.run_id)
    assert await stores.runs.list(run.thread_id) == []


async def test_a_run_needs_an_existing_thread_or_creates_it(stores: Stores) -> None:
    with pytest.raises(NotFound):
        await stores.create(new_run(new_id()))
    created = await stores.create(new_run(new_id(), create_thread=True, metadata={"who": "me"}))
    assert (await stores.threads.get(created.thread_id)).metadata["who"] == "me"


async def test_a_run_is_not_found_under_another_thread(stores: Stores) -> None:
    run = await stores.create_run()
    other_thread = await stores.create_thread()
    for call in (
        stores.runs.get(other_thread, run.run_id),
        stores.runs.cancel(other_thread, run.run_id, Action.INTERRUPT),
        stores.runs.delete(other_thread, run.run_id),
    ):
        with pytest.raises(NotFound):
            await call
    assert await stores.phase_of(run) is Phase.QUEUED


async def _settled_run(stores: Stores, thread_id: str, phase: Phase) -> Run:
    run = await stores.create_run(thread_id)
    await stores.settle(await stores.claim_one(), phase)
    return run


async def test_runs_are_listed_newest_first_and_by_status(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    done = [await _settled_run(stores, thread_id, Phase.COMPLETED) for _ in range(3)]
    failed = await _settled_run(stores, thread_id, Phase.FAILED)
    listed = await stores.runs.list(thread_id)
    assert [run.run_id for run in listed] == [failed.run_id, *(run.run_id for run in reversed(done))]
    assert [run.run_id for run in await stores.runs.list(thread_id, status="error")] == [failed.run_id]
    assert [run.run_id for run in await stores.runs.list(thread_id, limit=1, offset=2)] == [done[1].run_id]
