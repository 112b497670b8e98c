"""GET /ops/runs/{run_id}/why: who may read it, and what they see."""

from __future__ import annotations

import httpx

from slipway.runs.record import new_id
from tests.auth.conftest import Client, ann, bob, client, graphs, served, settings
from tests.http.conftest import Served

__all__ = ["ann", "bob", "client", "graphs", "served", "settings"]


def as_user(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}-token"}


async def test_whoever_may_read_the_run_is_told_what_it_waits_for(
    ann: Client, client: httpx.AsyncClient, served: Served
) -> None:
    thread = (await ann.threads.create())["thread_id"]
    run = await ann.runs.create(thread, "greet", input={"text": "hi"}, after_seconds=3600)
    path = f"/ops/runs/{run['run_id']}/why"

    response = await client.get(path, headers=as_user("ann"))
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["waits_for"], answer["phase"]) == ("due_time", "queued")
    assert answer["detail"]["due_at"] > answer["read_at"]
    (cancel,) = answer["acts"]
    assert cancel["command"] == f"slipway runs cancel {run['run_id']}"
    assert (cancel["permission"], cancel["scope"]) == ("slipway:operate", "operate")

    hidden = await client.get(path, headers=as_user("bob"))
    unknown = await client.get(f"/ops/runs/{new_id()}/why", headers=as_user("bob"))
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.json()["code"] == "not_found"

    await ann.threads.delete(thread)
    assert (await client.get(path, headers=as_user("ann"))).status_code == 404


async def test_who_is_no_operator_sees_no_runs_of_others(ann: Client, bob: Client, client: httpx.AsyncClient) -> None:
    run_of_bob = await bob.runs.create(None, "greet", input={"text": "hi"})
    run_of_ann = await ann.runs.create(None, "greet", input={"text": "hi"})
    answer = (await client.get(f"/ops/runs/{run_of_ann['run_id']}/why", headers=as_user("ann"))).json()
    assert answer["waits_for"] == "live_worker"
    assert answer["detail"]["position"] == 2
    assert run_of_bob["run_id"] not in str(answer)


async def test_an_unknown_parameter_is_rejected(ann: Client, client: httpx.AsyncClient) -> None:
    run = await ann.runs.create(None, "greet", input={"text": "hi"})
    response = await client.get(f"/ops/runs/{run['run_id']}/why", params={"format": "x"}, headers=as_user("ann"))
    assert response.status_code == 422
