"""A run is claimed only by a worker that serves its version; until then it waits in a lane."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.graph_versions.needs_reads import NeedsReads
from slipway.graph_versions.scripts import VersionScripts
from slipway.graphs.version_choice import VersionChoice
from slipway.health.reads import HealthReads
from slipway.health.scripts import HealthScripts
from slipway.runs.admission import Admission
from slipway.runs.cancel_reasons import Action
from slipway.runs.creation import RunCreator
from slipway.runs.operator_pause import OperatorPause
from slipway.runs.record import Phase, Run, new_id, run_from
from slipway.runs.settlement import Release
from slipway.runs.suspect_slots import SuspectSlots
from tests.runs.conftest import LEASE_MS, Stores, handover, new_run
from tests.runs.versioned_workers import GRAPH, VersionedWorker, worker_of

pytestmark = pytest.mark.one_queue

OLD, NEW = "a" * 16, "b" * 16


async def run_on(stores: Stores, version: str, thread_id: str | None = None) -> Run:
    """A queued run for this version."""
    return await stores.create_run(thread_id, version=VersionChoice(explicit=version))


async def pinned_thread(stores: Stores, worker: VersionedWorker) -> str:
    """A thread with one completed run, which this worker has executed."""
    run = await stores.create_run()
    (claimed,) = await worker.claim()
    assert claimed.run_id == run.run_id
    await stores.settle(claimed)
    return run.thread_id


async def test_the_first_claim_pins_the_thread_and_the_run_records_version_and_build(stores: Stores) -> None:
    worker = await worker_of(stores, "1", schema=OLD)
    created = await stores.create_run()
    assert (created.version, created.build) == (None, None)
    (run,) = await worker.claim()
    assert (run.version, run.build, run.pinned_version) == ("1", "build-1", None)
    stored = await stores.reload(run)
    assert (stored.public()["version"], stored.public()["build"]) == ("1", "build-1")
    thread = await stores.thread_of(run)
    assert (thread.version, thread.schema, thread.public()["version"]) == ("1", OLD, "1")


async def queues(stores: Stores) -> list[bytes]:
    """The names of all queues that have jobs."""
    names = await stores.pipeline.send("KEYS", f"{stores.shards.home.prefix}:queue:*")
    return [name for name in names if name.decode() != stores.shards.home.named("waiting_workers")]


async def test_a_run_waits_in_the_lane_of_its_version_for_a_worker_that_serves_it(stores: Stores) -> None:
    old, new = await worker_of(stores, "1"), await worker_of(stores, "2")
    assert await new.claim() == await old.claim() == []
    run = await run_on(stores, "1")
    assert (await old.wakes(), await new.wakes()) == (0, 1), "the worker that has waited longest"
    assert await new.claim() == []
    assert (await stores.reload(run)).reason == f"waits for a worker that serves {GRAPH}@1"
    assert (await stores.reload(run)).phase is Phase.QUEUED
    assert (await old.wakes(), await new.wakes()) == (1, 0), "the lane wakes a worker that serves it"
    (claimed,) = await old.claim()
    assert (claimed.run_id, claimed.version) == (run.run_id, "1")
    assert await stores.pipeline.send("EXISTS", stores.shards.home.version_lanes) == 0
    assert await stores.pipeline.send("HEXISTS", stores.keys.run(run.run_id), "lane") == 0
    assert (await old.wakes(), await new.wakes()) == (0, 0)


@pytest.mark.one_shard("its claims exchange no slots of concurrency groups with other shards")
async def test_a_run_that_moves_to_a_lane_leaves_the_slot_of_its_group_to_a_parked_run(stores: Stores) -> None:
    old, new = await worker_of(stores, "1"), await worker_of(stores, "2")
    running, of_old, of_new = [
        await stores.create_run(version=VersionChoice(explicit=version), groups=[("few", 1)])
        for version in ("1", "1", "2")
    ]
    (claimed,) = await old.claim()
    assert claimed.run_id == running.run_id
    assert await new.claim() == []
    assert [(await stores.reload(run)).reason for run in (of_old, of_new)] == ["limit of few"] * 2
    await stores.settle(claimed)  # offers the slot to the run of the old version
    assert [run.run_id for run in await new.claim()] == [of_new.run_id]


async def test_the_reason_says_that_no_live_worker_serves_the_version_and_follows_the_workers(stores: Stores) -> None:
    new, versions = await worker_of(stores, "2"), VersionScripts(stores.pipeline, stores.shards)
    run = await run_on(stores, "1")
    assert await new.claim() == []
    assert (await stores.reload(run)).reason == f"no live worker serves {GRAPH}@1"
    old = await worker_of(stores, "1")
    assert [(lane.is_served, lane.has_changed) for lane in await versions.refresh_lanes()] == [(True, True)]
    assert (await stores.reload(run)).reason == f"waits for a worker that serves {GRAPH}@1"
    assert [lane.has_changed for lane in await versions.refresh_lanes()] == [False]
    await stores.queues[0].run_reap(event_ttl_s=1, pause_ms=0, worker=old.name)  # its process has exited
    assert [(lane.is_served, lane.has_changed) for lane in await versions.refresh_lanes()] == [(False, True)]
    assert (await stores.reload(run)).reason == f"no live worker serves {GRAPH}@1"


async def test_the_reasons_of_all_runs_change_although_a_new_run_of_the_lane_says_first_that_no_worker_is_left(
    stores: Stores,
) -> None:
    new, old = await worker_of(stores, "2"), await worker_of(stores, "1")
    first = await run_on(stores, "1")
    assert await new.claim() == []
    assert (await stores.reload(first)).reason == f"waits for a worker that serves {GRAPH}@1"
    await old.leave()
    second = await run_on(stores, "1")
    assert await new.claim() == []
    await VersionScripts(stores.pipeline, stores.shards).refresh_lanes()
    reasons = [(await stores.reload(run)).reason for run in (first, second)]
    assert reasons == [f"no live worker serves {GRAPH}@1"] * 2


async def test_a_worker_whose_graph_failed_to_load_claims_none_of_its_runs(stores: Stores) -> None:
    other = await worker_of(stores, "1", graph_id="other")
    run = await stores.create_run()
    assert await other.claim() == []
    assert (await stores.reload(run)).reason == f"no live worker serves {GRAPH}"
    worker = await worker_of(stores, "1")
    assert [claimed.run_id for claimed in await worker.claim()] == [run.run_id]


async def test_an_older_worker_never_takes_the_thread_of_a_newer_version(stores: Stores) -> None:
    old = await worker_of(stores, "1", schema=OLD, declared=False, at_resume=True)
    new = await worker_of(stores, "2", schema=NEW, declared=False, at_resume=True)
    thread_id = await pinned_thread(stores, new)
    run = await stores.create_run(thread_id)
    assert await old.claim() == []
    assert [claimed.run_id for claimed in await new.claim()] == [run.run_id]


async def test_a_newer_worker_takes_the_thread_of_an_older_version_if_it_may_move_and_says_so(stores: Stores) -> None:
    old = await worker_of(stores, "1", schema=OLD, declared=False, at_resume=True)
    new = await worker_of(stores, "2", schema=NEW, declared=False, at_resume=True)
    thread_id = await pinned_thread(stores, old)
    await stores.create_run(thread_id)
    (run,) = await new.claim()
    assert (run.version, run.pinned_version, run.pinned_schema) == ("2", "1", OLD)
    assert (await stores.thread_of(run)).version == "1", "only the script that moves the thread changes that"


async def test_without_the_rule_at_resume_no_other_version_takes_the_thread(stores: Stores) -> None:
    old, new = await worker_of(stores, "1", schema=OLD), await worker_of(stores, "2", schema=NEW)
    thread_id = await pinned_thread(stores, old)
    await stores.create_run(thread_id)
    assert await new.claim() == []
    assert len(await old.claim()) == 1


async def test_undeclared_versions_with_equal_schemas_continue_each_others_threads(stores: Stores) -> None:
    old = await worker_of(stores, "1", schema=OLD, declared=False)
    new = await worker_of(stores, "2", schema=OLD, declared=False)
    thread_id = await pinned_thread(stores, old)
    for worker, pinned in ((new, "2"), (old, "2")):
        await stores.create_run(thread_id)
        (run,) = await worker.claim()
        assert run.pinned_version is None
        assert (await stores.thread_of(run)).version == pinned, "the newest of them"
        await stores.settle(run)


async def test_a_version_with_a_name_continues_threads_of_equal_code_from_before_it_had_one(stores: Stores) -> None:
    before = await worker_of(stores, "a", schema=OLD, declared=False)
    thread_id = await pinned_thread(stores, before)
    await before.leave()
    after = await worker_of(stores, "1", "2", "3", schema={"1": OLD, "2": OLD, "3": NEW})
    await stores.create_run(thread_id)
    (run,) = await after.claim()
    assert (run.version, run.pinned_version, run.pinned_schema) == ("1", "a", OLD), "the oldest of them"
    known = await VersionScripts(stores.pipeline, stores.shards).read()
    assert [known.continued_on(GRAPH, name) for name in ("a", "3", "unknown")] == ["1", "3", None]


async def test_while_a_version_ramps_equal_code_is_not_taken_for_it(stores: Stores) -> None:
    """Releases without names whose fingerprints are equal may differ in prompts, which is what the ramp compares."""
    old = await worker_of(stores, "a", schema=OLD, declared=False, current="a", ramping="b")
    new = await worker_of(stores, "b", schema=OLD, declared=False, current="a", ramping="b")
    for version, other, own in (("a", new, old), ("b", old, new)):
        run = await stores.create_run(version=VersionChoice(new=version, current="a", ramping="b"))
        assert await other.claim() == []
        assert [(claimed.run_id, claimed.version) for claimed in await own.claim()] == [(run.run_id, version)]
        await stores.settle(await stores.reload(run))
        run = await stores.create_run(run.thread_id, version=VersionChoice(new="a", current="a", ramping="b"))
        assert await other.claim() == []
        assert [(claimed.run_id, claimed.version) for claimed in await own.claim()] == [(run.run_id, version)]


async def test_after_a_rollback_equal_code_is_not_taken_for_the_current_version_while_that_is_served(
    stores: Stores,
) -> None:
    old = await worker_of(stores, "a", schema=OLD, declared=False, current="a")
    new = await worker_of(stores, "b", schema=OLD, declared=False, current="a")
    thread_id = await pinned_thread(stores, old)
    await stores.create_run(thread_id, version=VersionChoice(new="a", current="a"))
    assert await new.claim() == []
    await old.leave()
    assert [lane.is_served for lane in await VersionScripts(stores.pipeline, stores.shards).refresh_lanes()] == [True]
    assert [claimed.version for claimed in await new.claim()] == ["b"], "no live worker serves the current one"


async def test_a_name_is_not_replaced_by_another_one_for_equal_code(stores: Stores) -> None:
    before = await worker_of(stores, "1", schema=OLD)
    thread_id = await pinned_thread(stores, before)
    await before.leave()
    after = await worker_of(stores, "2", schema=OLD)
    await stores.create_run(thread_id)
    assert await after.claim() == []
    assert (await VersionScripts(stores.pipeline, stores.shards).read()).continued_on(GRAPH, "1") is None


async def test_changed_code_under_the_same_name_is_a_move(stores: Stores) -> None:
    before = await worker_of(stores, "1", schema=OLD)
    thread_id = await pinned_thread(stores, before)
    after = await worker_of(stores, "1", schema=NEW)
    await stores.create_run(thread_id)
    (run,) = await after.claim()
    assert (run.version, run.pinned_version, run.pinned_schema) == ("1", "1", OLD)


async def test_after_a_rollback_the_current_version_takes_threads_of_the_newer_one(stores: Stores) -> None:
    new = await worker_of(stores, "1", "2", schema={"1": OLD, "2": NEW}, at_resume=True)
    thread_id = await pinned_thread(stores, new)
    await new.leave()
    current = await worker_of(stores, "1", schema=OLD, at_resume=True, current="1")
    await stores.create_run(thread_id)
    (run,) = await current.claim()
    assert (run.version, run.pinned_version) == ("1", "2")


async def test_the_current_version_takes_no_threads_of_the_version_that_ramps(stores: Stores) -> None:
    current = await worker_of(stores, "1", schema=OLD, at_resume=True, current="1", ramping="2")
    new = await worker_of(stores, "1", "2", schema={"1": OLD, "2": NEW}, at_resume=True, current="1", ramping="2")
    run = await stores.create_run(version=VersionChoice(new="2", current="1", ramping="2", moves="at-resume"))
    assert await current.claim() == []
    assert [(claimed.run_id, claimed.version) for claimed in await new.claim()] == [(run.run_id, "2")]


async def test_a_run_that_may_execute_on_one_version_only_is_not_taken_by_a_newer_one(stores: Stores) -> None:
    old = await worker_of(stores, "1", schema=OLD, at_resume=True)
    new = await worker_of(stores, "2", schema=NEW, at_resume=True)
    thread_id = await pinned_thread(stores, old)
    await stores.create_run(thread_id)
    (run,) = await new.claim()
    await stores.attempt(run).release(Release(reason="held", usage="{}", version="1"))
    assert await new.claim() == []
    assert (await stores.reload(run)).reason == f"waits for a worker that serves {GRAPH}@1"
    assert [claimed.version for claimed in await old.claim()] == ["1"]


async def test_a_run_goes_where_its_thread_has_moved_meanwhile(stores: Stores) -> None:
    old, new = await worker_of(stores, "1", schema=OLD), await worker_of(stores, "2", schema=NEW)
    thread_id = await pinned_thread(stores, old)
    run = await stores.create_run(thread_id, version=VersionChoice(current="1"))
    assert run.version == "1"
    await stores.pipeline.send("HSET", stores.keys.thread(thread_id), "version", "2", "schema", NEW)
    assert await old.claim() == []
    assert [claimed.version for claimed in await new.claim()] == ["2"]


async def test_a_job_in_a_lane_does_not_stop_what_can_be_claimed(stores: Stores) -> None:
    new = await worker_of(stores, "2")
    waiting = [await run_on(stores, "1") for _ in range(3)]
    run = await run_on(stores, "2")
    assert [claimed.run_id for claimed in await new.claim(1)] == [run.run_id]
    assert await new.wait_ms() is None, "it does not poll for a version that it does not serve"
    assert {(await stores.reload(each)).phase for each in waiting} == {Phase.QUEUED}


async def test_a_lane_and_the_queue_are_claimed_in_one_order(stores: Stores) -> None:
    old, new = await worker_of(stores, "1"), await worker_of(stores, "2")
    runs = [await run_on(stores, "1") for _ in range(2)]
    assert await new.claim() == []
    runs += [await run_on(stores, "1") for _ in range(2)]
    claimed = [run.run_id for _ in range(4) for run in await old.claim(1)]
    assert claimed == [run.run_id for run in runs]


async def test_a_worker_claims_again_at_once_while_its_lane_has_jobs(stores: Stores) -> None:
    old, new = await worker_of(stores, "1"), await worker_of(stores, "2")
    for _ in range(3):
        await run_on(stores, "1")
    assert await new.claim() == []
    claimed = await stores.queues[0].run_claim("w", 2, LEASE_MS, serves=old.serves, group=old.group)
    assert (len(claimed.runs), claimed.due_in_ms) == (2, 0)


async def test_a_cancelled_run_leaves_its_lane(stores: Stores) -> None:
    new = await worker_of(stores, "2")
    run = await run_on(stores, "1")
    assert await new.claim() == []
    await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
    assert await stores.phase_of(run) is Phase.CANCELLED
    assert await queues(stores) == []
    assert await stores.pipeline.send("HEXISTS", stores.keys.run(run.run_id), "lane") == 0


async def test_any_worker_ends_a_cancelled_run_that_had_started(stores: Stores) -> None:
    old, new = await worker_of(stores, "1"), await worker_of(stores, "2")
    run = await run_on(stores, "1")
    (running,) = await old.claim()
    await stores.attempt(running).release(handover(running))
    assert await new.claim() == []
    await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
    (cancelled,) = await new.claim()
    assert (cancelled.run_id, cancelled.pinned_version) == (run.run_id, None)
    assert (await stores.thread_of(run)).version == "1"


async def test_a_deleted_thread_leaves_no_job_in_a_lane(stores: Stores) -> None:
    new = await worker_of(stores, "2")
    run = await run_on(stores, "1")
    assert await new.claim() == []
    await stores.threads.delete(run.thread_id)
    assert await queues(stores) == []


async def test_suspects_in_a_lane_are_claimed_as_carefully_as_others(stores: Stores) -> None:
    old, new = await worker_of(stores, "1"), await worker_of(stores, "2")
    runs = [await run_on(stores, "1") for _ in range(3)]
    assert len(await old.claim()) == 3
    assert len(await stores.reap(old.name)) == 3
    assert await new.claim() == []
    again = await worker_of(stores, "1")
    slots = SuspectSlots({}, others=1, alone=False)
    claimed = await stores.queues[0].run_claim("w", 9, LEASE_MS, slots, serves=again.serves, group=again.group)
    assert len(claimed.runs) == 1
    assert claimed.due_in_ms == pytest.approx(100, abs=1), "it claims again when a suspect may be claimed"
    assert {(await stores.reload(run)).crashes for run in runs} == {1}


async def test_the_doctor_finds_a_lane_that_workers_do_not_read(stores: Stores) -> None:
    new, health = await worker_of(stores, "2"), HealthScripts(stores.pipeline, stores.shards)
    run = await run_on(stores, "1")
    assert await new.claim() == []
    arguments: dict[str, Any] = {"container": "", "parked": False, "repair": True, "lease_ms": LEASE_MS}
    assert await health.doctor(stores.shards.home, "thread", [run.thread_id], **arguments) == []
    await stores.pipeline.send("DEL", stores.shards.home.version_lanes)
    assert await health.doctor(stores.shards.home, "thread", [run.thread_id], **arguments) == [
        ("queued_without_job", run.run_id)
    ]
    old = await worker_of(stores, "1")
    assert [claimed.run_id for claimed in await old.claim()] == [run.run_id]


async def test_the_doctor_removes_the_job_of_a_run_that_is_over_from_its_lane(stores: Stores) -> None:
    new, health = await worker_of(stores, "2"), HealthScripts(stores.pipeline, stores.shards)
    run = await run_on(stores, "1")
    assert await new.claim() == []
    await stores.pipeline.send("HSET", stores.keys.run(run.run_id), "phase", "completed")
    pages = [page async for page in HealthReads(stores.pipeline, stores.shards).pages_in_progress()]
    (page,) = [page for page in pages if page.kind == "job" and page.ids]
    arguments: dict[str, Any] = {"container": page.container, "parked": False, "repair": True, "lease_ms": LEASE_MS}
    assert await health.doctor(stores.shards.home, "job", page.ids, **arguments) == [
        ("job_without_run", f"{run.run_id}:1")
    ]
    assert await VersionScripts(stores.pipeline, stores.shards).refresh_lanes() == []
    assert await stores.pipeline.send("EXISTS", stores.shards.home.version_lanes) == 0


async def test_the_workload_counts_what_waits_in_lanes(stores: Stores) -> None:
    new = await worker_of(stores, "2")
    for version in ("1", "1", "3"):
        await run_on(stores, version)
    assert await new.claim() == []
    workload = await HealthScripts(stores.pipeline, stores.shards).workload(LEASE_MS)
    assert workload.due == 3
    assert {(lane.graph_id, lane.version, lane.jobs, lane.is_served) for lane in workload.lanes} == {
        (GRAPH, "1", 2, False),
        (GRAPH, "3", 1, False),
    }


async def test_what_needs_a_version_is_counted_by_phase_until_nothing_does(stores: Stores) -> None:
    old = await worker_of(stores, "1", schema=OLD)
    reads = NeedsReads(stores.pipeline, stores.shards)
    threads = [await pinned_thread(stores, old) for _ in range(4)]
    assert (await reads.needs(GRAPH, "1", pinned=False)).total == 0
    queued, waiting, running, paused = [await stores.create_run(thread_id) for thread_id in threads]
    await stores.scripts.run_pause(queued.run_id, OperatorPause("ann", "2026-01-01", None))
    assert len(await old.claim()) == 3
    await stores.settle(await stores.reload(waiting), Phase.WAITING_FOR_APPROVAL)
    await stores.attempt(await stores.reload(paused)).release(handover(paused))
    needs = await reads.needs(GRAPH, "1", pinned=False)
    assert (needs.queued, needs.running, needs.paused, needs.waiting, needs.threads) == (1, 1, 1, 1, 0)
    assert (await reads.needs(GRAPH, "2", pinned=True)).total == 0
    assert (await reads.needs(GRAPH, "1", pinned=True)).threads == 4
    assert running.thread_id in threads


async def test_versions_are_numbered_as_they_were_registered_and_keep_their_numbers(stores: Stores) -> None:
    versions = VersionScripts(stores.pipeline, stores.shards)
    for names in (("2", "1"), ("2", "1"), ("1", "3")):
        await worker_of(stores, *names)
    known = await versions.read()
    assert [version.name for version in known.of_graph(GRAPH)] == ["2", "1", "3"]
    assert len(known.workers_of(GRAPH, "1")) == 2


async def test_an_undeclared_version_that_is_deployed_again_becomes_the_newest(stores: Stores) -> None:
    versions = VersionScripts(stores.pipeline, stores.shards)
    old = await worker_of(stores, "a", schema=OLD, declared=False, at_resume=True)
    new = await worker_of(stores, "b", schema=NEW, declared=False, at_resume=True)
    thread_id = await pinned_thread(stores, new)
    await worker_of(stores, "a", schema=OLD, declared=False, at_resume=True)
    assert (await versions.read()).of_graph(GRAPH)[-1].name == "b", "while workers of the newer version live"
    await stores.create_run(thread_id)
    assert await old.claim() == []
    await new.leave()
    await worker_of(stores, "a", schema=OLD, declared=False, at_resume=True)
    assert (await versions.read()).of_graph(GRAPH)[-1].name == "a"
    (run,) = await old.claim()
    assert (run.version, run.pinned_version) == ("a", "b")


@pytest.mark.parametrize(
    ("moves", "is_open", "expected"),
    [
        ("at-next-run", False, "2"),
        ("at-next-run", True, "1"),
        ("at-resume", True, "2"),
        ("pinned", False, "1"),
    ],
)
async def test_a_new_run_gets_the_current_version_as_the_rule_of_its_graph_says(
    stores: Stores, moves: Any, is_open: bool, expected: str
) -> None:
    both = await worker_of(stores, "1", "2", default="1", schema={"1": OLD, "2": NEW})
    thread_id = await pinned_thread(stores, both)
    if is_open:
        await stores.create_run(thread_id)
    choice = VersionChoice(new="2", current="2", moves=moves)
    assert (await stores.create_run(thread_id, version=choice)).version == expected
    assert (await stores.create_run(version=choice)).version == "2", "a thread without a version"


async def test_a_run_follows_the_unfinished_run_before_it(stores: Stores) -> None:
    both = await worker_of(stores, "1", "2", default="1", schema={"1": OLD, "2": NEW})
    thread_id = await pinned_thread(stores, both)
    choice = VersionChoice(new="2", current="2")
    first = await stores.create_run(thread_id, version=choice)
    second = await stores.create_run(thread_id, version=choice)
    assert (first.version, second.version) == ("2", "2")


async def test_a_current_version_that_is_older_is_chosen_only_if_a_rollout_names_it(stores: Stores) -> None:
    both = await worker_of(stores, "1", "2", schema={"1": OLD, "2": NEW})
    thread_id = await pinned_thread(stores, both)
    assert (await stores.create_run(thread_id, version=VersionChoice(current="1", moves="at-resume"))).version == "2"
    rolled_back = VersionChoice(current="1", moves="at-resume", rolled_out=True)
    assert (await stores.create_run(thread_id, version=rolled_back)).version == "1"


async def test_an_inline_run_waits_for_a_worker_if_its_process_does_not_serve_its_version(stores: Stores) -> None:
    old, new = await worker_of(stores, "1", schema=OLD), await worker_of(stores, "2", schema=NEW)
    thread_id = await pinned_thread(stores, new)
    creator = RunCreator(
        stores.pipeline,
        stores.shards,
        stores.scripts,
        stores.trash,
        admission=Admission(stores.pipeline, stores.queues, 0.85),
        event_ttl_s=60,
        lease_ms=LEASE_MS,
        serves=lambda: old.serves,
    )
    inline = (
        await creator.create(new_run((await stores.create_run()).thread_id, inline=True), inline_worker="web")
    ).run
    assert inline.phase is Phase.QUEUED, "its thread is busy"
    waits = (await creator.create(new_run(thread_id, inline=True), inline_worker="web")).run
    assert waits.phase is Phase.QUEUED
    own = await stores.create_thread()
    executed = (await creator.create(new_run(own, inline=True), inline_worker="web")).run
    assert (executed.phase, executed.version, executed.build) == (Phase.RUNNING, "1", "build-1")
    assert (await stores.threads.get(own)).schema == OLD


async def test_a_copied_thread_keeps_the_version(stores: Stores) -> None:
    thread_id = await pinned_thread(stores, await worker_of(stores, "1", schema=OLD))
    copy = await stores.threads.copy(thread_id, stores.shards.id_beside(thread_id, new_id()), token="t")
    assert (copy.version, copy.schema) == ("1", OLD)


async def lane_with_runs_that_must_wait(stores: Stores, why: str) -> tuple[VersionedWorker, str]:
    """A lane with 101 runs, of which the worker may claim only the last. Returns its id."""
    before = await worker_of(stores, "1", schema=OLD, declared=False)
    threads = [await pinned_thread(stores, before) for _ in range(101)]
    await before.leave()
    runs = [await stores.create_run(thread_id, version=VersionChoice(current="1")) for thread_id in threads]
    other = await worker_of(stores, "9", declared=False)
    assert await other.claim(1000) == []
    for run in runs[:-1]:
        if why == "crash suspects":
            await stores.pipeline.send("HSET", stores.keys.run(run.run_id), "crashes", 5, "crashed_worker", "dead")
        else:  # the version has the schema of the worker, and these threads have not
            await stores.pipeline.send("HSET", stores.keys.thread(run.thread_id), "schema", NEW)
    return await worker_of(stores, "0", schema=OLD, declared=False), runs[-1].run_id


@pytest.mark.parametrize("why", ["crash suspects", "another schema"])
async def test_runs_that_must_wait_hide_no_others_in_their_lane(stores: Stores, why: str) -> None:
    worker, run_id = await lane_with_runs_that_must_wait(stores, why)
    slots = SuspectSlots(others=0, alone=False)
    claimed = await stores.queues[0].run_claim("w", 10, LEASE_MS, slots, serves=worker.serves, group=worker.group)
    assert [run_from(fields).run_id for fields in claimed.runs] == [run_id]
    (lane,) = (await HealthScripts(stores.pipeline, stores.shards).workload(LEASE_MS)).lanes
    assert lane.jobs == 100


@pytest.mark.parametrize(("fixed", "free"), [("returned", True), ("1", False)])
async def test_a_run_that_a_worker_has_returned_to_its_version_is_free_when_nobody_serves_that_any_more(
    stores: Stores, fixed: str, free: bool
) -> None:
    """The last worker of the version may exit before it claims the run. What somebody has named stays."""
    old = await worker_of(stores, "1", schema=OLD)
    new = await worker_of(stores, "2", schema=NEW, at_resume=True)
    thread_id = await pinned_thread(stores, old)
    run = await stores.create_run(thread_id, version=VersionChoice(new="2", current="2"))
    await stores.pipeline.send("HSET", stores.keys.run(run.run_id), "version", "1", "version_fixed", fixed)
    assert await new.claim() == []
    assert (await stores.reload(run)).reason == f"waits for a worker that serves {GRAPH}@1"
    await old.leave()
    await VersionScripts(stores.pipeline, stores.shards).refresh_lanes()
    assert [claimed.run_id for claimed in await new.claim()] == ([run.run_id] if free else [])
    assert (await stores.reload(run)).version_fixed is not free
