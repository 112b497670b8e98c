"""What a run waits for, on real processes: a worker that executes it, one that was killed, and none at all."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.crash.clients import Client
from tests.crash.cluster import Cluster
from tests.crash.shared_cluster import SharedCluster
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[SharedCluster]:
    async with SharedCluster(webs=1, workers=1) as shared:
        yield shared


async def why(cluster: Cluster, run_id: str) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=cluster.webs[0].url, timeout=10) as client:
        response = await client.get(f"/ops/runs/{run_id}/why")
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


async def test_a_run_says_who_executes_it_until_its_worker_is_killed_and_another_one_starts(
    cluster: Cluster, client: Client
) -> None:
    thread_id, gate, (worker,) = str(uuid.uuid4()), cluster.gate(), cluster.workers
    run_id = await client.start("steps", {"until": str(gate), "pause_s": 0.2}, thread_id)
    behind = await client.start("steps", {"upto": 1}, thread_id)
    await wait_until(lambda: cluster.effects.has_started(run_id, 2))

    executing = await why(cluster, run_id)
    assert executing["waits_for"] == "attempt"
    assert f":{worker.pid}:" in executing["detail"]["worker"]
    assert executing["detail"]["heartbeat_age_s"] < 2
    assert executing["detail"]["superstep"] >= 1

    async def names_the_node() -> bool:
        return any(
            each["name"] == "work" and each["since"] for each in (await why(cluster, run_id))["detail"]["executing"]
        )

    await wait_until(names_the_node)
    waiting = await why(cluster, behind)
    assert (waiting["waits_for"], waiting["detail"]["blocking_run"]) == ("earlier_run", run_id)

    await worker.kill()

    async def expired() -> bool:
        return bool((await why(cluster, run_id))["waits_for"] == "reclaim")

    await wait_until(expired)
    left = await why(cluster, run_id)
    assert "no live worker is left" in left["summary"]
    assert left["acts"][0]["command"] == "slipway worker"
    code, text = await cluster.command("why", run_id)
    assert code == 0, text
    assert "Its lease has expired" in text
    assert "      slipway worker" in text

    worker.start()

    async def executes_again() -> bool:
        answer = await why(cluster, run_id)
        return bool(answer["waits_for"] == "attempt" and answer["detail"]["attempt"] == 2)

    await wait_until(executes_again)
    gate.touch()

    async def ended() -> bool:
        return bool((await why(cluster, run_id))["phase"] == "completed")

    await wait_until(ended)
    code, text = await cluster.command("why", run_id, "--json")
    assert (code, json.loads(text.splitlines()[-1])["waits_for"]) == (0, "nothing")
    code, text = await cluster.command("why", str(uuid.uuid4()))
    assert code == 1
    assert "not found" in text


async def test_a_worker_logs_that_a_run_is_stranded_before_a_switch(cluster: Cluster, client: Client) -> None:
    (worker,) = cluster.workers
    async with httpx.AsyncClient(base_url=cluster.webs[0].url, timeout=10) as web:
        assert (await web.put("/ops/pause", json={"reason": "maintenance"})).status_code == 200
    run_id = await client.start("steps", {"upto": 1}, str(uuid.uuid4()))
    await wait_until(lambda: worker.count_logged("run.stranded"))
    answer = await why(cluster, run_id)
    assert (answer["waits_for"], answer["detail"]["reason"]) == ("switch", "maintenance")
    lines = [json.loads(line) for line in worker.log.read_text().splitlines() if '"run.stranded"' in line]
    (line,) = [line for line in lines if line["run"] == run_id]
    assert (line["waits_for"], line["thread"], line["graph"]) == ("switch", answer["thread_id"], "steps")
    assert re.fullmatch("[0-9a-f]{32}", line["trace"])
    code, text = await cluster.command("unpause")
    assert code == 0, text

    async def ended() -> bool:
        return bool((await why(cluster, run_id))["phase"] == "completed")

    await wait_until(ended)
