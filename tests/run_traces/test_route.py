"""GET /ops/runs/{run_id}/trace: who may read it, and what it has."""

from __future__ import annotations

import httpx

from slipway.runs.record import new_id
from slipway_workers.process import WorkerProcess
from tests.auth.conftest import Client, ann, bob, client, graphs, served, settings, worker
from tests.http.conftest import Served
from tests.waiting_reasons.test_route import as_user

__all__ = ["ann", "bob", "client", "graphs", "served", "settings", "worker"]


async def test_whoever_may_read_the_run_may_read_its_trace(
    ann: Client, client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread = (await ann.threads.create())["thread_id"]
    run = await ann.runs.create(thread, "greet", input={"text": "hi", "api_key": "hunter2"})
    await ann.runs.join(thread, run["run_id"])
    path = f"/ops/runs/{run['run_id']}/trace"

    response = await client.get(path, headers=as_user("ann"))
    assert response.status_code == 200, response.text
    trace = response.json()
    assert (trace["phase"], trace["problem"], trace["content_problem"]) == ("completed", None, None)
    (request,) = trace["spans"]
    (of_run,) = request["children"]
    assert [of_run["kind"], *(child["kind"] for child in of_run["children"])] == ["run", "queue", "attempt"]
    assert "content" not in of_run

    flat = (await client.get(path, params={"format": "spans", "content": "true"}, headers=as_user("ann"))).json()
    assert [span["depth"] for span in flat["spans"]][:3] == [0, 1, 2]
    assert all(0 <= span["offset"] <= 1 and span["offset"] + span["extent"] <= 1.0001 for span in flat["spans"])
    contents = {span["kind"]: span["content"] for span in flat["spans"] if "content" in span}
    assert contents["run"]["input"] == {"text": "hi", "api_key": "[redacted]"}

    hidden = await client.get(path, headers=as_user("bob"))
    unknown = await client.get(f"/ops/runs/{new_id()}/trace", headers=as_user("bob"))
    assert hidden.status_code == unknown.status_code == 404
    await ann.threads.delete(thread)
    assert (await client.get(path, headers=as_user("ann"))).status_code == 404


async def test_with_durability_exit_the_trace_says_why_outputs_are_missing(
    ann: Client, client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread = (await ann.threads.create())["thread_id"]
    run = await ann.runs.create(thread, "greet", input={"text": "hi"}, durability="exit")
    await ann.runs.join(thread, run["run_id"])
    path, headers = f"/ops/runs/{run['run_id']}/trace", as_user("ann")
    trace = (await client.get(path, params={"content": "1"}, headers=headers)).json()
    assert "durability `exit`" in trace["content_problem"]
    assert (await client.get("/ops/runs/zzz/trace", headers=headers)).status_code == 422


async def test_a_queued_run_has_a_trace_that_has_not_ended(ann: Client, client: httpx.AsyncClient) -> None:
    run = await ann.runs.create(None, "greet", input={"text": "hi"})
    trace = (await client.get(f"/ops/runs/{run['run_id']}/trace", headers=as_user("ann"))).json()
    assert trace["ended_at"] is None
    (queue,) = trace["spans"][0]["children"][0]["children"]
    assert (queue["kind"], queue["state"]) == ("queue", "open")


async def test_a_wrong_parameter_is_rejected(ann: Client, client: httpx.AsyncClient, served: Served) -> None:
    run = await ann.runs.create(None, "greet", input={"text": "hi"})
    for params in ({"format": "xml"}, {"contents": "1"}, {"content": "perhaps"}):
        response = await client.get(f"/ops/runs/{run['run_id']}/trace", params=params, headers=as_user("ann"))
        assert response.status_code == 422, params
