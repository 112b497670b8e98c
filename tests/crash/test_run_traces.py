"""The trace of a run whose worker was killed, that another worker continued, that people approved, and that ended."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.crash.cluster import Cluster, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

PROJECT = Path(__file__).with_name("traced_project") / "langgraph.json"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk() -> AsyncIterator[Cluster]:
    async with running(webs=1, workers=2, project=PROJECT) as cluster:
        yield cluster


async def get(client: httpx.AsyncClient, path: str, **params: str) -> Any:
    response = await client.get(path, params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def phase_of(client: httpx.AsyncClient, thread: str, run: str) -> str:
    return str((await get(client, f"/threads/{thread}/runs/{run}"))["phase"])


async def killed_recovered_and_approved(desk: Cluster, client: httpx.AsyncClient) -> tuple[str, str]:
    """The run that waited for approval, and the run that answered."""
    thread, gate = str(uuid.uuid4()), desk.gate()
    body = {"assistant_id": "refund_desk", "input": {"order": 7, "until": str(gate)}, "if_not_exists": "create"}
    run = (await client.post(f"/threads/{thread}/runs", json=body)).json()["run_id"]

    async def executes_check() -> bool:
        trace = await get(client, f"/ops/runs/{run}/trace", format="spans")
        return any(span["kind"] == "node" and span["name"] == "check" for span in trace["spans"])

    await wait_until(executes_check, 20)
    worker = await desk.worker_of(run)
    assert worker is not None
    await worker.kill()
    await wait_until(lambda: _is_on_another(desk, run, worker), 20)
    gate.touch()

    async def is_waiting() -> bool:
        return await phase_of(client, thread, run) == "waiting_for_approval"

    await wait_until(is_waiting, 20)
    (review,) = (await get(client, "/ops/reviews"))["reviews"]
    decided = await client.post(f"/ops/reviews/{review['review_id']}/decide", json={"kind": "answer", "value": "yes"})
    assert decided.status_code == 200, decided.text
    answering: list[str] = []

    async def has_answered() -> bool:
        answering[:] = [str((await get(client, f"/threads/{thread}/runs/{run}")).get("resumed_by") or "")]
        return bool(answering[0]) and await phase_of(client, thread, answering[0]) == "completed"

    await wait_until(has_answered, 20)
    return run, answering[0]


async def _is_on_another(desk: Cluster, run: str, killed: Any) -> bool:
    worker = await desk.worker_of(run)
    return worker is not None and worker is not killed


async def test_one_trace_shows_both_workers_the_crash_the_approval_and_the_end(desk: Cluster) -> None:
    async with httpx.AsyncClient(base_url=desk.webs[0].url, timeout=20) as client:
        run, answering = await killed_recovered_and_approved(desk, client)
        trace = await get(client, f"/ops/runs/{run}/trace", format="spans", content="true")
        from_the_end = await get(client, f"/ops/runs/{answering}/trace", format="spans")
        tree = await get(client, f"/ops/runs/{run}/trace")

    assert trace["trace_id"] == from_the_end["trace_id"]
    assert [each["run_id"] for each in trace["runs"]] == [run, answering]
    spans = trace["spans"]
    attempts = [span for span in spans if span["kind"] == "attempt"]
    assert [span["error"] for span in attempts] == ["worker.died", None, None]
    assert len(trace["totals"]["workers"]) == 2
    assert attempts[0]["attributes"]["worker"] != attempts[1]["attributes"]["worker"]
    checks = [span for span in spans if span["name"] == "check"]
    assert [span["error"] for span in checks] == ["worker.died", None]
    (approval,) = [span for span in spans if span["kind"] == "approval"]
    assert (approval["name"], approval["state"]) == ("ask", "ok")
    assert [span["kind"] for span in spans if span["kind"] == "queue"] == ["queue"] * 3
    assert trace["ended_at"] is not None
    contents = {span["name"]: span.get("content", {}).get("output") for span in spans if span["kind"] == "node"}
    assert contents["look_up"] == {"found": "order 7: 20 €"}
    assert contents["pay"] == {"draft": "refund 20 €"}
    by_id = {span["span_id"]: span for span in spans}
    assert all(span["parent_id"] in by_id or span["kind"] == "request" for span in spans)
    assert [root["kind"] for root in tree["spans"]] == ["request"]

    code, text = await desk.command("trace", answering)
    print(text)
    assert code == 0, text
    assert "2 runs, 3 attempts, 2 workers" in text
    assert "✗ worker.died" in text
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith("{"))
    code, text = await desk.command("trace", run, "--json")
    assert (code, json.loads(text.splitlines()[-1])["trace_id"]) == (0, trace["trace_id"])
    code, text = await desk.command("trace", run, "--content")
    assert code == 0, text
    assert re.search(r'output: \{"found":"order 7: 20 €"\}', text)
    code, text = await desk.command("trace", str(uuid.uuid4()))
    assert code == 1
    assert "not found" in text
