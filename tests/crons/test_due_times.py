"""Each due time creates exactly one run, however many workers check the crons and whichever of them dies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError

from slipway.clock import iso
from slipway.crons.schedules import Schedule
from slipway.crons.search import CronQuery
from slipway.errors import NotFound
from slipway.graphs.registry import Registry
from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from slipway.runs.record import new_id
from slipway.runs.scripts import DueTime
from slipway.services import Services, open_services
from slipway.settings import Settings
from slipway.switches.record import Kind, Target
from slipway.threads.scripts import ThreadScripts
from slipway_workers.duties.retention import Retention
from slipway_workers.duties.scheduler import Scheduler
from slipway_workers.process import WorkerProcess
from tests.crons.conftest import MINUTE_MS, DueTimes
from tests.waiting import Eventually


async def create_cron(sdk: LangGraphClient, **options: Any) -> str:
    """A stateless cron that is due every minute."""
    cron = await sdk.crons.create("steps", schedule="* * * * *", input={"value": 1}, **options)
    return str(cron["cron_id"])  # type: ignore[typeddict-item]


async def unfinished_runs(services: Services) -> list[Any]:
    return [run async for run in services.unfinished_runs.list_all()]


async def test_a_due_time_creates_one_run(sdk: LangGraphClient, services: Services, due_times: DueTimes) -> None:
    cron_id = await create_cron(sdk, metadata={"who": "me"}, config={"configurable": {"a": 1}})
    scheduler = Scheduler(services)
    assert await scheduler.run_once() == 0
    due_ms = await due_times.make_due(cron_id)
    assert await scheduler.run_once() == 1
    assert await scheduler.run_once() == 0
    (run,) = await unfinished_runs(services)
    assert run.metadata["who"] == "me"
    assert run.metadata["cron_id"] == cron_id
    assert "cron_missed" not in run.metadata
    assert run.options.config["configurable"] == {"a": 1, "cron_id": cron_id}
    assert run.options.context == {"a": 1, "cron_id": cron_id}, "context and configurable mirror each other"
    assert run.options.temporary
    cron = await services.crons.get(cron_id)
    assert cron.next_ms is not None
    assert cron.next_ms > due_ms
    assert cron.last_run_id == run.run_id == cron.run_ids(due_ms, services.shards)[0]


async def test_the_metadata_of_a_cron_cannot_replace_the_due_time_of_its_run(
    sdk: LangGraphClient, services: Services, due_times: DueTimes
) -> None:
    cron_id = await create_cron(sdk, metadata={"cron_due": "never", "cron_missed": 7, "who": "me"})
    due_ms = await due_times.make_due(cron_id, minutes_ago=1)
    assert await Scheduler(services).run_once() == 1
    (run,) = await unfinished_runs(services)
    metadata = {name: run.metadata[name] for name in ("cron_due", "cron_missed", "who")}
    assert metadata == {"cron_due": iso(due_ms * 1000), "cron_missed": 1, "who": "me"}


async def test_a_disabled_cron_is_not_due(sdk: LangGraphClient, services: Services, pipeline: Pipeline) -> None:
    cron_id = await create_cron(sdk)
    await sdk.crons.update(cron_id, enabled=False)
    assert await pipeline.send("ZSCORE", services.shards.crons.crons_due, cron_id) is None
    assert (await services.crons.get(cron_id)).next_ms is None
    await sdk.crons.update(cron_id, enabled=True)
    due_ms = await pipeline.send("ZSCORE", services.shards.crons.crons_due, cron_id)
    assert due_ms is not None
    assert float(due_ms) == (await services.crons.get(cron_id)).next_ms


async def test_many_workers_create_one_run_for_each_due_time(
    sdk: LangGraphClient, settings: Settings, graphs: Registry, services: Services, due_times: DueTimes
) -> None:
    crons = [await create_cron(sdk) for _ in range(5)]
    for cron_id in crons:
        await due_times.make_due(cron_id)
    async with open_services(settings, graphs, "worker") as other:
        schedulers = [Scheduler(each) for each in (services, other) for _ in range(4)]
        created = await asyncio.gather(*(scheduler.run_once() for scheduler in schedulers))
    assert sum(created) == 5
    assert len(await unfinished_runs(services)) == 5


async def test_after_downtime_one_run_counts_the_missed_due_times(
    sdk: LangGraphClient, services: Services, due_times: DueTimes
) -> None:
    cron_id = await create_cron(sdk)
    await due_times.make_due(cron_id, minutes_ago=30)
    scheduler = Scheduler(services)
    assert await scheduler.run_once() == 1
    assert await scheduler.run_once() == 0
    (run,) = await unfinished_runs(services)
    assert run.metadata["cron_missed"] == 30
    cron = await services.crons.get(cron_id)
    assert cron.next_ms is not None
    assert cron.next_ms % MINUTE_MS == 0


async def create_run_and_die(
    services: Services, monkeypatch: pytest.MonkeyPatch, cron_id: str, due_time: DueTime, missed: int = 0
) -> None:
    """Creates the run of a due time as a worker does that dies before it advances the cron."""

    async def die(due_time: DueTime, run_id: str | None) -> bool:
        raise asyncio.CancelledError

    scheduler = Scheduler(services)
    monkeypatch.setattr(scheduler.scripts, "advance", die)
    with pytest.raises(asyncio.CancelledError):
        await scheduler.create_run(await services.crons.get(cron_id), due_time, missed)


async def due_time_of(services: Services, cron_id: str, due_ms: int, next_ms: int | None = None) -> DueTime:
    """`next_ms` is the minute after `due_ms` by default."""
    cron = await services.crons.get(cron_id)
    return DueTime(
        cron_id=cron_id,
        incarnation=cron.incarnation,
        due_ms=due_ms,
        next_ms=due_ms + MINUTE_MS if next_ms is None else next_ms,
        thread_created_us=cron.thread_created_us,
    )


async def test_a_run_that_ended_and_was_deleted_before_the_cron_advanced_is_not_created_again(
    sdk: LangGraphClient,
    services: Services,
    due_times: DueTimes,
    eventually: Eventually,
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cron_id = await create_cron(sdk)
    due_ms = await due_times.make_due(cron_id)
    await create_run_and_die(services, monkeypatch, cron_id, await due_time_of(services, cron_id, due_ms))
    claims = ServerPipeline(services.address, "test claims", patience_s=2)
    await claims.open()
    process = WorkerProcess(services, claims)
    work = asyncio.create_task(process.work())
    cron = await services.crons.get(cron_id)
    run_id, thread_id = cron.run_ids(due_ms, services.shards)

    async def is_deleted() -> bool:
        return not await pipeline.send(
            "EXISTS", services.shards.records.run(run_id), services.shards.records.thread(thread_id)
        )

    await eventually(is_deleted)
    process.request_stop()
    await work
    await claims.close()
    await pipeline.send("DEL", services.shards.records.events(run_id))
    assert await Scheduler(services).run_once() == 0
    assert await is_deleted()
    cron = await services.crons.get(cron_id)
    assert (cron.next_ms, cron.last_run_id) == (due_ms + MINUTE_MS, run_id)


async def test_a_worker_that_died_leaves_the_due_times_after_its_run_to_the_next_worker(
    sdk: LangGraphClient, services: Services, due_times: DueTimes, monkeypatch: pytest.MonkeyPatch
) -> None:
    cron_id = await create_cron(sdk)
    due_ms = await due_times.make_due(cron_id, minutes_ago=30)
    following_ms = due_ms + 11 * MINUTE_MS
    due_time = await due_time_of(services, cron_id, due_ms, following_ms)
    await create_run_and_die(services, monkeypatch, cron_id, due_time, missed=10)
    scheduler = Scheduler(services)
    assert await scheduler.run_once() == 0
    assert (await services.crons.get(cron_id)).next_ms == following_ms
    assert await scheduler.run_once() == 1
    runs = [run.metadata async for run in services.unfinished_runs.list_all()]
    missed = {run["cron_due"]: run["cron_missed"] for run in runs}
    assert missed == {iso(due_ms * 1000): 10, iso(following_ms * 1000): 19}


async def test_the_last_run_of_a_worker_that_died_ends_the_cron(
    sdk: LangGraphClient, services: Services, due_times: DueTimes, monkeypatch: pytest.MonkeyPatch
) -> None:
    cron_id = await create_cron(sdk)
    due_ms = await due_times.make_due(cron_id)
    await services.pipeline.send("HSET", services.shards.crons.cron(cron_id), "end_ms", due_ms)
    due_time = DueTime(**{**await due_time_of(services, cron_id, due_ms), "next_ms": None})
    await create_run_and_die(services, monkeypatch, cron_id, due_time)
    assert await Scheduler(services).run_once() == 0
    cron = await services.crons.get(cron_id)
    assert (cron.next_ms, cron.last_run_id) == (None, cron.run_ids(due_ms, services.shards)[0])
    assert await services.pipeline.send("ZCARD", services.shards.crons.crons_due) == 0


def now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


async def deleted(services: Services, cron_id: str) -> None:
    await services.crons.delete(cron_id)


async def deleted_with_its_assistant(services: Services, cron_id: str) -> None:
    cron = await services.crons.get(cron_id)
    await services.crons.delete_for_assistant(cron.assistant_id)


async def disabled(services: Services, cron_id: str) -> None:
    cron = await services.crons.get(cron_id)
    await services.crons.change(cron_id, cron.disabled(), now_ms(), reschedule=True)


async def rescheduled(services: Services, cron_id: str) -> None:
    cron = await services.crons.get(cron_id)
    new = replace(cron.disabled(), enabled=True, schedule=Schedule("0 0 1 1 *", None))
    await services.crons.change(cron_id, new, now_ms(), reschedule=True)


async def deleted_and_created_again(services: Services, cron_id: str) -> None:
    cron = await services.crons.get(cron_id)
    await services.crons.delete(cron_id)
    await services.crons.create(cron_id, replace(cron.disabled(), enabled=True), now_ms())


@pytest.mark.parametrize(
    "change", [deleted, deleted_with_its_assistant, disabled, rescheduled, deleted_and_created_again]
)
async def test_a_worker_that_read_a_cron_before_it_was_changed_creates_no_run_afterwards(
    sdk: LangGraphClient,
    services: Services,
    due_times: DueTimes,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Services, str], Awaitable[None]],
) -> None:
    cron_id = await create_cron(sdk)
    due_ms = await due_times.make_due(cron_id)
    late = Scheduler(services)
    read_before = await late.scripts.due(9)
    stale = await due_time_of(services, cron_id, due_ms)
    await change(services, cron_id)
    changed = [cron.public() for cron in (await services.crons.search(CronQuery(), limit=1000)).records]

    async def due(limit: int) -> tuple[int, list[Fields]]:
        return read_before

    monkeypatch.setattr(late.scripts, "due", due)
    assert await late.run_once() == 0
    assert await unfinished_runs(services) == []
    assert not await late.scripts.skip(stale, problem="of an earlier due time")
    assert not await late.scripts.postpone(stale, problem="of an earlier due time", by_ms=MINUTE_MS)
    assert [cron.public() for cron in (await services.crons.search(CronQuery(), limit=1000)).records] == changed
    if changed and changed[0]["enabled"]:
        await due_times.make_due(cron_id, minutes_ago=-1)
        await services.pipeline.send("ZADD", services.shards.crons.crons_due, 0, cron_id)
        assert await Scheduler(services).run_once() == 1


async def test_a_change_that_keeps_the_due_time_keeps_its_run(
    sdk: LangGraphClient, services: Services, due_times: DueTimes
) -> None:
    cron_id = await create_cron(sdk)
    due_ms = await due_times.make_due(cron_id)
    await sdk.crons.update(cron_id, metadata={"a": 1})
    cron = await services.crons.get(cron_id)
    await services.crons.change(cron_id, replace(cron.disabled(), enabled=True), due_ms - 1, reschedule=True)
    assert await Scheduler(services).run_once() == 1


async def test_a_cron_on_a_thread_queues_its_runs(
    sdk: LangGraphClient, services: Services, due_times: DueTimes
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    cron = await sdk.crons.create_for_thread(thread, "steps", schedule="* * * * *", input={"value": 1})
    for minutes_ago in (2, 0):
        await due_times.make_due(cron["cron_id"], minutes_ago)  # type: ignore[typeddict-item]
        assert await Scheduler(services).run_once() == 1
    runs = await sdk.runs.list(thread)
    assert len(runs) == 2
    assert not runs[0]["kwargs"]["temporary"]  # type: ignore[typeddict-item]


async def test_crons_are_deleted_with_their_thread(sdk: LangGraphClient, services: Services) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    crons: list[Any] = [
        await sdk.crons.create_for_thread(thread, "steps", schedule="* * * * *", input={}, enabled=enabled)
        for enabled in (True, False, True)
    ]
    other: Any = await sdk.crons.create("steps", schedule="* * * * *", input={})
    await sdk.crons.delete(crons[0]["cron_id"])
    await sdk.threads.delete(thread)
    assert [cron["cron_id"] for cron in await sdk.crons.search()] == [other["cron_id"]]
    for cron in crons:
        with pytest.raises(NotFound):
            await services.crons.get(cron["cron_id"])


async def test_a_cron_is_deleted_with_its_expired_thread(
    sdk: LangGraphClient, services: Services, pipeline: Pipeline
) -> None:
    thread = (await sdk.threads.create(ttl=60))["thread_id"]
    await sdk.crons.create_for_thread(thread, "steps", schedule="* * * * *", input={})
    await pipeline.send("ZADD", services.shards.of_thread(thread).threads_due, 0, thread)
    assert await Retention(services).run_once() == (1, 0)
    assert await sdk.crons.search() == []


@pytest.mark.parametrize("is_created_again", [False, True], ids=["no thread", "a later thread with its id"])
async def test_a_cron_whose_thread_was_deleted_creates_no_run_and_is_deleted_when_it_is_due(
    sdk: LangGraphClient, services: Services, due_times: DueTimes, *, is_created_again: bool
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    cron: Any = await sdk.crons.create_for_thread(thread, "steps", schedule="* * * * *", input={})
    await ThreadScripts(services.pipeline, services.shards).delete(thread)  # the process dies after the first script
    if is_created_again:
        await sdk.threads.create(thread_id=thread)
    await due_times.make_due(cron["cron_id"])
    assert await Scheduler(services).run_once() == 0
    assert await sdk.crons.search() == []
    assert await unfinished_runs(services) == []
    assert await services.pipeline.send("EXISTS", services.shards.crons.crons_due, services.shards.crons.crons) == 0


async def test_the_deletion_of_a_thread_leaves_the_crons_of_a_later_thread_with_its_id(
    sdk: LangGraphClient, services: Services
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    scripts = ThreadScripts(services.pipeline, services.shards)
    deleted = await scripts.delete(thread)
    assert deleted is not None
    await services.trash.empty()
    await sdk.threads.create(thread_id=thread)
    await sdk.crons.create_for_thread(thread, "steps", schedule="* * * * *", input={})
    assert await scripts.delete_crons([(thread, deleted.incarnation)]) == 0
    assert len(await sdk.crons.search()) == 1


async def test_no_cron_is_created_on_the_temporary_thread_of_a_run(sdk: LangGraphClient) -> None:
    run = await sdk.runs.create(None, "steps", input={})
    for thread in (run["thread_id"], new_id()):
        with pytest.raises(NotFoundError):
            await sdk.crons.create_for_thread(thread, "steps", schedule="* * * * *", input={})
    assert await sdk.crons.search() == []


async def test_a_due_time_is_skipped_while_the_graph_is_switched_off(
    sdk: LangGraphClient, services: Services, due_times: DueTimes
) -> None:
    cron = await sdk.crons.create("steps", schedule="* * * * *", input={})
    await due_times.make_due(cron["cron_id"])  # type: ignore[typeddict-item]
    await services.switches.switch_off(Target(Kind.GRAPH, "steps"), by="eve", reason="audit")
    await services.switch_watch.refresh()
    assert await Scheduler(services).run_once() == 0
    public = (await services.crons.get(cron["cron_id"])).public()  # type: ignore[typeddict-item]
    assert public["problem"] == "no new runs are accepted: graph 'steps' is switched off by eve: audit"


async def test_a_due_time_is_skipped_while_the_thread_is_busy(
    sdk: LangGraphClient, services: Services, due_times: DueTimes
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    await sdk.runs.create(thread, "steps", input={})
    cron = await sdk.crons.create_for_thread(
        thread, "steps", schedule="* * * * *", input={}, multitask_strategy="reject"
    )
    await due_times.make_due(cron["cron_id"])  # type: ignore[typeddict-item]
    assert await Scheduler(services).run_once() == 0
    public = (await services.crons.get(cron["cron_id"])).public()  # type: ignore[typeddict-item]
    assert public["enabled"]
    assert "busy" in public["problem"]
    assert len(await sdk.runs.list(thread)) == 1


async def test_a_cron_is_never_due_after_its_last_due_time(
    sdk: LangGraphClient, services: Services, due_times: DueTimes
) -> None:
    cron_id = await create_cron(sdk)
    due_ms = await due_times.make_due(cron_id)
    await services.pipeline.send("HSET", services.shards.crons.cron(cron_id), "end_ms", due_ms)
    assert await Scheduler(services).run_once() == 1
    assert (await services.crons.get(cron_id)).next_run_date is None
    assert await services.pipeline.send("ZCARD", services.shards.crons.crons_due) == 0


@pytest.mark.usefixtures("worker")
async def test_a_worker_creates_and_executes_the_runs_of_a_cron(
    sdk: LangGraphClient, pipeline: Pipeline, eventually: Eventually
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    cron = await sdk.crons.create_for_thread(thread, "steps", schedule="* * * * * *", input={"value": 1})

    async def succeeded() -> bool:
        return any(run["status"] == "success" for run in await sdk.runs.list(thread))

    await eventually(succeeded)
    await sdk.crons.delete(cron["cron_id"])  # type: ignore[typeddict-item]
    due_dates = [run["metadata"]["cron_due"] for run in await sdk.runs.list(thread)]  # type: ignore[index]
    assert len(set(due_dates)) == len(due_dates)


async def test_an_unknown_time_zone_stops_only_the_crons_that_have_it(
    sdk: LangGraphClient, services: Services, pipeline: Pipeline, due_times: DueTimes
) -> None:
    unknown_zone, other = await create_cron(sdk), await create_cron(sdk)
    await pipeline.send("HSET", services.shards.crons.cron(unknown_zone), "timezone", "Atlantis/Capital")
    for cron_id in (unknown_zone, other):
        await due_times.make_due(cron_id)
    assert await Scheduler(services).run_once() == 1
    fields = fields_of(await pipeline.send("HGETALL", services.shards.crons.cron(unknown_zone)))
    assert b"Atlantis/Capital" in fields["problem"]
    assert await Scheduler(services).run_once() == 0


async def test_a_search_finds_a_disabled_cron_with_an_unknown_time_zone(
    sdk: LangGraphClient, services: Services, pipeline: Pipeline
) -> None:
    unknown_zone, other = await create_cron(sdk, enabled=False), await create_cron(sdk)
    await pipeline.send("HSET", services.shards.crons.cron(unknown_zone), "timezone", "Atlantis/Capital")
    found: list[Any] = await sdk.crons.search()
    assert {cron["cron_id"]: cron["next_run_date"] is None for cron in found} == {unknown_zone: True, other: False}
