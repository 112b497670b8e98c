"""Repeatable scripts change nothing when they are called repeated with the same arguments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from slipway.runs.record import Phase, Run
from slipway.runs.script_results import Applied, AttemptFenced, WriteGroupMissing
from slipway.runs.scripts import RunScripts
from slipway.threads.scripts import ThreadCreated, ThreadIdInUse
from tests.runs.conftest import TTL_S, Stores, handover, new_run, settlement

pytestmark = pytest.mark.one_queue

Call = Callable[[Stores, Run], Awaitable[Any]]


async def _settle(stores: Stores, run: Run) -> Any:
    return await stores.scripts.run_settle(settlement(run).arguments(run, 1, [("values", b"f")]), [increment(stores)])


async def _rollback(stores: Stores, run: Run) -> Any:
    return await stores.scripts.run_settle(
        settlement(run, Phase.CANCELLED, rollback=True).arguments(run, 1), [increment(stores)]
    )


async def _settle_waiting(stores: Stores, run: Run) -> Any:
    return await stores.scripts.run_settle(
        settlement(run, Phase.WAITING_FOR_APPROVAL).arguments(run, 1), [increment(stores)]
    )


async def _release(stores: Stores, run: Run) -> Any:
    return await stores.scripts.run_release(handover(run).arguments(run, 1, [("values", b"f")]), [increment(stores)])


async def _apply(stores: Stores, run: Run, seq: int = 1) -> Any:
    entries = [("values", b"f")]
    return await stores.scripts.run_apply(run.run_id, run.incarnation, run.attempt, seq, entries, [increment(stores)])


async def _reap(stores: Stores, run: Run) -> Any:
    return await stores.queues[0].run_reap(event_ttl_s=TTL_S, pause_ms=0, worker="w")


async def _cancel(stores: Stores, run: Run) -> Any:
    return await stores.scripts.run_cancel(
        run.run_id, run.thread_id, action="interrupt", cause="a test", reason=None, event_ttl_s=TTL_S
    )


async def _delete_thread(stores: Stores, run: Run) -> Any:
    return await stores.thread_scripts.delete(run.thread_id)


def increment(stores: Stores) -> tuple[str, str]:
    return "INCR", f"{stores.shards.home.prefix}:count"


CALLS: dict[str, Call] = {
    "settle": _settle,
    "settle with rollback": _rollback,
    "settle, waiting": _settle_waiting,
    "release": _release,
    "apply": _apply,
    "reap": _reap,
    "cancel": _cancel,
    "delete thread": _delete_thread,
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("with_queued_run", [False, True], ids=["alone", "with a queued run"])
async def test_a_repeated_script_changes_nothing(stores: Stores, call: str, with_queued_run: bool) -> None:
    await stores.create_run(thread_id := await stores.create_thread())
    run = await stores.claim_one()
    if with_queued_run:
        await stores.create_run(thread_id)
    before = await stores.dump()
    await CALLS[call](stores, run)
    once = await stores.dump()
    assert once != before
    for _ in range(3):
        await CALLS[call](stores, run)
    assert await stores.dump() == once


@pytest.mark.parametrize("strategy", ["enqueue", "interrupt", "rollback", "reject"])
async def test_creating_the_same_run_again_creates_one_run(stores: Stores, strategy: str) -> None:
    thread_id = await stores.create_thread()
    if strategy != "reject":
        await stores.create_run(thread_id)
    spec = new_run(thread_id, multitask_strategy=strategy, metadata={"a": 1})
    created = await stores.create(spec)
    once = await stores.dump()
    assert await stores.create(spec) == created
    assert await stores.dump() == once


async def test_cancelling_a_pending_run_again_changes_nothing(stores: Stores) -> None:
    run = await stores.create_run()
    await _cancel(stores, run)
    once = await stores.dump()
    await _cancel(stores, run)
    assert await stores.dump() == once


async def test_creating_a_thread_again_recognises_the_first_request(stores: Stores) -> None:
    run = new_run("0" * 36)
    created = await stores.thread_scripts.create(run.identity.thread_id, {"a": "1"}, "token")
    repeated = await stores.thread_scripts.create(run.identity.thread_id, {"a": "1"}, "token", members=["a"])
    other = await stores.thread_scripts.create(run.identity.thread_id, {"a": "2"}, "other", members=["a"])
    assert isinstance(created, ThreadCreated)
    assert created.fields["m:a"] == b"1"
    assert repeated == ThreadIdInUse(by_same_request=True, metadata={"a": 1})
    assert other == ThreadIdInUse(by_same_request=False, metadata={"a": 1})


async def test_a_settle_does_not_apply_a_group_again_whose_reply_was_lost(stores: Stores) -> None:
    await stores.create_run()
    run = await stores.claim_one()
    await _apply(stores, run)
    await stores.scripts.run_settle(settlement(run).arguments(run, 1), [increment(stores)])
    assert await stores.pipeline.send("GET", f"{stores.shards.home.prefix}:count") == b"1"


async def test_a_write_group_of_an_old_attempt_changes_nothing(stores: Stores) -> None:
    await stores.create_run()
    old = await stores.claim_one()
    await stores.reap()
    new = await stores.claim_one()
    before = await stores.dump()
    assert RunScripts.applied(await _apply(stores, old)) == AttemptFenced()
    assert await _settle(stores, old) == AttemptFenced()
    assert await _release(stores, old) is None
    assert await stores.dump() == before
    assert RunScripts.applied(await _apply(stores, new)) == Applied()


async def test_a_write_group_is_applied_once_and_only_after_its_predecessor(stores: Stores) -> None:
    await stores.create_run()
    run = await stores.claim_one()
    before = await stores.dump()
    assert RunScripts.applied(await _apply(stores, run, 2)) == WriteGroupMissing()
    assert await stores.dump() == before
    for seq in (1, 2, 1, 2):
        assert RunScripts.applied(await _apply(stores, run, seq)) == Applied()
    assert (await stores.event_names(run)).count("values") == 2
    assert await stores.pipeline.send("GET", f"{stores.shards.home.prefix}:count") == b"2"


async def test_the_usage_is_stored_with_a_write_group(stores: Stores) -> None:
    await stores.create_run()
    run = await stores.claim_one()
    for number, usage in enumerate(('{"steps":1}', ""), start=1):
        await stores.scripts.run_apply(run.run_id, run.incarnation, run.attempt, number, [], [], usage)
        assert (await stores.reload(run)).usage == {"steps": 1}
