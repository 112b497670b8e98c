"""Counts stay exact when workers are killed and Redis is restarted: they are compared with the records."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from typing import Any

import pytest

from tests.crash.clients import Client
from tests.crash.cluster import Cluster, running
from tests.metrics.scrape import Scrape, scrape
from tests.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

RUNS = 24
KILLS = 5


async def _records(cluster: Cluster) -> list[dict[str, str]]:
    """Some fields of the records of all runs."""
    names = [name.decode() for name in await cluster.pipeline.send("KEYS", cluster.keys.run("*"))]
    length = len(cluster.keys.run(str(uuid.uuid4())))
    fields = ("phase", "attempt", "error_term")
    found = [await cluster.pipeline.send("HMGET", name, *fields) for name in names if len(name) == length]
    return [dict(zip(fields, ((each or b"").decode() for each in values), strict=True)) for values in found]


async def _scrape_when_ended(url: str, runs: int) -> Scrape:
    pages: list[Scrape] = []

    async def is_over() -> bool:
        pages[:] = [await scrape(url)]
        return pages[0].value("slipway_runs_ended_total") == runs

    await wait_until(is_over, 90)
    return pages[0]


async def test_counts_agree_with_the_records_when_workers_are_killed_and_redis_restarts() -> None:
    choose = random.Random(4)
    async with running(webs=2, workers=2) as cluster:
        urls = [web.url for web in cluster.webs]
        client = Client(*urls)
        before: dict[Any, float] = {}
        watching = asyncio.create_task(_watch(urls, before))
        for number in range(RUNS):
            graph, input_ = ("fails", {}) if number % 6 == 5 else ("steps", {"upto": 4, "pause_s": 0.2})
            await client.start(graph, input_, str(uuid.uuid4()))
        for number in range(KILLS):
            working = [worker for worker in cluster.workers if worker.alive]
            victim = choose.choice(working)
            await wait_until(lambda: _runs_execute(cluster), 20)
            await victim.kill()
            if number == KILLS // 2:
                await cluster.valkey.kill()
                await cluster.start_valkey()
            await cluster.restart(victim)
        page = await _scrape_when_ended(urls[0], RUNS)
        assert not watching.done(), watching.exception()
        watching.cancel()
        records = await _records(cluster)
        assert len(records) == RUNS
        phases = Counter(each["phase"] for each in records)
        for phase in ("completed", "failed", "cancelled"):
            assert page.value("slipway_runs_ended_total", outcome=phase) == phases[phase]
            assert page.value("slipway_runs", phase=phase) == phases[phase]
        attempts = sum(int(each["attempt"]) for each in records)
        lost = page.value("slipway_attempts_ended_total", result="lost")
        assert lost > 0, "otherwise no worker was killed while it executed a run"
        assert page.value("slipway_attempts_started_total") == attempts
        assert page.value("slipway_attempts_ended_total") == attempts
        assert page.value("slipway_run_recoveries_total") == lost
        assert page.value("slipway_attempts_ended_total", result="released") == attempts - RUNS - lost
        assert page.value("slipway_new_runs_total") == RUNS
        assert page.value("slipway_queue_depth") == 0
        assert page.value("slipway_superstep_seconds_count", graph="steps") >= 4 * phases["completed"]
        assert (await cluster.doctor())[0] == 0
        await client.close()


async def _runs_execute(cluster: Cluster) -> bool:
    return bool(await cluster.pipeline.send("ZCARD", cluster.keys.leases, repeatable=True))


async def _watch(urls: list[str], before: dict[Any, float]) -> None:
    """Scrapes both web processes in turns. No counter may fall."""
    number = 0
    while True:
        number += 1
        page = (await scrape(urls[number % 2])).counters()
        fallen = {name: (value, page.get(name)) for name, value in before.items() if page.get(name, 0) < value}
        assert fallen == {}
        before.update(page)
        await asyncio.sleep(0.1)  # as often as several scrapers
