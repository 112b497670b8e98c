"""The state machine of runs: every move, and that a final phase never changes again."""

from __future__ import annotations

from typing import Any, Final

import pytest

from slipway.ceilings import NAMES as CEILINGS
from slipway.errors import Conflict, NotFound
from slipway.health.doctor import Doctor
from slipway.runs.cancel_reasons import Action
from slipway.runs.delivery_queues import EXTERNAL
from slipway.runs.record import FINAL, Phase, Run, new_id, run_from
from slipway.runs.script_results import CancelRequested, Settled, SettleResult
from slipway.runs.unfinished_runs import ActiveRuns
from slipway.webhooks.scripts import DeliveryScripts
from slipway_workers.start_permission import AUTHORIZED_FOR_S
from tests.runs.conftest import LEASE_MS, Stores, handover, new_run, settlement


async def test_a_run_waits_runs_and_ends(stores: Stores) -> None:
    run = await stores.create_run()
    assert (run.phase, run.status, run.attempt) == (Phase.QUEUED, "pending", 0)
    held = await stores.claim_one()
    assert (held.run_id, held.phase, held.attempt) == (run.run_id, Phase.RUNNING, 1)
    assert await stores.settle(held) == Settled()
    assert await stores.phase_of(run) is Phase.COMPLETED
    assert await stores.event_names(run) == ["metadata", "end"]
    assert await stores.pipeline.send("ZCARD", stores.keys.leases) == 0


@pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED])
async def test_a_final_phase_never_changes(stores: Stores, phase: Phase) -> None:
    run = await stores.create_run()
    held = await stores.claim_one()
    await stores.settle(held, phase)
    before = await stores.dump()
    for other in FINAL:
        assert await stores.settle(held, other) == Settled()  # settled by this attempt already
    assert not await stores.attempt(held).release(handover(held))
    assert await stores.reap() == []
    assert await stores.claim() == []
    with pytest.raises(NotFound):
        await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
    assert await stores.dump() == before


async def test_a_run_that_was_handed_back_is_the_same_run_with_another_attempt(stores: Stores) -> None:
    run = await stores.create_run()
    first = await stores.claim_one()
    assert await stores.attempt(first).release(handover(first))
    assert await stores.phase_of(run) is Phase.QUEUED
    second = await stores.claim_one()
    assert (second.attempt, second.uncounted_attempts) == (2, 1)
    assert await stores.event_names(run) == ["metadata"]  # no client needs another event


async def test_what_an_attempt_used_counts_after_it_was_handed_back(stores: Stores) -> None:
    run = await stores.create_run()
    assert await stores.attempt(await stores.claim_one()).release(handover(run, usage='{"steps":3}'))
    assert (await stores.reload(run)).usage == {"steps": 3}
    assert (await stores.claim_one()).usage == {"steps": 3}


async def test_a_run_whose_worker_died_is_announced_again(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.claim_one()
    assert await stores.reap() == [(run.run_id, 1, "queued")]
    again = await stores.claim_one()
    assert (again.attempt, again.uncounted_attempts) == (2, 0)
    log = await stores.log_of(run)
    assert [event.name for event in log] == ["metadata", "metadata"]
    assert b'"attempt":2' in log[1].block


async def test_only_deaths_count_as_attempts(stores: Stores) -> None:
    run = await stores.create_run(ceilings={"max_attempts": 2})
    for _ in range(4):
        await _release(stores)
    await stores.claim_one()
    assert await stores.reap() == [(run.run_id, 5, "queued")]
    await stores.claim_one()
    assert await stores.reap() == [(run.run_id, 6, "failed")]
    ended = await stores.reload(run)
    assert ended.phase is Phase.FAILED
    assert ended.error is not None
    assert ended.error["code"] == "ceiling.attempts"
    assert await stores.event_names(run) == ["metadata", "metadata", "error", "end"]
    thread = await stores.thread_of(run)
    assert (thread.status, thread.error is not None) == ("error", True)


async def test_a_run_whose_attempts_all_died_calls_its_webhook(stores: Stores) -> None:
    hooked = {"options": {"webhook": "https://example.com/done"}, "ceilings": {"max_attempts": 1}}
    run = await stores.create_run(**hooked)
    await stores.claim_one()
    deliveries = DeliveryScripts(stores.pipeline, stores.keys)
    assert await deliveries.claim((EXTERNAL,), 10, 60_000) == []
    assert await stores.reap() == [(run.run_id, 1, "failed")]
    [delivery] = await deliveries.claim((EXTERNAL,), 10, 60_000)
    assert (delivery["run_id"].decode(), delivery["body_status"]) == (run.run_id, b"error")
    assert b"ceiling.attempts" in delivery["error"]


async def _release(stores: Stores) -> None:
    held = await stores.claim_one()
    assert await stores.attempt(held).release(handover(held))


async def test_a_run_that_waits_for_a_person_is_completed_by_the_next(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    asks = await stores.create_run(thread_id)
    held = await stores.claim_one()
    await stores.settle(held, Phase.WAITING_FOR_APPROVAL, usage='{"steps":3}')
    assert (await stores.thread_of(asks)).status == "interrupted"
    answer = await stores.create_run(thread_id, options={"command": {"resume": 1}})
    assert (answer.resumes, answer.usage) == (asks.run_id, {"steps": 3})
    asked = await stores.reload(asks)
    assert (asked.phase, asked.resumed_by, asked.reason) == (Phase.COMPLETED, answer.run_id, "answered")


async def test_a_run_that_is_not_answered_is_abandoned(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    asks = await stores.create_run(thread_id)
    await stores.settle(await stores.claim_one(), Phase.WAITING_FOR_APPROVAL, usage='{"steps":3}')
    other = await stores.create_run(thread_id)
    assert (other.resumes, other.usage) == (None, {})
    asked = await stores.reload(asks)
    assert asked.phase is Phase.COMPLETED
    assert asked.reason is not None
    assert "abandoned" in asked.reason


async def test_an_answer_that_waits_behind_the_question_takes_its_chain(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    asks = await stores.create_run(thread_id)
    held = await stores.claim_one()
    answer = await stores.create_run(thread_id, options={"command": {"resume": 1}})
    await stores.settle(held, Phase.WAITING_FOR_APPROVAL, usage='{"steps":3}')
    claimed = await stores.claim_one()
    assert (claimed.run_id, claimed.resumes, claimed.usage) == (answer.run_id, asks.run_id, {"steps": 3})
    assert await stores.phase_of(asks) is Phase.COMPLETED


async def _waiting_run(stores: Stores, thread_id: str, **ceilings: float) -> Run:
    """A run that waits at an interrupt, with these ceilings."""
    await stores.create_run(thread_id, ceilings=ceilings)
    run = await stores.claim_one()
    await stores.settle(run, Phase.WAITING_FOR_APPROVAL)
    return run


ANSWER: Final = {"command": {"resume": 1}}


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


async def test_the_inherited_ceiling_of_attempts_ends_a_run_whose_worker_dies(stores: Stores) -> None:
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


async def test_a_run_that_waited_is_permitted_since_it_was_made(stores: Stores) -> None:
    run = await stores.create_run(user={"identity": "ann"})
    await stores.pipeline.send("HINCRBY", stores.keys.run(run.run_id), "permitted_us", -12_000_000)
    assert AUTHORIZED_FOR_S < 12 <= (await stores.claim_one()).authorized_s_ago < 42


async def test_a_thread_does_not_wait_for_a_run_that_was_deleted(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.settle(await stores.claim_one(), Phase.WAITING_FOR_APPROVAL)
    await stores.runs.delete(run.thread_id, run.run_id)
    assert await stores.pipeline.send("HEXISTS", stores.keys.thread(run.thread_id), "waiting_run_id") == 0
    assert await Doctor(stores.pipeline, stores.keys, lease_ms=LEASE_MS, repair=False).check_all() == []


async def test_everything_that_is_pending_or_running_is_found(stores: Stores) -> None:
    """Wherever it waits: due, delayed, behind a run of its thread, for a place in a group, after a death."""
    died = await stores.create_run()
    await stores.claim_one(worker="v")
    await stores.reap("v")
    running, parked, behind_parked = [await stores.create_run(groups=[("few", 1)]) for _ in range(3)]
    _, claimed = await stores.scripts.run_claim("w", 10, LEASE_MS, suspects=0)
    assert [run_from(held).run_id for held in claimed] == [running.run_id]
    over = await stores.create_run()
    await stores.runs.cancel(over.thread_id, over.run_id, Action.INTERRUPT)
    expected = {died.run_id, running.run_id, parked.run_id, behind_parked.run_id}
    for thread_id, after_s in ((running.thread_id, 0), (parked.thread_id, 0), (await stores.create_thread(), 0)):
        expected.add((await stores.create_run(thread_id, after_s=after_s)).run_id)
    expected.add((await stores.create_run(after_s=60)).run_id)
    found = [run.run_id async for run in ActiveRuns(stores.pipeline, stores.keys).list_all()]
    assert (set(found), len(found)) == (expected, len(expected))


async def test_a_cancel_that_comes_first_must_be_answered(stores: Stores) -> None:
    run = await stores.create_run()
    attempt = stores.attempt(held := await stores.claim_one())
    attempt.append("values", b"event: values\r\ndata: 1\r\n")
    await attempt.flush()
    await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
    attempt.append("values", b"event: values\r\ndata: 2\r\n")
    attempt.add_command(("SET", f"{stores.keys.prefix}:kept", "1"))
    assert await attempt.settle(settlement(held)) == CancelRequested(Action.INTERRUPT)
    assert await stores.phase_of(run) is Phase.RUNNING
    assert await attempt.settle(settlement(held, Phase.CANCELLED)) == Settled()
    assert await stores.event_names(run) == ["metadata", "values", "values", "end"]  # nothing was lost on the way
    assert await stores.pipeline.send("GET", f"{stores.keys.prefix}:kept") == b"1"


async def test_what_is_appended_while_a_settle_is_refused_comes_behind_what_was_before(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await stores.create_run()
    attempt = stores.attempt(held := await stores.claim_one())
    await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
    settle = stores.scripts.run_settle

    async def append_meanwhile(*arguments: Any) -> SettleResult:
        monkeypatch.setattr(stores.scripts, "run_settle", settle)
        answer = await settle(*arguments)
        attempt.append("values", b"event: values\r\ndata: 2\r\n")
        return answer

    monkeypatch.setattr(stores.scripts, "run_settle", append_meanwhile)
    attempt.append("values", b"event: values\r\ndata: 1\r\n")
    assert await attempt.settle(settlement(held)) == CancelRequested(Action.INTERRUPT)
    assert await attempt.settle(settlement(held, Phase.CANCELLED)) == Settled()
    assert [event.data for event in await stores.log_of(run) if event.name == "values"] == [b"1", b"2"]


@pytest.mark.parametrize("reason", [None, "too dear"])
@pytest.mark.parametrize("action", list(Action))
async def test_a_cancelled_run_and_its_thread_show_the_same_error(
    stores: Stores, action: Action, reason: str | None
) -> None:
    run = await stores.create_run()
    held = await stores.claim_one()
    await stores.runs.cancel(run.thread_id, run.run_id, action, "by hand", reason)
    await stores.settle(held, Phase.CANCELLED)
    name = {Action.INTERRUPT: "UserInterrupt", Action.ROLLBACK: "UserRollback"}[action]
    expected = {"error": name, "message": "by hand: too dear" if reason else "by hand"}
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


async def test_a_run_between_two_attempts_is_cancelled_by_the_next(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.claim_one()
    await stores.reap()
    await stores.runs.cancel(run.thread_id, run.run_id, Action.ROLLBACK)
    assert await stores.phase_of(run) is Phase.QUEUED
    assert (await stores.claim_one()).cancel is Action.ROLLBACK


async def test_a_run_that_is_active_is_not_deleted(stores: Stores) -> None:
    run = await stores.create_run()
    with pytest.raises(Conflict):
        await stores.runs.delete(run.thread_id, run.run_id)
    held = await stores.claim_one()
    with pytest.raises(Conflict):
        await stores.runs.delete(run.thread_id, run.run_id)
    await stores.settle(held)
    await stores.runs.delete(run.thread_id, run.run_id)
    with pytest.raises(NotFound):
        await stores.runs.delete(run.thread_id, run.run_id)
    assert await stores.runs.list(run.thread_id) == []


async def test_a_run_needs_its_thread(stores: Stores) -> None:
    with pytest.raises(NotFound):
        await stores.create(new_run(new_id()))
    made = await stores.create(new_run(new_id(), create_thread=True, metadata={"who": "me"}))
    assert (await stores.threads.get(made.thread_id)).metadata["who"] == "me"


async def test_a_run_is_not_found_under_another_thread(stores: Stores) -> None:
    run = await stores.create_run()
    elsewhere = await stores.create_thread()
    for call in (
        stores.runs.get(elsewhere, run.run_id),
        stores.runs.cancel(elsewhere, run.run_id, Action.INTERRUPT),
        stores.runs.delete(elsewhere, run.run_id),
    ):
        with pytest.raises(NotFound):
            await call
    assert await stores.phase_of(run) is Phase.QUEUED


async def _ended(stores: Stores, thread_id: str, phase: Phase) -> Run:
    run = await stores.create_run(thread_id)
    await stores.settle(await stores.claim_one(), phase)
    return run


async def test_runs_are_listed_newest_first_and_by_status(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    done = [await _ended(stores, thread_id, Phase.COMPLETED) for _ in range(3)]
    failed = await _ended(stores, thread_id, Phase.FAILED)
    listed = await stores.runs.list(thread_id)
    assert [run.run_id for run in listed] == [failed.run_id, *(run.run_id for run in reversed(done))]
    assert [run.run_id for run in await stores.runs.list(thread_id, status="error")] == [failed.run_id]
    assert [run.run_id for run in await stores.runs.list(thread_id, limit=1, offset=2)] == [done[1].run_id]
