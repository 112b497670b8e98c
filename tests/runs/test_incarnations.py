"""A thread or run whose id was used before gets no data of its predecessor, and late writes for the predecessor do not
change it.

Where a test calls the delete script directly, the checkpoints of the thread remain as leftovers, as after a crash of
the process that deleted the thread."""

from __future__ import annotations

import time
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
from slipway.redis.shard_ids import run_id_on
from slipway.runs.admission import Admission
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.cancel_reasons import Action
from slipway.runs.creation import RunCreator
from slipway.runs.delivery_queues import EXTERNAL
from slipway.runs.leases import LeaseRenewer
from slipway.runs.record import Phase, Run, new_id
from slipway.runs.script_results import AttemptFenced, RunLost, Settled
from slipway.runs.scripts import RunScripts
from slipway.runs.store import RunStore
from slipway.settings import Settings
from slipway.threads.scripts import ThreadScripts, ThreadShardScripts
from slipway.threads.store import ThreadStore
from slipway.threads.ttl import ThreadTtl
from slipway.webhooks.scripts import Delivered, GivenUp
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
from tests.shards import shards_of
from tests.webhooks.delivery_scripts import delivery_scripts, settled

__all__ = ["checkpointer_name", "checkpointer_pipeline", "make_checkpointer"]


@pytest.fixture
async def stores_by_checkpointer(
    make_checkpointer: CheckpointerFactory, checkpointer_pipeline: Pipeline, keys: Keys, stores: Stores
) -> Stores:
    """Stores with each of the checkpointers."""
    saver = make_checkpointer()
    scripts, trash = (
        RunScripts(checkpointer_pipeline, shards_of(keys)),
        Trash(checkpointer_pipeline, shards_of(keys), saver),
    )
    return replace(
        stores,
        pipeline=checkpointer_pipeline,
        scripts=scripts,
        thread_scripts=ThreadScripts(checkpointer_pipeline, shards_of(keys)),
        checkpointer=saver,
        trash=trash,
        runs=RunStore(checkpointer_pipeline, keys, scripts, event_ttl_s=TTL_S),
        creator=RunCreator(
            checkpointer_pipeline,
            shards_of(keys),
            scripts,
            trash,
            admission=Admission(stores.pipeline, stores.queues, 0.85),
            event_ttl_s=TTL_S,
            lease_ms=LEASE_MS,
        ),
        threads=ThreadStore(checkpointer_pipeline, shards_of(keys), saver, trash),
    )


async def create_leftovers(stores: Stores, thread_id: str, namespaces: tuple[str, ...] = ("", "inner:1")) -> str:
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
    source, _ = await stores.threads.create_or_get(stores.shards.id_beside(thread_id, new_id()), {})
    await stores.threads.copy(source.thread_id, thread_id, token="t")


@pytest.mark.parametrize("create", [_by_create, _by_run, _by_stateless_run, _by_copy])
async def test_a_thread_starts_empty_when_its_id_has_leftovers(
    stores_by_checkpointer: Stores, create: Callable[[Stores, str], Awaitable[None]]
) -> None:
    thread_id = new_id()
    await create_leftovers(stores_by_checkpointer, thread_id)
    await create(stores_by_checkpointer, thread_id)
    assert await listed_ids(stores_by_checkpointer.checkpointer, config_of(thread_id, ns=None)) == []
    assert await stores_by_checkpointer.checkpointer.thread_bytes(thread_id) == 0
    assert await stores_by_checkpointer.trash_entries() == []


async def test_emptying_the_trash_keeps_the_checkpoints_of_a_new_thread(stores_by_checkpointer: Stores) -> None:
    thread_id = new_id()
    await create_leftovers(stores_by_checkpointer, thread_id)
    [(_, deleted_us)] = await stores_by_checkpointer.trash_entries()  # a duty has read the trash
    await stores_by_checkpointer.threads.create_or_get(thread_id, {})
    made = await put(stores_by_checkpointer.checkpointer, thread_id, {"mine": 1})
    await stores_by_checkpointer.checkpointer.aput_writes(config_of(thread_id, made), [("mine", 2)], "task")
    used = await stores_by_checkpointer.checkpointer.thread_bytes(thread_id)
    await stores_by_checkpointer.trash.remove(thread_id, deleted_us)
    await stores_by_checkpointer.trash.empty()
    found = await stores_by_checkpointer.checkpointer.latest(thread_id)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"mine": 1}
    assert found.pending_writes == [("task", "mine", 2)]
    assert await stores_by_checkpointer.checkpointer.thread_bytes(thread_id) == used


async def test_a_late_duty_does_not_remove_the_trash_entry_of_a_later_thread(stores_by_checkpointer: Stores) -> None:
    thread_id, trash = new_id(), TrashScripts(stores_by_checkpointer.pipeline, stores_by_checkpointer.shards)
    await create_leftovers(stores_by_checkpointer, thread_id)
    [(_, deleted_us)] = await stores_by_checkpointer.trash_entries()
    await create_leftovers(stores_by_checkpointer, thread_id)
    await trash.remove(thread_id, deleted_us)
    assert [name for name, _ in await stores_by_checkpointer.trash_entries()] == [thread_id]
    await stores_by_checkpointer.trash.empty()
    assert await stores_by_checkpointer.trash_entries() == []
    assert await listed_ids(stores_by_checkpointer.checkpointer, config_of(thread_id, ns=None)) == []


async def test_creating_a_thread_again_finishes_an_interrupted_deletion(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpointer = CoreCheckpointer(stores.pipeline, stores.shards, deleted_at_once=2)
    trash = Trash(stores.pipeline, stores.shards, checkpointer)
    stores = replace(stores, checkpointer=checkpointer, trash=trash)
    thread_id = new_id()
    await create_leftovers(stores, thread_id, ("", *(f"inner:{n}" for n in range(5))))
    [(_, deleted_us)] = await stores.trash_entries()
    run, remaining_calls = stores.pipeline.run, 1

    def run_once(*args: Any) -> Any:
        nonlocal remaining_calls
        remaining_calls -= 1
        if remaining_calls < 0:
            raise ConnectionError("the deletion is interrupted")
        return run(*args)

    monkeypatch.setattr(stores.pipeline, "run", run_once)
    with pytest.raises(ConnectionError):
        await stores.trash.remove(thread_id, deleted_us)
    monkeypatch.undo()
    assert len(await listed_ids(stores.checkpointer, config_of(thread_id, ns=None))) == 4
    await stores.threads.create_or_get(thread_id, {})
    assert await listed_ids(stores.checkpointer, config_of(thread_id, ns=None)) == []
    await stores.threads.delete(thread_id)
    assert [key for key in await stores.pipeline.send("KEYS", f"{stores.keys.prefix}:*") if b":cp" in key] == []


async def test_an_id_with_a_damaged_checkpoint_can_be_used_again(
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


async def test_leftovers_that_cannot_be_deleted_do_not_block_the_trash(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = new_id(), new_id()
    for thread_id in (stuck, other):
        await create_leftovers(stores, thread_id)
    remove = stores.checkpointer.remove_leftovers

    async def fail_if_stuck(thread_id: str) -> None:
        if thread_id == stuck:
            raise RuntimeError("WRONGTYPE")
        await remove(thread_id)

    monkeypatch.setattr(stores.checkpointer, "remove_leftovers", fail_if_stuck)
    await stores.trash.empty()
    assert [name for name, _ in await stores.trash_entries()] == [stuck]
    assert await listed_ids(stores.checkpointer, config_of(other, ns=None)) == []


async def test_two_concurrent_deletions_of_a_thread_succeed_once_and_leave_nothing(
    stores_by_checkpointer: Stores,
) -> None:
    thread_id = new_id()
    await stores_by_checkpointer.threads.create_or_get(thread_id, {})
    await put(stores_by_checkpointer.checkpointer, thread_id, {"a": 1})
    first = await stores_by_checkpointer.thread_scripts.delete(thread_id)
    with pytest.raises(NotFound):
        await stores_by_checkpointer.threads.delete(thread_id)
    assert first is not None
    await stores_by_checkpointer.trash.remove(thread_id, first.deleted_us)
    assert await listed_ids(stores_by_checkpointer.checkpointer, config_of(thread_id, ns=None)) == []


# without runs


async def test_a_late_state_write_to_a_deleted_thread_is_not_stored(stores_by_checkpointer: Stores) -> None:
    thread_id = new_id()
    old = await create_leftovers(stores_by_checkpointer, thread_id)
    late = stores_by_checkpointer.checkpointer.for_run(
        IdleThreadWriter(stores_by_checkpointer.pipeline, stores_by_checkpointer.shards, thread_id, old)
    )
    with pytest.raises(NotFound):
        await put(late, thread_id, {"secret": "late"})
    new, _ = await stores_by_checkpointer.threads.create_or_get(thread_id, {})
    with pytest.raises(NotFound):
        await put(late, thread_id, {"secret": "late"})
    with pytest.raises(NotFound):
        await stores_by_checkpointer.threads.set_state(
            thread_id, status="interrupted", values={"secret": "late"}, interrupts={}, incarnation=old
        )
    assert await listed_ids(stores_by_checkpointer.checkpointer, config_of(thread_id, ns=None)) == []
    assert await stores_by_checkpointer.threads.get(thread_id) == new


async def test_pruning_a_deleted_thread_does_not_change_a_later_thread_with_its_id(
    stores_by_checkpointer: Stores,
) -> None:
    thread_id = new_id()
    old = await create_leftovers(stores_by_checkpointer, thread_id)
    thread, _ = await stores_by_checkpointer.threads.create_or_get(thread_id, {}, ttl=ThreadTtl(7))
    made = [await put(stores_by_checkpointer.checkpointer, thread_id, {"n": n}) for n in range(3)]
    assert not await stores_by_checkpointer.checkpointer.prune_thread(thread_id, old)
    assert await listed_ids(stores_by_checkpointer.checkpointer, config_of(thread_id)) == made[::-1]
    sweeps = ThreadShardScripts(stores_by_checkpointer.pipeline, stores_by_checkpointer.shards.of_thread(thread_id))
    await sweeps.sweep(0, [(thread_id, old)])
    assert (await stores_by_checkpointer.threads.get(thread_id)).ttl == thread.ttl
    assert await stores_by_checkpointer.checkpointer.prune_thread(thread_id, thread.incarnation)
    assert await listed_ids(stores_by_checkpointer.checkpointer, config_of(thread_id)) == made[-1:]


async def test_a_copy_contains_nothing_of_a_later_thread_with_the_id_of_its_source(
    stores_by_checkpointer: Stores,
) -> None:
    source = new_id()
    target = stores_by_checkpointer.shards.id_beside(source, new_id())
    await stores_by_checkpointer.threads.create_or_get(source, {})
    await put(stores_by_checkpointer.checkpointer, source, {"mine": 1})
    await stores_by_checkpointer.thread_scripts.copy(source, target, "token", None)  # and the process crashes
    await stores_by_checkpointer.threads.delete(source)
    await stores_by_checkpointer.threads.create_or_get(source, {})
    await put(stores_by_checkpointer.checkpointer, source, {"secret": "of another"})
    with pytest.raises(NotFound):
        await stores_by_checkpointer.threads.copy(source, target, token="token")
    assert await listed_ids(stores_by_checkpointer.checkpointer, config_of(target)) == []
    with pytest.raises(NotFound):
        await stores_by_checkpointer.threads.get(target)


@pytest.mark.parametrize("checkpointed", [True, False])
async def test_a_repeated_copy_returns_the_complete_copy_of_a_deleted_source(
    stores_by_checkpointer: Stores, checkpointed: bool
) -> None:
    source = new_id()
    target = stores_by_checkpointer.shards.id_beside(source, new_id())
    await stores_by_checkpointer.threads.create_or_get(source, {"a": 1})
    if checkpointed:
        await put(stores_by_checkpointer.checkpointer, source, {"mine": 1})
    first = await stores_by_checkpointer.threads.copy(source, target, token="token")
    await stores_by_checkpointer.threads.delete(source)
    again = await stores_by_checkpointer.threads.copy(source, target, token="token")
    assert again == replace(first, updated_at=again.updated_at)
    assert len(await listed_ids(stores_by_checkpointer.checkpointer, config_of(target))) == checkpointed


# runs


async def run_and_successor(stores: Stores, **differs: Any) -> tuple[Run, Run]:
    """A claimed run, and a claimed run that was created with the same id after the thread of the first was deleted.
    Both are in their first attempt."""
    thread_id = await stores.create_thread()
    run_id = run_id_on(thread_id, new_id())
    await stores.create(new_run(thread_id, run_id=run_id, **differs))
    old = await stores.claim_one(worker="old")
    await stores.threads.delete(thread_id)
    await stores.threads.create_or_get(thread_id, {})
    await stores.create(new_run(thread_id, run_id=run_id, **differs))
    new = await stores.claim_one(worker="new")
    assert (old.run_id, old.attempt) == (new.run_id, new.attempt)
    return old, new


async def test_an_attempt_of_a_deleted_run_writes_nothing_to_a_later_run_with_its_id(stores: Stores) -> None:
    old, new = await run_and_successor(stores)
    before = await stores.dump()
    late = AttemptWriter(stores.scripts, old)
    saver: BaseCheckpointer = CoreCheckpointer(stores.pipeline, stores.shards, writer=late)
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


async def test_an_attempt_of_a_deleted_run_rolls_back_nothing_of_a_later_run_with_its_id(
    stores: Stores, graphs: Registry
) -> None:
    thread_id = await stores.create_thread()
    run_id = run_id_on(thread_id, new_id())
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


@pytest.mark.one_queue
async def test_a_log_has_no_events_of_a_deleted_run_with_the_same_id(stores: Stores) -> None:
    thread_id = await stores.create_thread()
    run_id = run_id_on(thread_id, new_id())
    await stores.create(new_run(thread_id, run_id=run_id))
    await stores.settle(await stores.claim_one())
    await stores.runs.delete(thread_id, run_id)
    await stores.create(new_run(thread_id, run_id=run_id))
    assert await stores.event_names(run_id) == ["metadata"]
    assert await stores.pipeline.send("TTL", stores.keys.events(run_id)) == -1


@pytest.mark.one_queue
async def test_the_lease_of_a_deleted_run_is_not_renewed_for_a_later_run_with_its_id(stores: Stores) -> None:
    old, new = await run_and_successor(stores)
    lease = await stores.pipeline.send("ZSCORE", stores.shards.home.leases, new.run_id)
    words = await stores.queues[0].renew_leases([(old.run_id, old.attempt, old.incarnation)], lease_ms=10 * LEASE_MS)
    assert words == [(old.run_id, RunLost())]
    assert await stores.pipeline.send("ZSCORE", stores.shards.home.leases, new.run_id) == lease
    await stores.reap("new")
    assert (await stores.reload(new)).crashes == 1
    await stores.queues[0].renew_leases([(old.run_id, old.attempt, old.incarnation)], lease_ms=LEASE_MS)
    assert (
        await stores.reload(new)
    ).crashes == 1  # the heartbeat of the old worker clears nothing: the new worker crashed
    assert await stores.phase_of(new) is Phase.QUEUED


async def test_messages_about_a_deleted_run_do_not_stop_a_later_run_with_its_id(
    stores: Stores, valkey_url: str
) -> None:
    old, new = await run_and_successor(stores)
    lease_renewer = LeaseRenewer(Address(valkey_url), stores.shards, "w", Settings(), is_worker=True)
    attempt = stores.attempt(new)
    lease_renewer.add(attempt, time.monotonic())
    lease_renewer.on_control_message(f"{old.run_id}@{old.incarnation} lost".encode())
    lease_renewer.on_control_message(f"{old.run_id}@{old.incarnation} interrupt".encode())
    lease_renewer.on_instruction(stores.attempt(old), RunLost())
    assert (attempt.is_fenced, attempt.cancel) == (False, None)
    lease_renewer.on_control_message(f"{new.run_id}@{new.incarnation} interrupt".encode())
    lease_renewer.on_control_message(f"{new.run_id}@{new.incarnation} lost".encode())
    assert (attempt.is_fenced, attempt.cancel) == (True, "interrupt")


@pytest.mark.one_queue
async def test_the_webhooks_of_a_deleted_run_and_of_a_later_run_with_its_id_are_both_sent(stores: Stores) -> None:
    old, new = await run_and_successor(stores, options={"webhook": "https://receiver.example/"})
    deliveries = delivery_scripts(stores.pipeline, stores.keys)
    await stores.settle(new, result='{"mine":1}', values='{"mine":1}')
    first, second = await deliveries.claim([EXTERNAL], 9, LEASE_MS)
    assert [(delivery.fields["run_id"].decode(), delivery.fields["body_status"]) for delivery in (first, second)] == [
        (old.run_id, b"interrupted"),
        (new.run_id, b"success"),
    ]
    assert first.fields["delivery_id"] != second.fields["delivery_id"]
    assert (await settled(deliveries, first.delivery_id, 1, GivenUp("gone"))).stored
    assert (await stores.reload(new)).webhook_status == "pending"
    assert (await settled(deliveries, second.delivery_id, 1, Delivered())).stored
    assert (await stores.reload(new)).webhook_status == "delivered"
    assert await deliveries.claim([EXTERNAL], 9, LEASE_MS) == []
