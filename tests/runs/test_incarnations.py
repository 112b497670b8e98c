"""An id that is used again: what a removed thread or run left does not touch the next one, nor is it seen there.

A thread is removed by the script alone wherever a test needs the moment in which its remover was killed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.fenced_writers import IdleThreadWriter
from slipway.checkpoints.scripts import TrashScripts
from slipway.checkpoints.trash import Trash
from slipway.errors import Fenced, NotFound
from slipway.graphs.registry import Registry
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.attempt import Attempt
from slipway.runs.cancel_reasons import Action
from slipway.runs.creation import RunCreator
from slipway.runs.delivery_queues import EXTERNAL
from slipway.runs.leases import LeaseRenewer
from slipway.runs.record import Phase, Run, new_id
from slipway.runs.script_results import AttemptFenced, Settled
from slipway.runs.scripts import RunScripts
from slipway.runs.store import RunStore
from slipway.settings import Settings
from slipway.threads.scripts import ThreadScripts
from slipway.threads.store import ThreadStore
from slipway.threads.ttl import ThreadTtl
from slipway.webhooks.scripts import DeliveryScripts
from tests.checkpoints.conftest import (
    CheckpointerFactory,
    checkpointer_name,
    checkpointer_pipeline,
    config_of,
    listed_ids,
    make_checkpointer,
    put,
)
from tests.runs.conftest import LEASE_MS, TTL_S, Stores, handover, new_run, settlement
from tests.runs.executions import execution_of

__all__ = ["checkpointer_name", "checkpointer_pipeline", "make_checkpointer"]


@pytest.fixture
async def either(
    make_checkpointer: CheckpointerFactory, checkpointer_pipeline: Pipeline, keys: Keys, stores: Stores
) -> Stores:
    """Stores whose threads are kept by each of the checkpointers."""
    saver = make_checkpointer()
    scripts, trash = RunScripts(checkpointer_pipeline, keys), Trash(checkpointer_pipeline, keys, saver)
    return replace(
        stores,
        pipeline=checkpointer_pipeline,
        scripts=scripts,
        thread_scripts=ThreadScripts(checkpointer_pipeline, keys),
        checkpointer=saver,
        trash=trash,
        runs=RunStore(checkpointer_pipeline, keys, scripts, event_ttl_s=TTL_S),
        creator=RunCreator(checkpointer_pipeline, keys, scripts, trash, event_ttl_s=TTL_S, lease_ms=LEASE_MS),
        threads=ThreadStore(checkpointer_pipeline, keys, saver, trash),
    )


async def left_behind(stores: Stores, thread_id: str, namespaces: tuple[str, ...] = ("", "inner:1")) -> str:
    """Create a thread with checkpoints and pending writes and delete its record alone. Returns its incarnation."""
    thread, _ = await stores.threads.create_or_get(thread_id, {})
    for namespace in namespaces:
        made = await put(stores.checkpointer, thread_id, {"secret": "old"}, ns=namespace, run_id=new_id())
        await stores.checkpointer.aput_writes(config_of(thread_id, made, namespace), [("secret", "older")], "task")
    assert await stores.thread_scripts.delete(thread_id) is not None
    return thread.incarnation


async def _by_create(stores: Stores, thread_id: str) -> None:
    await stores.threads.create_or_get(thread_id, {})


async def _by_run(stores: Stores, thread_id: str) -> None:
    await stores.create_run(thread_id, create_thread=True)


async def _by_stateless_run(stores: Stores, thread_id: str) -> None:
    await stores.create_run(thread_id, create_thread=True, options={"temporary": True})


async def _by_copy(stores: Stores, thread_id: str) -> None:
    await stores.threads.copy(await stores.create_thread(), thread_id, token="t")


@pytest.mark.parametrize("again", [_by_create, _by_run, _by_stateless_run, _by_copy])
async def test_a_thread_begins_empty_when_nobody_removed_what_the_last_one_left(
    either: Stores, again: Callable[[Stores, str], Awaitable[None]]
) -> None:
    thread_id = new_id()
    await left_behind(either, thread_id)
    await again(either, thread_id)
    assert await listed_ids(either.checkpointer, config_of(thread_id, ns=None)) == []
    assert await either.checkpointer.thread_bytes(thread_id) == 0
    assert await TrashScripts(either.pipeline, either.keys).entries(0, 9) == []


async def test_what_a_thread_stored_stays_when_its_id_was_in_the_trash(either: Stores) -> None:
    thread_id, trash = new_id(), TrashScripts(either.pipeline, either.keys)
    await left_behind(either, thread_id)
    [(_, deleted_us)] = await trash.entries(0, 9)  # the duty stands here
    await either.threads.create_or_get(thread_id, {})
    made = await put(either.checkpointer, thread_id, {"mine": 1})
    await either.checkpointer.aput_writes(config_of(thread_id, made), [("mine", 2)], "task")
    used = await either.checkpointer.thread_bytes(thread_id)
    await either.trash.remove(thread_id, deleted_us)
    await either.trash.empty()
    found = await either.checkpointer.latest(thread_id)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"mine": 1}
    assert found.pending_writes == [("task", "mine", 2)]
    assert await either.checkpointer.thread_bytes(thread_id) == used


async def test_a_late_duty_does_not_forget_that_a_later_thread_was_removed(either: Stores) -> None:
    thread_id, trash = new_id(), TrashScripts(either.pipeline, either.keys)
    await left_behind(either, thread_id)
    [(_, deleted_us)] = await trash.entries(0, 9)
    await left_behind(either, thread_id)
    await trash.remove(thread_id, deleted_us)
    assert [name for name, _ in await trash.entries(0, 9)] == [thread_id]
    await either.trash.empty()
    assert await trash.entries(0, 9) == []
    assert await listed_ids(either.checkpointer, config_of(thread_id, ns=None)) == []


async def test_a_removal_that_was_cut_short_is_finished_by_whoever_makes_the_thread_again(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpointer = CoreCheckpointer(stores.pipeline, stores.keys, deleted_at_once=2)
    trash = Trash(stores.pipeline, stores.keys, checkpointer)
    stores = replace(stores, checkpointer=checkpointer, trash=trash)
    thread_id = new_id()
    await left_behind(stores, thread_id, ("", *(f"inner:{n}" for n in range(5))))
    [(_, deleted_us)] = await TrashScripts(stores.pipeline, stores.keys).entries(0, 9)
    run, left = stores.pipeline.run, 1

    def once(*args: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ConnectionError("killed")
        return run(*args)

    monkeypatch.setattr(stores.pipeline, "run", once)
    with pytest.raises(ConnectionError):
        await stores.trash.remove(thread_id, deleted_us)
    monkeypatch.undo()
    assert len(await listed_ids(stores.checkpointer, config_of(thread_id, ns=None))) == 4
    await stores.threads.create_or_get(thread_id, {})
    assert await listed_ids(stores.checkpointer, config_of(thread_id, ns=None)) == []
    await stores.threads.delete(thread_id)
    assert [key for key in await stores.pipeline.send("KEYS", f"{stores.keys.prefix}:*") if b":cp" in key] == []


async def test_a_record_that_is_damaged_does_not_keep_an_id_from_being_used_again(
    stores: Stores,
) -> None:
    thread_id = new_id()
    thread, _ = await stores.threads.create_or_get(thread_id, {})
    made = await put(stores.checkpointer, thread_id, {"a": 1})
    state = stores.keys.checkpoints(thread_id).removesuffix(":i") + ":s"
    await stores.pipeline.send("HSET", state, f"c\0{made}", b"\xc1")
    await stores.thread_scripts.delete(thread_id)
    await stores.trash.empty()
    assert (await stores.threads.create_or_get(thread_id, {}))[0].incarnation != thread.incarnation


async def test_a_thread_that_cannot_be_cleared_does_not_keep_the_trash_from_being_emptied(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = new_id(), new_id()
    for thread_id in (stuck, other):
        await left_behind(stores, thread_id)
    remove = stores.checkpointer.remove_leftovers

    async def refusing(thread_id: str) -> None:
        if thread_id == stuck:
            raise RuntimeError("WRONGTYPE")
        await remove(thread_id)

    monkeypatch.setattr(stores.checkpointer, "remove_leftovers", refusing)
    await stores.trash.empty()
    assert [name for name, _ in await TrashScripts(stores.pipeline, stores.keys).entries(0, 9)] == [stuck]
    assert await listed_ids(stores.checkpointer, config_of(other, ns=None)) == []


async def test_deleting_at_the_same_time_leaves_nothing_and_counts_once(either: Stores) -> None:
    thread_id = new_id()
    await either.threads.create_or_get(thread_id, {})
    await put(either.checkpointer, thread_id, {"a": 1})
    first = await either.thread_scripts.delete(thread_id)
    with pytest.raises(NotFound):
        await either.threads.delete(thread_id)
    assert first is not None
    await either.trash.remove(thread_id, first.deleted_us)
    assert await listed_ids(either.checkpointer, config_of(thread_id, ns=None)) == []


# from outside of runs


async def test_a_state_that_was_written_for_a_removed_thread_is_not_stored(either: Stores) -> None:
    thread_id = new_id()
    old = await left_behind(either, thread_id)
    late = either.checkpointer.for_run(IdleThreadWriter(either.pipeline, either.keys, thread_id, old))
    with pytest.raises(NotFound):
        await put(late, thread_id, {"secret": "late"})
    new, _ = await either.threads.create_or_get(thread_id, {})
    with pytest.raises(NotFound):
        await put(late, thread_id, {"secret": "late"})
    with pytest.raises(NotFound):
        await either.threads.set_state(
            thread_id, status="interrupted", values={"secret": "late"}, interrupts={}, incarnation=old
        )
    assert await listed_ids(either.checkpointer, config_of(thread_id, ns=None)) == []
    assert await either.threads.get(thread_id) == new


async def test_pruning_a_deleted_thread_does_not_change_a_later_thread_with_its_id(either: Stores) -> None:
    thread_id = new_id()
    old = await left_behind(either, thread_id)
    thread, _ = await either.threads.create_or_get(thread_id, {}, ttl=ThreadTtl(7))
    made = [await put(either.checkpointer, thread_id, {"n": n}) for n in range(3)]
    assert not await either.checkpointer.prune_thread(thread_id, old)
    assert await listed_ids(either.checkpointer, config_of(thread_id)) == made[::-1]
    await either.thread_scripts.sweep(0, [(thread_id, old)])
    assert (await either.threads.get(thread_id)).ttl == thread.ttl
    assert await either.checkpointer.prune_thread(thread_id, thread.incarnation)
    assert await listed_ids(either.checkpointer, config_of(thread_id)) == made[-1:]


async def test_a_copy_takes_nothing_of_the_thread_that_has_the_id_of_its_source_by_now(either: Stores) -> None:
    source, target = new_id(), new_id()
    await either.threads.create_or_get(source, {})
    await put(either.checkpointer, source, {"mine": 1})
    await either.thread_scripts.copy(source, target, "token", None)  # and its process is killed
    await either.threads.delete(source)
    await either.threads.create_or_get(source, {})
    await put(either.checkpointer, source, {"secret": "of another"})
    with pytest.raises(NotFound):
        await either.threads.copy(source, target, token="token")
    assert await listed_ids(either.checkpointer, config_of(target)) == []
    with pytest.raises(NotFound):
        await either.threads.get(target)


@pytest.mark.parametrize("checkpointed", [True, False])
async def test_a_copy_that_is_complete_is_answered_again_when_its_source_is_gone(
    either: Stores, checkpointed: bool
) -> None:
    source, target = new_id(), new_id()
    await either.threads.create_or_get(source, {"a": 1})
    if checkpointed:
        await put(either.checkpointer, source, {"mine": 1})
    first = await either.threads.copy(source, target, token="token")
    await either.threads.delete(source)
    again = await either.threads.copy(source, target, token="token")
    assert again == replace(first, updated_at=again.updated_at)
    assert len(await listed_ids(either.checkpointer, config_of(target))) == checkpointed


# runs


async def reborn(stores: Stores, **differs: Any) -> tuple[Run, Run]:
    """A run that a worker holds, and the one that was made with the same id once its thread was removed, held too: both
    are first attempts."""
    thread_id, run_id = await stores.create_thread(), new_id()
    await stores.create(new_run(thread_id, run_id=run_id, **differs))
    old = await stores.claim_one(worker="old")
    await stores.threads.delete(thread_id)
    await stores.threads.create_or_get(thread_id, {})
    await stores.create(new_run(thread_id, run_id=run_id, **differs))
    new = await stores.claim_one(worker="new")
    assert (old.run_id, old.attempt) == (new.run_id, new.attempt)
    return old, new


async def test_an_attempt_of_a_removed_run_writes_nothing_into_the_run_that_has_its_id(stores: Stores) -> None:
    old, new = await reborn(stores)
    before = await stores.dump()
    late = Attempt(stores.scripts, old)
    saver: BaseCheckpointer = CoreCheckpointer(stores.pipeline, stores.keys, writer=late)
    late.append("values", b"event: values\r\ndata: {}\r\n")
    await put(saver, old.thread_id, {"secret": "old"})
    with pytest.raises(Fenced):
        await late.flush()
    assert late.is_fenced
    assert await stores.settle(old) == AttemptFenced()
    assert await stores.scripts.run_settle(settlement(old).arguments(old, 1), []) == AttemptFenced()
    assert not await stores.scripts.run_release(handover(old).arguments(old, 1), [])
    assert await stores.dump() == before
    assert await stores.settle(new) == Settled()
    assert await stores.scripts.run_settle(settlement(old).arguments(old, 1), []) == AttemptFenced()


async def test_an_attempt_of_a_removed_run_rolls_nothing_back_of_the_run_that_has_its_id(
    stores: Stores, graphs: Registry
) -> None:
    thread_id, run_id = await stores.create_thread(), new_id()
    await stores.create(new_run(thread_id, run_id=run_id))
    old = replace(await stores.claim_one(), cancel=Action.ROLLBACK)
    await stores.threads.delete(thread_id)
    await stores.threads.create_or_get(thread_id, {})
    await stores.create(new_run(thread_id, run_id=run_id))
    await stores.claim_one()
    made = await put(stores.checkpointer, thread_id, {"mine": 1}, run_id=run_id)
    await execution_of(stores, graphs, old).execute()
    assert await listed_ids(stores.checkpointer, config_of(thread_id)) == [made]
    assert (await stores.runs.find(run_id)).phase is Phase.RUNNING


async def test_a_log_has_nothing_of_the_removed_run_that_had_its_id(stores: Stores) -> None:
    thread_id, run_id = await stores.create_thread(), new_id()
    await stores.create(new_run(thread_id, run_id=run_id))
    await stores.settle(await stores.claim_one())
    await stores.runs.delete(thread_id, run_id)
    await stores.create(new_run(thread_id, run_id=run_id))
    assert await stores.event_names(run_id) == ["metadata"]
    assert await stores.pipeline.send("TTL", stores.keys.events(run_id)) == -1


async def test_a_removed_runs_lease_is_not_renewed_for_the_run_that_has_its_id(stores: Stores) -> None:
    old, new = await reborn(stores)
    lease = await stores.pipeline.send("ZSCORE", stores.keys.leases, new.run_id)
    words = await stores.scripts.renew_leases([(old.run_id, old.attempt, old.incarnation)], lease_ms=10 * LEASE_MS)
    assert words == [(old.run_id, "lost")]
    assert await stores.pipeline.send("ZSCORE", stores.keys.leases, new.run_id) == lease
    await stores.reap("new")
    assert (await stores.reload(new)).crashes == 1
    await stores.scripts.renew_leases([(old.run_id, old.attempt, old.incarnation)], lease_ms=LEASE_MS)
    assert (await stores.reload(new)).crashes == 1  # its own worker died, whoever else lives
    assert await stores.phase_of(new) is Phase.QUEUED


async def test_what_a_worker_hears_of_a_removed_run_does_not_stop_the_run_that_has_its_id(
    stores: Stores, valkey_url: str
) -> None:
    old, new = await reborn(stores)
    lease_renewer = LeaseRenewer(Address(valkey_url), stores.keys, "w", Settings(), is_worker=True)
    attempt = stores.attempt(new)
    lease_renewer.add(attempt)
    lease_renewer.on_control_message(f"{old.run_id}@{old.incarnation} lost".encode())
    lease_renewer.on_control_message(f"{old.run_id}@{old.incarnation} interrupt".encode())
    lease_renewer.on_instruction(stores.attempt(old), "lost")
    assert (attempt.is_fenced, attempt.cancel) == (False, None)
    lease_renewer.on_control_message(f"{new.run_id}@{new.incarnation} interrupt".encode())
    lease_renewer.on_control_message(f"{new.run_id}@{new.incarnation} lost".encode())
    assert (attempt.is_fenced, attempt.cancel) == (True, "interrupt")


async def test_the_webhook_of_a_removed_run_and_that_of_the_run_with_its_id_are_both_called(stores: Stores) -> None:
    old, new = await reborn(stores, options={"webhook": "https://receiver.example/"})
    deliveries = DeliveryScripts(stores.pipeline, stores.keys)
    await stores.settle(new, result='{"mine":1}', values='{"mine":1}')
    first, second = await deliveries.claim([EXTERNAL], 9, LEASE_MS)
    assert [(held["run_id"].decode(), held["body_status"]) for held in (first, second)] == [
        (old.run_id, b"interrupted"),
        (new.run_id, b"success"),
    ]
    assert first["delivery_id"] != second["delivery_id"]
    assert await deliveries.settle_try(first["delivery_id"].decode(), 1, outcome="failed", problem="gone")
    assert (await stores.reload(new)).webhook_status == "pending"
    assert await deliveries.settle_try(second["delivery_id"].decode(), 1, outcome="delivered")
    assert (await stores.reload(new)).webhook_status == "delivered"
    assert await deliveries.claim([EXTERNAL], 9, LEASE_MS) == []
