"""A web process is killed after it has stored a delivery and before it has created the run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from slipway import failpoints
from slipway.hooks.reads import HookReads
from slipway.hooks.record import DeliveryState
from tests.crash.cluster import Cluster, running
from tests.hooks.conftest import PROJECT, deliver
from tests.hooks.senders import PUSH, VARIABLES
from tests.waiting import wait_until

pytestmark = pytest.mark.processes


@asynccontextmanager
async def killed_between(workers: int = 0, **settings: Any) -> AsyncIterator[Cluster]:
    """A cluster with a web process that was killed between both, and has started again."""
    async with running(workers=workers, project=PROJECT, graphs_env=VARIABLES, **settings) as cluster:
        web = cluster.add_web()
        web.start(**{failpoints.VARIABLE: "hook_stored"})
        await web.wait_until_ready()
        async with httpx.AsyncClient(base_url=web.url, timeout=10) as client:
            with pytest.raises(httpx.TransportError):
                await deliver(client, "github", PUSH)
        await wait_until(lambda: not web.alive)
        web.start()
        await web.wait_until_ready()
        yield cluster


async def test_a_repetition_creates_the_run_of_a_delivery_whose_process_was_killed() -> None:
    async with killed_between() as cluster:
        reads = HookReads(cluster.pipeline, cluster.keys)
        (stored,) = (await reads.page("github", limit=10)).deliveries
        assert stored.state is DeliveryState.RECEIVED
        async with httpx.AsyncClient(base_url=cluster.webs[0].url, timeout=10) as client:
            answers = [await deliver(client, "github", PUSH) for _ in range(3)]
            assert {(each.status_code, each.content) for each in answers} == {(202, answers[0].content)}
            assert answers[0].json()["run_id"] == stored.run_id
            runs = (await client.get(f"/threads/{answers[0].json()['thread_id']}/runs")).json()
        assert [run["run_id"] for run in runs] == [stored.run_id]


async def test_a_worker_finishes_a_delivery_that_nobody_repeats() -> None:
    async with killed_between(workers=1, reconcile_every_s=0.2) as cluster:
        reads = HookReads(cluster.pipeline, cluster.keys)
        (stored,) = (await reads.page("github", limit=10)).deliveries
        await cluster.pipeline.send("ZADD", cluster.keys.prefix + ":hooks:unanswered", 1, stored.delivery)

        async def is_accepted() -> bool:
            (found,) = (await reads.page("github", limit=10)).deliveries
            return found.state is DeliveryState.ACCEPTED

        await wait_until(is_accepted)
        assert (await cluster.run(stored.run_id))["phase"] in ("queued", "running", "completed")
        async with httpx.AsyncClient(base_url=cluster.webs[0].url, timeout=10) as client:
            answer = await deliver(client, "github", PUSH)
            assert (answer.status_code, answer.json()["run_id"]) == (202, stored.run_id)
            assert answer.headers["slipway-repeated"] == "true"
