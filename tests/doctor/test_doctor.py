"""Each kind of problem: a test creates it, the doctor finds it, changes nothing without `repair`, and repairs it with
`repair`."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import ormsgpack
import pytest
from structlog.testing import capture_logs

from slipway.assistants.record import AssistantChanges
from slipway.assistants.store import AssistantStore
from slipway.clock import Clock
from slipway.crons.reads import CronReads
from slipway.crons.record import NewCron
from slipway.crons.schedules import Schedule
from slipway.crons.store import CronStore
from slipway.graphs.review_policy import ReviewPolicies, ReviewPolicy
from slipway.health.doctor import PROBLEMS, Doctor
from slipway.health.scripts import HealthScripts
from slipway.processes.child_commands import slipway
from slipway.redis.layout import LayoutRecord
from slipway.reviews.actor import Actor
from slipway.reviews.opening import opened_reviews
from slipway.reviews.record import Review, review_id_of
from slipway.reviews.resuming import ResumedByDuty
from slipway.reviews.store import ReviewStore
from slipway.run_options import RunOptions
from slipway.runs.audit import AuditTrail
from slipway.runs.operator_pause import OperatorPause
from slipway.runs.record import Phase, Run, new_id
from slipway.runs.run_request import RunRequest
from slipway.runs.script_results import Settled
from slipway.runs.settlement import AskedQuestion
from slipway.serialization.encryption import Encryption
from slipway.serialization.places import THREAD
from slipway.store.store import RedisStore
from tests.encrypted_process import KEY
from tests.environment import bare_environment
from tests.metrics.stored_figures import add_up_counts
from tests.runs.conftest import LEASE_MS, Stores, handover, settlement
from tests.shards import shards_of

CreateProblem = Callable[[Stores], Awaitable[str]]
"""Creates one problem. Returns the id of the record that the doctor must name."""


def doctor(stores: Stores, *, repair: bool) -> Doctor:
    return Doctor(stores.pipeline, stores.shards, lease_ms=LEASE_MS, repair=repair)


async def queued_run(stores: Stores) -> Run:
    return await stores.create_run()


async def running_run(stores: Stores) -> Run:
    await queued_run(stores)
    return await stores.claim_one()


async def waiting_run(stores: Stores) -> Run:
    run = await running_run(stores)
    await stores.settle(run, Phase.WAITING_FOR_APPROVAL)
    return run


async def ended_run(stores: Stores) -> Run:
    run = await running_run(stores)
    await stores.settle(run)
    return run


async def queued_without_job(stores: Stores) -> str:
    run = await queued_run(stores)
    await stores.pipeline.send("DEL", stores.keys.queue)
    return run.run_id


async def queued_without_place(stores: Stores) -> str:
    run = await queued_run(stores)
    await stores.pipeline.send("DEL", stores.keys.queue, stores.keys.thread_queue(run.thread_id))
    await stores.pipeline.send("HSET", stores.keys.thread(run.thread_id), "status", "idle")
    return run.run_id


async def paused_by_nothing(stores: Stores) -> str:
    run = await queued_run(stores)
    await stores.scripts.run_pause(run.run_id, OperatorPause("eve", "today"))
    await stores.pipeline.send("HDEL", stores.keys.run(run.run_id), "operator_pause")
    return run.run_id


async def job_without_run(stores: Stores) -> str:
    job = f"{new_id()}:1"
    await stores.pipeline.send("ZADD", stores.keys.queue, 0, job)
    return job


async def job_of_an_earlier_attempt(stores: Stores) -> str:
    run = await running_run(stores)
    job = f"{run.run_id}:1"
    await stores.pipeline.send("ZADD", stores.keys.later_queue, 2e12, job)
    return job


async def parked_though_there_is_room(stores: Stores) -> str:
    run = await stores.create_run(groups=[("graph:steps", 1)])
    job = f"{run.run_id}:1"
    await stores.pipeline.send("DEL", stores.keys.queue)
    await stores.pipeline.send("ZADD", stores.keys.parked_queue("graph:steps"), 1, job)
    return job


async def place_of_run_that_is_over(stores: Stores) -> str:
    run = await ended_run(stores)
    await stores.pipeline.send("SADD", stores.keys.group_runs("graph:steps"), run.run_id)
    return run.run_id


async def busy_without_run(stores: Stores) -> str:
    thread_id = await stores.create_thread()
    await stores.pipeline.send("HSET", stores.keys.thread(thread_id), "status", "busy")
    return thread_id


async def active_run_is_over(stores: Stores) -> str:
    run = await ended_run(stores)
    await stores.pipeline.send("HSET", stores.keys.thread(run.thread_id), "active_run_id", run.run_id, "status", "busy")
    return run.thread_id


async def waiting_run_is_not_queued(stores: Stores) -> str:
    run = await ended_run(stores)
    await stores.pipeline.send("ZADD", stores.keys.thread_queue(run.thread_id), 1, run.run_id)
    return run.run_id


async def running_without_lease(stores: Stores) -> str:
    run = await running_run(stores)
    await stores.pipeline.send("DEL", stores.keys.leases)
    return run.run_id


async def lease_of_run_that_is_over(stores: Stores) -> str:
    run = await ended_run(stores)
    await stores.pipeline.send("ZADD", stores.keys.leases, 2e12, run.run_id)
    return run.run_id


async def waiting_run_not_named(stores: Stores) -> str:
    run = await waiting_run(stores)
    await stores.pipeline.send("HDEL", stores.keys.thread(run.thread_id), "waiting_run_id")
    return run.run_id


async def waiting_run_not_shown(stores: Stores) -> str:
    run = await waiting_run(stores)
    await stores.pipeline.send("HSET", stores.keys.thread(run.thread_id), "status", "idle", "interrupts", '{"a":[]}')
    return run.run_id


async def waiting_run_without_interrupts(stores: Stores) -> str:
    run = await waiting_run(stores)
    await stores.pipeline.send("HSET", stores.keys.thread(run.thread_id), "status", "idle", "interrupts", "{}")
    return run.run_id


async def waiting_run_not_shown_encrypted(stores: Stores) -> str:
    return await waiting_run_with_encrypted(stores, b'{"":[]}')


async def waiting_run_without_interrupts_encrypted(stores: Stores) -> str:
    return await waiting_run_with_encrypted(stores, b"{}")


async def waiting_run_with_encrypted(stores: Stores, interrupts: bytes) -> str:
    """A waiting run on a thread that is idle, and has these interrupts."""
    run, stored = await waiting_run(stores), Encryption([KEY]).encrypt(interrupts, THREAD)
    await stores.pipeline.send("HSET", stores.keys.thread(run.thread_id), "status", "idle", "interrupts", stored)
    return run.run_id


async def waits_for_run_that_is_over(stores: Stores) -> str:
    run = await ended_run(stores)
    await stores.pipeline.send("HSET", stores.keys.thread(run.thread_id), "waiting_run_id", run.run_id)
    return run.thread_id


async def suspect_without_job(stores: Stores) -> str:
    run = await running_run(stores)
    await stores.reap()
    await stores.pipeline.send("DEL", stores.keys.suspect_queue)
    return run.run_id


async def job_of_a_missing_suspect(stores: Stores) -> str:
    job = f"{new_id()}:2"
    await stores.pipeline.send("ZADD", stores.keys.suspect_queue, 0, job)
    return job


async def create_cron(stores: Stores, thread_id: str) -> str:
    """A disabled cron on the thread."""
    new = NewCron(
        assistant_id="steps",
        thread_id=thread_id,
        schedule=Schedule("* * * * *", None),
        enabled=False,
        on_run_completed=None,
        payload={},
        metadata={},
        request=RunRequest(assistant_id="steps", options=RunOptions()),
    )
    return (await CronStore(stores.pipeline, stores.shards, Clock()).create(new_id(), new, 0)).cron_id


async def cron_without_thread(stores: Stores) -> str:
    thread_id = await stores.create_thread()
    cron_id = await create_cron(stores, thread_id)
    deleted = await stores.thread_scripts.delete(thread_id)
    assert deleted is not None
    await stores.trash.remove(thread_id, deleted.deleted_us)
    return cron_id


async def cron_of_an_earlier_thread(stores: Stores) -> str:
    cron_id = await cron_without_thread(stores)
    (cron,) = await CronReads(stores.pipeline, stores.shards.crons).threads([cron_id])
    await stores.threads.create_or_get(cron.thread_id, {})
    await create_cron(stores, cron.thread_id)
    return cron_id


async def run_not_indexed(stores: Stores) -> str:
    run = await ended_run(stores)
    await stores.pipeline.send("ZREM", stores.keys.runs_with("completed"), run.run_id)
    return run.run_id


async def run_of_an_earlier_release(stores: Stores) -> str:
    run = await queued_run(stores)
    await stores.pipeline.send("HDEL", stores.keys.run(run.run_id), "terms")
    await stores.pipeline.send("DEL", *await stores.pipeline.send("KEYS", f"{stores.keys.prefix}:runs:with:*"))
    return run.run_id


async def run_indexed_wrongly(stores: Stores) -> str:
    run = await ended_run(stores)
    await stores.pipeline.send("ZADD", stores.keys.runs_with("failed"), run.incarnation, run.run_id)
    return run.run_id


async def namespace_not_indexed(stores: Stores) -> str:
    store = RedisStore(stores.pipeline, stores.keys, max_item_bytes=1000)
    for key in ("first", "second"):
        await store.aput(("users", "ann"), key, {})
    await stores.pipeline.send("DEL", stores.keys.store_changed)
    return "users.ann"


async def namespace_indexed_too_early(stores: Stores) -> str:
    namespace = await namespace_not_indexed(stores)
    await stores.pipeline.send("ZADD", stores.keys.store_changed, 1, f"{namespace}.")
    return namespace


async def create_assistant(stores: Stores) -> str:
    changes = AssistantChanges(graph_id="steps", name="x", metadata={"team": "a"})
    store = AssistantStore(stores.pipeline, stores.shards.assistants)
    return (await store.create(new_id(), changes, token=new_id(), exist_ok=False)).assistant_id


async def assistant_not_indexed(stores: Stores) -> str:
    assistant_id = await create_assistant(stores)
    await stores.pipeline.send("ZREM", stores.keys.assistants_by("updated_at"), assistant_id)
    return assistant_id


async def assistant_of_an_earlier_release(stores: Stores) -> str:
    assistant_id = await create_assistant(stores)
    key = stores.keys.assistant(assistant_id)
    content = ormsgpack.unpackb(await stores.pipeline.send("HGET", key, "content"))
    del content["terms"]
    await stores.pipeline.send("HSET", key, "content", ormsgpack.packb(content))
    names = [name.decode() for name in await stores.pipeline.send("KEYS", f"{stores.keys.prefix}:assistants:*")]
    new_sets = [name for name in names if ":assistants:with:" in name or ":assistants:by:" in name]
    await stores.pipeline.send("DEL", *new_sets)
    return assistant_id


async def assistant_indexed_wrongly(stores: Stores) -> str:
    assistant_id = await create_assistant(stores)
    await stores.pipeline.send("ZADD", stores.keys.assistants_by("name"), 0, f"y\0{assistant_id}")
    return assistant_id


async def cron_not_indexed(stores: Stores) -> str:
    cron_id = await create_cron(stores, await stores.create_thread())
    await stores.pipeline.send("ZREM", stores.keys.crons, cron_id)
    return cron_id


async def cron_of_an_earlier_release(stores: Stores) -> str:
    cron_id = await create_cron(stores, await stores.create_thread())
    await stores.pipeline.send("HDEL", stores.keys.cron(cron_id), "terms")
    await stores.pipeline.send("DEL", *await stores.pipeline.send("KEYS", f"{stores.keys.prefix}:crons:*"))
    return cron_id


async def cron_indexed_wrongly(stores: Stores) -> str:
    cron_id = await create_cron(stores, await stores.create_thread())
    await stores.pipeline.send("ZADD", stores.keys.crons_by("assistant_id"), 0, f"other\0{cron_id}")
    return cron_id


async def paused_not_indexed(stores: Stores) -> str:
    run = await queued_run(stores)
    await stores.scripts.run_pause(run.run_id, OperatorPause("eve", "today"))
    await stores.pipeline.send("DEL", stores.keys.paused_runs)
    return run.run_id


async def paused_run_is_over(stores: Stores) -> str:
    run = await ended_run(stores)
    await stores.pipeline.send("ZADD", stores.keys.paused_runs, 1, run.run_id)
    return run.run_id


async def queued_not_counted(stores: Stores) -> str:
    run = await queued_run(stores)
    await stores.pipeline.send("DEL", stores.keys.queued_runs, stores.keys.pending_counts)
    return run.run_id


async def counted_but_not_queued(stores: Stores) -> str:
    run = await ended_run(stores)
    await stores.pipeline.send("ZADD", stores.keys.queued_runs, 0, "\x1f".join(("g", "", "normal", "1", run.run_id)))
    return run.run_id


async def open_review(stores: Stores) -> Review:
    """A review of a waiting run, which is due in an hour."""
    run = await running_run(stores)
    asked = [AskedQuestion({"id": "0" * 32, "value": "Really?"}, "steps")]
    opened = opened_reviews(run, asked, ReviewPolicies(ReviewPolicy(due_s=3600)), frozenset())
    await stores.attempt(run).settle(replace(settlement(run, Phase.WAITING_FOR_APPROVAL), reviews=opened))
    (review,) = await reviews_of(stores).of_run(run.run_id)
    return review


def reviews_of(stores: Stores) -> ReviewStore:
    audit = AuditTrail(stores.pipeline, stores.keys, stores.scripts)
    return ReviewStore(stores.pipeline, stores.shards, audit, ResumedByDuty())


async def review_not_indexed(stores: Stores) -> str:
    review = await open_review(stores)
    await stores.pipeline.send("ZREM", stores.keys.reviews_by_due, review.review_id)
    return review.review_id


async def review_without_a_timer(stores: Stores) -> str:
    review = await open_review(stores)
    await stores.pipeline.send("ZADD", stores.keys.reviews_due, 4e12, review.review_id)
    return review.review_id


async def review_indexed_wrongly(stores: Stores) -> str:
    review = await open_review(stores)
    await stores.pipeline.send("ZADD", stores.keys.reviews_of_graph("other"), 1, review.review_id)
    return review.review_id


async def review_without_run(stores: Stores) -> str:
    review, run_id = await open_review(stores), new_id()
    fields = await stores.pipeline.send("HGETALL", stores.keys.review(review.review_id))
    review_id = review_id_of(run_id, review.interrupt_id)
    await stores.pipeline.send("HSET", stores.keys.review(review_id), *fields, "run_id", run_id)
    return review_id


async def review_of_run_that_is_over(stores: Stores) -> str:
    review, keys, send = await open_review(stores), stores.keys, stores.pipeline.send
    indexes = [keys.reviews_with("open"), keys.reviews_by_due, keys.reviews_due, keys.reviews_of_graph("steps")]
    scores = [await send("ZSCORE", key, review.review_id) for key in indexes]
    await stores.create_run(review.thread_id)
    await stores.settle(await stores.claim_one())
    await send("HSET", keys.review(review.review_id), "state", "open")
    await send("ZREM", keys.reviews_with("superseded"), review.review_id)
    for key, score in zip(indexes, scores, strict=True):
        await send("ZADD", key, score, review.review_id)
    return review.review_id


async def review_not_resumed(stores: Stores) -> str:
    review = await open_review(stores)
    await reviews_of(stores).decide(review.review_id, Actor("bob"), {"kind": "answer", "value": 1})
    await stores.pipeline.send("DEL", stores.keys.reviews_ready)
    return review.review_id


PROBLEM_CASES: list[tuple[str, CreateProblem]] = [
    ("queued_without_job", queued_without_job),
    ("queued_without_place", queued_without_place),
    ("paused_by_nothing", paused_by_nothing),
    ("job_without_run", job_without_run),
    ("job_without_run", job_of_an_earlier_attempt),
    ("parked_though_there_is_room", parked_though_there_is_room),
    ("place_of_run_that_is_over", place_of_run_that_is_over),
    ("busy_without_run", busy_without_run),
    ("active_run_is_over", active_run_is_over),
    ("waiting_run_is_not_queued", waiting_run_is_not_queued),
    ("running_without_lease", running_without_lease),
    ("lease_of_run_that_is_over", lease_of_run_that_is_over),
    ("waiting_run_not_named", waiting_run_not_named),
    ("waiting_run_not_shown", waiting_run_not_shown),
    ("waiting_run_not_shown", waiting_run_without_interrupts),
    ("waiting_run_not_shown", waiting_run_not_shown_encrypted),
    ("waiting_run_not_shown", waiting_run_without_interrupts_encrypted),
    ("waits_for_run_that_is_over", waits_for_run_that_is_over),
    ("queued_without_job", suspect_without_job),
    ("job_without_run", job_of_a_missing_suspect),
    ("cron_without_thread", cron_without_thread),
    ("cron_without_thread", cron_of_an_earlier_thread),
    ("run_not_indexed", run_not_indexed),
    ("run_not_indexed", run_of_an_earlier_release),
    ("run_indexed_wrongly", run_indexed_wrongly),
    ("assistant_not_indexed", assistant_not_indexed),
    ("assistant_not_indexed", assistant_of_an_earlier_release),
    ("assistant_indexed_wrongly", assistant_indexed_wrongly),
    ("cron_not_indexed", cron_not_indexed),
    ("cron_not_indexed", cron_of_an_earlier_release),
    ("cron_indexed_wrongly", cron_indexed_wrongly),
    ("namespace_not_indexed", namespace_not_indexed),
    ("namespace_not_indexed", namespace_indexed_too_early),
    ("paused_not_indexed", paused_not_indexed),
    ("paused_run_is_over", paused_run_is_over),
    ("queued_not_counted", queued_not_counted),
    ("counted_but_not_queued", counted_but_not_queued),
    ("review_not_indexed", review_not_indexed),
    ("review_not_indexed", review_without_a_timer),
    ("review_indexed_wrongly", review_indexed_wrongly),
    ("review_without_run", review_without_run),
    ("review_of_run_that_is_over", review_of_run_that_is_over),
    ("review_not_resumed", review_not_resumed),
]


def test_every_problem_has_a_test() -> None:
    in_indexes = {"thread_indexed_wrongly", "thread_in_wrong_index"}  # tests/runs/test_thread_index_check.py
    assert {problem for problem, _ in PROBLEM_CASES} | in_indexes == set(PROBLEMS)


@pytest.mark.parametrize(("problem", "create_problem"), PROBLEM_CASES, ids=lambda part: getattr(part, "__name__", ""))
async def test_a_problem_is_found_and_repaired_once(
    stores: Stores, problem: str, create_problem: CreateProblem
) -> None:
    record_id = await create_problem(stores)
    await add_up_counts(stores.pipeline, stores.keys)  # as a check does, which changes no figure
    before = await stores.dump()
    (found,) = await doctor(stores, repair=False).check_all()
    assert (found.name, found.record_id, found.repaired) == (problem, record_id, False)
    assert await stores.dump() == before

    with capture_logs() as lines:
        (repaired,) = await doctor(stores, repair=True).check_all()
    assert (repaired.name, repaired.record_id, repaired.repaired) == (problem, record_id, True)
    assert [line["code"] for line in lines if line["event"] == "doctor.problem_found"] == [problem]
    assert (await HealthScripts(stores.pipeline, stores.shards).workload(LEASE_MS)).repairs == {problem: 1}
    assert await doctor(stores, repair=True).check_all() == []


@pytest.mark.parametrize(
    ("create_problem", "phase"),
    [
        (waiting_run_not_shown, Phase.WAITING_FOR_APPROVAL),
        (waiting_run_not_shown_encrypted, Phase.WAITING_FOR_APPROVAL),
        (waiting_run_without_interrupts, Phase.COMPLETED),
        (waiting_run_without_interrupts_encrypted, Phase.COMPLETED),
    ],
)
async def test_only_a_run_that_can_be_answered_waits_after_the_repair(
    stores: Stores, create_problem: CreateProblem, phase: Phase
) -> None:
    run_id = await create_problem(stores)
    await doctor(stores, repair=True).check_all()
    assert (await stores.runs.find(run_id)).phase is phase


@pytest.mark.parametrize(
    "create_problem", [queued_without_job, queued_without_place, paused_by_nothing, parked_though_there_is_room]
)
async def test_a_stuck_run_is_claimed_after_the_repair(stores: Stores, create_problem: CreateProblem) -> None:
    record_id = await create_problem(stores)
    assert await stores.claim() == []
    await doctor(stores, repair=True).check_all()
    run = await stores.claim_one()
    assert record_id.startswith(run.run_id)
    assert (await stores.thread_of(run)).status == "busy"


async def test_the_next_run_of_a_thread_starts_after_the_repair(stores: Stores) -> None:
    thread_id = await active_run_is_over(stores)
    run = await stores.create_run(thread_id)
    assert await stores.claim() == []
    await doctor(stores, repair=True).check_all()
    assert (await stores.claim_one()).run_id == run.run_id


async def test_a_paused_run_keeps_its_thread_busy(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.scripts.run_pause(run.run_id, OperatorPause("eve", "today"))
    await stores.create_run(run.thread_id)
    assert await doctor(stores, repair=True).check_all() == []
    assert (await stores.thread_of(run)).status == "busy"
    await stores.pipeline.send("ZREM", stores.keys.thread_queue(run.thread_id), run.run_id)
    assert await doctor(stores, repair=True).check_all() != []
    assert await stores.claim() == [], "the later run of the thread waits again"


async def test_a_busy_thread_without_a_run_gets_its_idle_status_back(stores: Stores) -> None:
    run = await waiting_run(stores)
    await stores.pipeline.send("HSET", stores.keys.thread(run.thread_id), "status", "busy")
    await doctor(stores, repair=True).check_all()
    assert (await stores.thread_of(run)).status == "interrupted"


async def test_a_repaired_lease_stays_with_a_live_worker(stores: Stores) -> None:
    run = await running_run(stores)
    await stores.pipeline.send("DEL", stores.keys.leases)
    await doctor(stores, repair=True).check_all()
    reaped = await stores.queues[0].run_reap(event_ttl_s=60, pause_ms=0)
    assert reaped.runs == [], "the repaired lease has not expired"
    lost = await stores.queues[0].renew_leases([(run.run_id, 1, run.incarnation)], lease_ms=LEASE_MS)
    assert lost == []
    assert await stores.settle(run) == Settled()


async def test_a_repaired_lease_of_a_dead_worker_is_reclaimed(stores: Stores) -> None:
    run = await running_run(stores)
    await stores.pipeline.send("DEL", stores.keys.leases)
    await doctor(stores, repair=True).check_all()
    assert await stores.reap() == [(run.run_id, 1, "queued")]
    assert (await stores.claim_one()).attempt == 2


async def test_a_repaired_group_slot_goes_to_a_parked_job(stores: Stores) -> None:
    limited = [("graph:steps", 1)]
    first = await stores.create_run(groups=limited)
    await stores.claim_one()
    second = await stores.create_run(groups=limited)
    assert await stores.claim() == []
    await stores.pipeline.send(
        "HDEL", stores.keys.run(first.run_id), "groups"
    )  # so that the run does not free its group slot
    await stores.settle(await stores.reload(first))
    assert await stores.claim() == []
    await doctor(stores, repair=True).check_all()
    assert (await stores.claim_one()).run_id == second.run_id


async def test_a_waiting_run_is_abandoned_when_its_thread_has_continued(stores: Stores) -> None:
    run = await waiting_run(stores)
    await stores.pipeline.send("HDEL", stores.keys.thread(run.thread_id), "waiting_run_id")
    await stores.create_run(run.thread_id)
    await stores.settle(await stores.claim_one())
    await doctor(stores, repair=True).check_all()
    now = await stores.reload(run)
    assert (now.phase, now.reason) == (Phase.COMPLETED, "abandoned: the thread continued without an answer")


@pytest.mark.parametrize(
    ("interrupts", "phase", "status"),
    [('{"a":[]}', Phase.WAITING_FOR_APPROVAL, "interrupted"), ("{}", Phase.COMPLETED, "idle")],
)
async def test_a_run_waits_only_while_its_thread_shows_interrupts(
    stores: Stores, interrupts: str, phase: Phase, status: str
) -> None:
    run = await waiting_run(stores)
    await stores.pipeline.send("HSET", stores.keys.thread(run.thread_id), "status", "idle", "interrupts", interrupts)
    await doctor(stores, repair=True).check_all()
    assert (await stores.phase_of(run), (await stores.thread_of(run)).status) == (phase, status)


async def test_a_state_write_without_interrupts_ends_the_wait(stores: Stores) -> None:
    run = await waiting_run(stores)
    await stores.threads.set_state(run.thread_id, status="interrupted", values={}, interrupts={})
    assert await stores.phase_of(run) is Phase.WAITING_FOR_APPROVAL
    await stores.threads.set_state(run.thread_id, status="idle", values={}, interrupts={})
    ended = await stores.reload(run)
    assert (ended.phase, ended.reason) == (Phase.COMPLETED, "abandoned: the state was changed through the API")
    assert await doctor(stores, repair=False).check_all() == []


async def test_consistent_records_are_not_changed(stores: Stores) -> None:
    await ended_run(stores)
    await waiting_run(stores)
    cancelled = await running_run(stores)
    await stores.settle(cancelled, Phase.CANCELLED)
    limited = [("graph:steps", 1)]
    for _ in range(3):
        await stores.create_run(groups=limited)
    released = (await stores.claim())[0]
    await stores.attempt(released).release(handover(released, delay_ms=60_000))
    busy = await running_with_two_queued(stores)
    await stores.create_run(after_s=60)
    await queued_run(stores)
    await add_up_counts(stores.pipeline, stores.keys)
    before = await stores.dump()
    assert await doctor(stores, repair=True).check_all() == []
    assert await stores.dump() == before
    assert (await stores.thread_of(busy)).status == "busy"


async def running_with_two_queued(stores: Stores) -> Run:
    thread_id = await stores.create_thread()
    run = await stores.create_run(thread_id)
    claimed = {each.run_id: each for each in await stores.claim()}
    await stores.create_run(thread_id)
    await stores.create_run(thread_id)
    return claimed[run.run_id]


async def test_two_doctors_repair_many_runs_while_a_worker_executes_them(stores: Stores) -> None:
    """There is more than one page of problems. Each run is repaired by one doctor and executed once."""
    runs = [await queued_run(stores) for _ in range(250)]
    await stores.pipeline.send("DEL", stores.keys.queue)
    executed: list[str] = []

    async def work() -> None:
        while len(executed) < len(runs):
            for run in await stores.claim(limit=10):
                executed.append(run.run_id)
                assert await stores.settle(run) == Settled()
            await asyncio.sleep(0)

    async with asyncio.timeout(30):
        first, second, _ = await asyncio.gather(
            doctor(stores, repair=True).check_all(), doctor(stores, repair=True).check_all(), work()
        )
    assert {problem.record_id for problem in [*first, *second]} == {run.run_id for run in runs}
    assert len(first) + len(second) == len(runs), "each problem was repaired once"
    assert sorted(executed) == sorted(run.run_id for run in runs)
    assert await doctor(stores, repair=False).check_all() == []


async def test_rounds_check_every_page_of_records(stores: Stores) -> None:
    threads = {await busy_without_run(stores) for _ in range(250)}
    paging_doctor = doctor(stores, repair=True)
    found: set[str] = set()
    rounds = 0
    while found != threads:
        rounds += 1
        assert rounds < 10
        found |= {problem.record_id for problem in await paging_doctor.check_next_pages(1, 1)}
    assert rounds >= 3, "a round checks one page"


async def test_rounds_check_a_few_pages_of_jobs_however_many_are_queued(stores: Stores) -> None:
    jobs = [f"{new_id()}:1" for _ in range(1000)]
    await stores.pipeline.send("ZADD", stores.keys.queue, *(word for job in jobs for word in (0, job)))
    paging_doctor = doctor(stores, repair=True)
    sizes = [len(await paging_doctor.check_next_pages(0, 2))]
    while sum(sizes) < len(jobs):
        sizes.append(len(await paging_doctor.check_next_pages(0, 2)))
        assert len(sizes) < 50
    assert max(sizes) < len(jobs) / 2


async def test_records_under_a_longer_key_prefix_are_not_changed(stores: Stores) -> None:
    other = f"{stores.keys.prefix}x:run:{new_id()}"
    await stores.pipeline.send("HSET", other, "phase", "running")
    assert await doctor(stores, repair=True).check_all() == []
    await stores.pipeline.send("DEL", other)


async def test_the_doctor_command_reports_and_repairs(stores: Stores, valkey_url: str, tmp_path: Path) -> None:
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": {"a": "./a.py:graph"}}))

    async def run_doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = bare_environment() | {"SLIPWAY_REDIS_URL": valkey_url, "SLIPWAY_KEY_PREFIX": stores.keys.prefix}
        command = (*slipway("doctor", *arguments),)
        return await asyncio.to_thread(
            lambda: subprocess.run(
                command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30, check=False
            )
        )

    await LayoutRecord(stores.pipeline, shards_of(stores.keys)).check_or_upgrade()
    thread_id = await busy_without_run(stores)
    found = await run_doctor("--only", "state")
    assert (found.returncode, thread_id in found.stdout, "repaired" in found.stdout) == (1, True, False), found.stderr
    repaired = await run_doctor("--repair")
    assert (repaired.returncode, "repaired" in repaired.stdout) == (0, True)
    healthy = await run_doctor("--only", "state")
    assert "no run and no thread is stuck" in healthy.stdout
    assert (healthy.returncode, "no live worker" in healthy.stdout) == (1, True), "nobody would execute a run"
