"""What operators see and do: budgets of runs, and raising the ceilings of one run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.runs.record import new_id
from slipway.settings import Settings
from tests.http.conftest import serving
from tests.metering.conftest import PROJECT
from tests.worker import running_worker


@pytest.fixture
async def client(valkey_url: str, keys: Keys, graphs: Registry) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings.from_values({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": PROJECT})
    async with (
        serving(settings, graphs) as served,
        running_worker(settings, graphs),
        httpx.AsyncClient(base_url=served.url, timeout=30) as client,
    ):
        yield client


async def wait_for(client: httpx.AsyncClient, graph_id: str, value: dict[str, Any], **body: Any) -> dict[str, Any]:
    """Executes a run on a new thread, and returns its record."""
    thread_id = new_id()
    body = {"assistant_id": graph_id, "input": value, "if_not_exists": "create"} | body
    response = await client.post(f"/threads/{thread_id}/runs/wait", json=body)
    assert response.status_code == 200, response.text
    run: dict[str, Any] = (await client.get(f"/threads/{thread_id}/runs")).json()[0]
    return run


async def test_an_operator_raises_a_ceiling_and_the_run_continues(client: httpx.AsyncClient) -> None:
    limits: Any = {"configurable": {"ceilings": {"max_tool_calls": 5, "max_steps": 9}}}
    failed = await wait_for(client, "tool_loop", {"times": 4, "rounds": 2}, config=limits)
    assert failed["error"]["code"] == "ceiling.tool_calls"
    url = f"/ops/runs/{failed['run_id']}/ceilings"
    body = {"limits": {"max_tool_calls": 50}, "resume": True, "reason": "a large order"}
    raised = (await client.post(url, json=body)).json()
    assert raised["changed"]
    run = raised["run"]
    await client.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}/join")
    run = (await client.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}")).json()
    assert run["phase"] == "completed", run["error"]
    assert (run["resumes"], run["ceilings"]["max_tool_calls"]) == (failed["run_id"], 50)
    assert run["usage"]["tool_calls"] > failed["usage"]["tool_calls"] == 5
    entries = (await client.get(f"/ops/runs/{failed['run_id']}/audit")).json()["entries"]
    assert (entries[0]["action"], entries[0]["details"]) == (
        "ceiling.raised",
        {"limits": {"max_tool_calls": 50}, "reason": "a large order"},
    )
    again = (await client.post(url, json=body)).json()
    assert (again["run"]["run_id"], again["changed"]) == (run["run_id"], False)


@pytest.mark.parametrize(
    ("own", "raised", "visits"),
    [
        ({"max_steps": 2}, {"max_steps": 9}, 9),
        ({"max_steps": 2}, {"max_steps": 9, "max_node_visits": 2}, 2),
        ({"max_steps": 2, "max_node_visits": 1}, {"max_steps": 9}, 1),
    ],
)
async def test_node_visits_are_raised_with_the_supersteps_to_which_they_are_equal(
    client: httpx.AsyncClient, own: dict[str, float], raised: dict[str, float], visits: int
) -> None:
    ceilings: Any = {"configurable": {"ceilings": own}}
    failed = await wait_for(client, "tool_loop", {"times": 0, "rounds": 4}, config=ceilings)
    assert failed["error"]["code"] in ("ceiling.steps", "ceiling.node_visits")
    body = {"limits": raised, "resume": True}
    run = (await client.post(f"/ops/runs/{failed['run_id']}/ceilings", json=body)).json()["run"]
    assert (run["ceilings"]["max_steps"], run["ceilings"]["max_node_visits"]) == (9, visits)
    await client.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}/join")
    run = (await client.get(f"/threads/{run['thread_id']}/runs/{run['run_id']}")).json()
    assert run["phase"] == ("completed" if visits == 9 else "failed"), run["error"]


@pytest.mark.parametrize(
    ("limits", "field", "why"),
    [
        ({"max_tool_calls": 1}, "limits.max_tool_calls", "is below the limit of the run, 2"),
        ({"max_tokens": 100}, "limits.max_tokens", "the run has no such limit that could be raised"),
        ({"max_tool_cals": 100}, "limits.max_tool_cals", "is not a ceiling"),
        ({"max_tool_calls": -1}, "limits.max_tool_calls", "must be a number, 0 or more"),
        ({}, "limits", "names no ceiling"),
    ],
)
async def test_a_ceiling_that_cannot_be_raised_is_named(
    client: httpx.AsyncClient, limits: dict[str, float], field: str, why: str
) -> None:
    ceilings: Any = {"configurable": {"ceilings": {"max_tool_calls": 2}}}
    failed = await wait_for(client, "tool_loop", {"times": 3}, config=ceilings)
    refused = await client.post(f"/ops/runs/{failed['run_id']}/ceilings", json={"limits": limits})
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert refused.json()["detail"].startswith(f"{field}: {why}")


async def test_the_ceilings_of_a_completed_run_are_not_raised(client: httpx.AsyncClient) -> None:
    run = await wait_for(client, "answer", {})
    refused = await client.post(f"/ops/runs/{run['run_id']}/ceilings", json={"limits": {"max_steps": 1000}})
    assert (refused.status_code, refused.json()["phase"]) == (409, "completed")
    assert (await client.post(f"/ops/runs/{new_id()}/ceilings", json={"limits": {"max_steps": 1}})).status_code == 404


async def test_a_run_above_a_budget_is_refused_until_it_resets(client: httpx.AsyncClient) -> None:
    """`slipway.budgets` gives the owner "ann" two runs a day."""
    body: Any = {"assistant_id": "answer", "input": {}, "metadata": {"owner": "ann"}}
    sent = await asyncio.gather(*(client.post("/runs/wait", json=body) for _ in range(4)))
    refused = [response for response in sent if response.status_code == 429]
    assert sorted(response.status_code for response in sent) == [200, 200, 429, 429]
    error = refused[0].json()
    assert (error["code"], error["scope"], error["limit"], error["used"]) == ("ceiling.runs", "owner/day", 2, 2)
    assert 0 < int(refused[0].headers["retry-after"]) <= 86_400
    other = await client.post("/runs/wait", json=body | {"metadata": {"owner": "bob"}})
    assert other.status_code == 200
    budgets = (await client.get("/ops/budgets")).json()["budgets"]
    assert [(each["scope"], each["name"], each["used"]["runs"], each["limits"]["runs"]) for each in budgets] == [
        ("owner/day", "ann", 2, 2)
    ]
