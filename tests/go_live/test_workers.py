"""Lines about workers, versions and stored threads, with real workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from slipway.go_live import questions_part
from slipway.go_live.line import Outcome
from slipway.graphs.registry import Registry
from slipway.redis.pipeline import Pipeline
from slipway.services import Services
from slipway.settings import Settings
from tests.go_live.conftest import GRAPH, Deployment, worst
from tests.go_live.test_lines import ASKS
from tests.http.conftest import serving
from tests.waiting import Eventually
from tests.worker import running_worker

TWO_NODES = GRAPH.replace("yes", "no").replace('"answer"', '"reply"')


@asynccontextmanager
async def deployed(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, Services]]:
    """A web process and a worker."""
    graphs = await Registry.load(settings.config, release=settings.release)
    async with (
        serving(settings, graphs) as served,
        running_worker(settings, graphs) as (_, services),
        httpx.AsyncClient(base_url=served.url, timeout=20) as client,
    ):
        yield client, services


async def test_live_workers_serve_every_version(deployment: Deployment, eventually: Eventually) -> None:
    config = deployment.project()
    settings = deployment.settings(config)
    lines = (await deployment.check(config, "workers")).lines
    assert [(line.code, line.outcome) for line in lines] == [
        ("workers.alive", Outcome.FAIL),
        ("versions.served", Outcome.FAIL),
        ("workers.mixed", Outcome.WARN),
    ]
    async with deployed(settings), deployed(settings):

        async def all_pass() -> bool:
            return {line.outcome for line in (await deployment.check(config, "workers")).lines} == {Outcome.PASS}

        await eventually(all_pass)
        other = deployment.project(TWO_NODES)
        line = worst((await deployment.check(other, "workers")).lines, "versions.served")
        assert (line.outcome, line.subject.startswith("desk@"), line.fix) == (Outcome.FAIL, True, "slipway worker")


async def test_one_worker_is_a_warning(deployment: Deployment) -> None:
    config = deployment.project()
    async with deployed(deployment.settings(config)):
        assert worst((await deployment.check(config, "workers")).lines, "workers.alive").outcome is Outcome.WARN


async def test_workers_of_two_releases_are_a_warning(deployment: Deployment, eventually: Eventually) -> None:
    config, other = deployment.project(), deployment.project(TWO_NODES)
    first, second = deployment.settings(config, release="r1"), deployment.settings(other, release="r2")
    async with deployed(first):
        line = worst((await deployment.check(config, "workers", release="r1")).lines, "workers.mixed")
        assert (line.outcome, "release r1" in line.found) == (Outcome.PASS, True), line
        async with deployed(second):

            async def is_mixed() -> bool:
                found = worst((await deployment.check(config, "workers", release="r1")).lines, "workers.mixed")
                return "different release: r1, r2" in found.found and found.outcome is Outcome.WARN

            await eventually(is_mixed)


async def test_runs_that_store_nothing_are_a_warning(deployment: Deployment) -> None:
    config = deployment.project()

    async def line() -> tuple[Outcome, str]:
        found = worst((await deployment.check(config, "questions")).lines, "durability.runs")
        return found.outcome, found.subject

    assert await line() == (Outcome.WARN, ""), "without runs nobody knows"
    async with deployed(deployment.settings(config)) as (client, _):
        for durability, expected in (("async", (Outcome.PASS, "")), ("exit", (Outcome.WARN, "desk"))):
            body = {"assistant_id": "desk", "input": {"text": ""}, "durability": durability}
            assert (await client.post("/runs/wait", json=body | {"on_completion": "keep"})).status_code == 200
            assert await line() == expected


async def test_an_overdue_review_is_a_warning(
    deployment: Deployment, pipeline: Pipeline, eventually: Eventually
) -> None:
    policy = {"due_s": 3600, "default": "ignore"}
    config = deployment.project(ASKS, slipway={"reviews": {"desk": policy}})

    async def line() -> tuple[Outcome, str]:
        found = worst((await deployment.check(config, "questions")).lines, "reviews.overdue")
        return found.outcome, found.found

    async with deployed(deployment.settings(config)) as (client, _):
        thread_id = (await client.post("/threads", json={})).json()["thread_id"]
        body = {"assistant_id": "desk", "input": {"text": ""}}
        assert "__interrupt__" in (await client.post(f"/threads/{thread_id}/runs/wait", json=body)).json()
        assert await line() == (Outcome.PASS, "1 review undecided, none after its due time")
    key = deployment.keys.reviews_of_graph("desk")  # as if its due time had come, and no worker had noticed
    (review_id,) = await pipeline.send("ZRANGE", key, 0, -1)
    await pipeline.send("ZADD", key, 1, review_id)
    outcome, found = await line()
    assert (outcome, "1 of desk" in found) == (Outcome.WARN, True), found


async def test_threads_that_could_not_continue_fail(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    config = deployment.project(ASKS)
    async with deployed(deployment.settings(config)) as (client, _):
        for _ in range(3):
            thread_id = (await client.post("/threads", json={})).json()["thread_id"]
            body = {"assistant_id": "desk", "input": {"text": ""}}
            assert "__interrupt__" in (await client.post(f"/threads/{thread_id}/runs/wait", json=body)).json()
    assert worst((await deployment.check(config, "questions")).lines, "threads.resume").outcome is Outcome.PASS
    renamed = deployment.project(ASKS.replace('"ask"', '"inquire"'))
    line = worst((await deployment.check(renamed, "questions")).lines, "threads.resume")
    assert (line.outcome, line.fix) == (Outcome.FAIL, "slipway check-deploy")
    assert line.found.startswith("3 stored threads could not continue"), line
    monkeypatch.setattr(questions_part, "THREADS_WITHIN_S", -1.0)
    line = worst((await deployment.check(config, "questions")).lines, "threads.resume")
    assert line.outcome is Outcome.PASS, "a page has all of them"


async def test_two_releases_of_one_version_are_a_warning(deployment: Deployment, eventually: Eventually) -> None:
    """langgraph.json names the version, of which only the last registered build is stored."""
    config = deployment.project(slipway={"graphs": {"desk": {"version": "1"}}})
    first, second = (deployment.settings(config, release=name) for name in ("r1", "r2"))
    async with deployed(first), deployed(second):

        async def is_mixed() -> bool:
            found = worst((await deployment.check(config, "workers", release="r2")).lines, "workers.mixed")
            return "different release: r1, r2" in found.found and found.outcome is Outcome.WARN

        await eventually(is_mixed)


async def test_values_that_are_older_than_the_key_are_a_warning(deployment: Deployment) -> None:
    key, config = "A" * 43 + "=", deployment.project()
    async with deployed(deployment.settings(config)) as (client, _):
        body = {"assistant_id": "desk", "input": {"text": "a"}, "on_completion": "keep"}
        assert (await client.post("/runs/wait", json=body)).status_code == 200
    line = worst((await deployment.check(config, "access", encryption_key=key)).lines, "encryption.at_rest")
    assert (line.outcome, "are not encrypted" in line.found) == (Outcome.WARN, True), line
    assert line.fix == "slipway encryption rotate"


async def test_encrypted_values_pass(deployment: Deployment) -> None:
    key, config = "A" * 43 + "=", deployment.project()
    async with deployed(deployment.settings(config, encryption_key=key)) as (client, _):
        body = {"assistant_id": "desk", "input": {"text": "a"}, "on_completion": "keep"}
        assert (await client.post("/runs/wait", json=body)).status_code == 200

    async def line() -> tuple[Outcome, str]:
        found = worst((await deployment.check(config, "access", encryption_key=key)).lines, "encryption.at_rest")
        return found.outcome, found.found

    outcome, found = await line()
    assert (outcome, "with the first key" in found) == (Outcome.PASS, True), found
