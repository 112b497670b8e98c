"""Each due time makes exactly one run, whoever looks, and whatever dies in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.clock import iso
from slipway.crons.record import cron_from
from slipway.errors import NotFound
from slipway.graphs.registry import Registry
from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.creation import DueTimeTaken
from slipway.runs.scripts import DueTime
from slipway.services import Services, open_services
from slipway.settings import Settings
from slipway_workers.duties.scheduler import Scheduler
from slipway_workers.process import WorkerProcess
from tests.conftest import Eventually
from tests.crons.conftest import MINUTE_MS, Time


async def a_cron(sdk: LangGraphClient, **differs: Any) -> str:
    """Every minute, on threads of its own."""
    cron = await sdk.crons.create("steps", schedule="* * * * *", input={"value": 1}, **differs)
    return str(cron["cron_id"])  # type: ignore[typeddict-item]


async def runs_waiting(services: Services) -> list[Any]:
    """All that were made."""
    return [run async for run in services.active_runs.list_all()]


async def test_a_due_time_makes_one_run(sdk: LangGraphClient, services: Services, time: Time) -> None:
    cron_id = await a_cron(sdk, metadata={"who": "me"}, config={"configurable": {"a": 1}})
    scheduler = Scheduler(services)
    assert await scheduler.run_once() == 0
    due_ms = await time.due(cron_id)
    assert await scheduler.run_once() == 1
    assert await scheduler.run_once() == 0
    (run,) = await runs_waiting(services)
    assert run.metadata["who"] == "me"
    assert run.metadata["cron_id"] == cron_id
    assert "cron_missed" not in run.metadata
    assert run.options.config["configurable"] == {"a": 1, "cron_id": cron_id}
    assert run.options.context == {"a": 1, "cron_id": cron_id}, "they mirror each other"
    assert run.options.temporary
    cron = await services.crons.get(cron_id)
    assert cron.next_ms is not None
    assert cron.next_ms > due_ms
    assert cron.last_run_id == run.run_id == cron.run_ids(due_ms)[0]


async def test_what_a_run_says_of_its_due_time_is_the_servers_word(
    sdk: LangGraphClient, services: Services, time: Time
) -> None:
    cron_id = await a_cron(sdk, metadata={"cron_due": "never", "cron_missed": 7, "who": "me"})
    due_ms = await time.due(cron_id, minutes_ago=1)
    assert await Scheduler(services).run_once() == 1
    (run,) = await runs_waiting(services)
    said = {name: run.metadata[name] for name in ("cron_due", "cron_missed", "who")}
    assert said == {"cron_due": iso(due_ms * 1000), "cron_missed": 1, "who": "me"}


async def test_a_cron_is_due_while_it_is_enabled(
    sdk: LangGraphClient, services: Services, pipeline: Pipeline, keys: Keys
) -> None:
    cron_id = await a_cron(sdk)
    await sdk.crons.update(cron_id, enabled=False)
    assert await pipeline.send("ZSCORE", keys.crons_due, cron_id) is None
    assert (await services.crons.get(cron_id)).next_ms is None
    await sdk.crons.update(cron_id, enabled=True)
    due_ms = await pipeline.send("ZSCORE", keys.crons_due, cron_id)
    assert due_ms is not None
    assert float(due_ms) == (await services.crons.get(cron_id)).next_ms


async def test_many_workers_make_one_run(
    sdk: LangGraphClient, settings: Settings, graphs: Registry, services: Services, time: Time
) -> None:
    crons = [await a_cron(sdk) for _ in range(5)]
    for cron_id in crons:
        await time.due(cron_id)
    async with open_services(settings, graphs, "worker") as other:
        schedulers = [Scheduler(each) for each in (services, other) for _ in range(4)]
        made = await asyncio.gather(*(scheduler.run_once() for scheduler in schedulers))
    assert sum(made) == 5
    assert len(await runs_waiting(services)) == 5


async def test_after_downtime_there_is_one_run_that_says_so(
    sdk: LangGraphClient, services: Services, time: Time
) -> None:
    cron_id = await a_cron(sdk)
    await time.due(cron_id, minutes_ago=30)
    scheduler = Scheduler(services)
    assert await scheduler.run_once() == 1
    assert await scheduler.run_once() == 0
    (run,) = await runs_waiting(services)
    assert run.metadata["cron_missed"] == 30
    cron = await services.crons.get(cron_id)
    assert cron.next_ms is not None
    assert cron.next_ms % MINUTE_MS == 0


async def test_a_run_that_is_over_and_gone_is_not_made_again(
    sdk: LangGraphClient,
    services: Services,
    settings: Settings,
    graphs: Registry,
    time: Time,
    eventually: Eventually,
    pipeline: Pipeline,
    keys: Keys,
) -> None:
    """The worst moment to die: the run was made, ran and vanished with its thread before anyone took note."""
    cron_id = await a_cron(sdk)
    due_ms = await time.due(cron_id)
    before = cron_from(fields_of(await pipeline.send("HGETALL", keys.cron(cron_id))), 0)
    scheduler = Scheduler(services)
    step = DueTime(
        cron_id=cron_id,
        incarnation=before.incarnation,
        due_ms=due_ms,
        next_ms=before.schedule.after(due_ms + MINUTE_MS),
    )
    await scheduler.submit_due(before, step, 0)
    claims = Pipeline(services.address, "test claims", patience_s=2)
    await claims.open()
    process = WorkerProcess(services, claims)
    work = asyncio.create_task(process.work())
    run_id, _ = before.run_ids(due_ms)

    async def gone() -> bool:
        return not await pipeline.send("EXISTS", keys.run(run_id))

    await eventually(gone)
    with pytest.raises(DueTimeTaken):
        await scheduler.submit_due(before, step, 0)
    assert await pipeline.send("EXISTS", keys.run(run_id)) == 0
    process.request_stop()
    await work
    await claims.close()


async def test_a_cron_that_was_removed_makes_no_run_of_the_one_that_has_its_id(
    sdk: LangGraphClient,
    services: Services,
    time: Time,
    pipeline: Pipeline,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cron_id = await a_cron(sdk)
    due_ms = await time.due(cron_id)
    scheduler = Scheduler(services)
    looked = await scheduler.scripts.due(9)
    await pipeline.send("HSET", keys.cron(cron_id), "created_us", 1)  # as if it was removed and made anew

    async def due(limit: int) -> tuple[int, list[Fields]]:
        return looked

    monkeypatch.setattr(scheduler.scripts, "due", due)
    assert await scheduler.run_once() == 0
    assert await runs_waiting(services) == []
    held = fields_of(await pipeline.send("HGETALL", keys.cron(cron_id)))
    assert (held["next_ms"], held.get("problem")) == (str(due_ms).encode(), None)
    step = DueTime(cron_id=cron_id, incarnation="2", due_ms=due_ms, next_ms=None)
    assert not await scheduler.scripts.skip(step, problem="none of its own", disable=True)
    assert not await scheduler.scripts.postpone(step, problem="none of its own", by_ms=MINUTE_MS)


async def test_a_cron_on_a_thread_queues_its_runs(sdk: LangGraphClient, services: Services, time: Time) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    cron = await sdk.crons.create_for_thread(thread, "steps", schedule="* * * * *", input={"value": 1})
    for minutes_ago in (2, 0):
        await time.due(cron["cron_id"], minutes_ago)  # type: ignore[typeddict-item]
        assert await Scheduler(services).run_once() == 1
    runs = await sdk.runs.list(thread)
    assert len(runs) == 2
    assert not runs[0]["kwargs"]["temporary"]  # type: ignore[typeddict-item]


async def test_a_cron_goes_with_its_thread(sdk: LangGraphClient, services: Services) -> None:
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


async def test_a_cron_that_lost_its_thread_rests(
    sdk: LangGraphClient, services: Services, time: Time, keys: Keys
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    cron = await sdk.crons.create_for_thread(thread, "steps", schedule="* * * * *", input={})
    await services.pipeline.send("DEL", keys.thread(thread))
    await time.due(cron["cron_id"])  # type: ignore[typeddict-item]
    assert await Scheduler(services).run_once() == 0
    shown = (await services.crons.get(cron["cron_id"])).public()  # type: ignore[typeddict-item]
    assert not shown["enabled"]
    assert await services.pipeline.send("ZCARD", keys.crons_due) == 0
    assert thread in shown["problem"]


async def test_a_due_time_on_a_busy_thread_is_passed_over(sdk: LangGraphClient, services: Services, time: Time) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    await sdk.runs.create(thread, "steps", input={})
    cron = await sdk.crons.create_for_thread(
        thread, "steps", schedule="* * * * *", input={}, multitask_strategy="reject"
    )
    await time.due(cron["cron_id"])  # type: ignore[typeddict-item]
    assert await Scheduler(services).run_once() == 0
    shown = (await services.crons.get(cron["cron_id"])).public()  # type: ignore[typeddict-item]
    assert shown["enabled"]
    assert "busy" in shown["problem"]
    assert len(await sdk.runs.list(thread)) == 1


async def test_the_last_due_time_ends_it(sdk: LangGraphClient, services: Services, time: Time) -> None:
    cron_id = await a_cron(sdk)
    due_ms = await time.due(cron_id)
    await services.pipeline.send("HSET", services.keys.cron(cron_id), "end_ms", due_ms)
    assert await Scheduler(services).run_once() == 1
    assert (await services.crons.get(cron_id)).next_run_date is None
    assert await services.pipeline.send("ZCARD", services.keys.crons_due) == 0


@pytest.mark.usefixtures("worker")
async def test_a_worker_does_all_this_by_itself(
    sdk: LangGraphClient, pipeline: Pipeline, keys: Keys, eventually: Eventually
) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    cron = await sdk.crons.create_for_thread(thread, "steps", schedule="* * * * * *", input={"value": 1})

    async def succeeded() -> bool:
        return any(run["status"] == "success" for run in await sdk.runs.list(thread))

    await eventually(succeeded)
    await sdk.crons.delete(cron["cron_id"])  # type: ignore[typeddict-item]
    due = [run["metadata"]["cron_due"] for run in await sdk.runs.list(thread)]  # type: ignore[index]
    assert len(set(due)) == len(due)


async def test_a_time_zone_that_is_gone_stops_that_cron_alone(
    sdk: LangGraphClient, services: Services, pipeline: Pipeline, keys: Keys, time: Time
) -> None:
    lost, other = await a_cron(sdk), await a_cron(sdk)
    await pipeline.send("HSET", keys.cron(lost), "timezone", "Atlantis/Capital")
    for cron_id in (lost, other):
        await time.due(cron_id)
    assert await Scheduler(services).run_once() == 1
    held = fields_of(await pipeline.send("HGETALL", keys.cron(lost)))
    assert b"Atlantis/Capital" in held["problem"]
    assert await Scheduler(services).run_once() == 0


async def test_a_search_shows_a_disabled_cron_whose_time_zone_is_gone(
    sdk: LangGraphClient, pipeline: Pipeline, keys: Keys
) -> None:
    lost, other = await a_cron(sdk, enabled=False), await a_cron(sdk)
    await pipeline.send("HSET", keys.cron(lost), "timezone", "Atlantis/Capital")
    found: list[Any] = await sdk.crons.search()
    assert {cron["cron_id"]: cron["next_run_date"] is None for cron in found} == {lost: True, other: False}
