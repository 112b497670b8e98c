"""The list of runs across threads."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from slipway.assistants.system import system_id
from slipway.graphs.registry import Registry
from slipway.settings import Settings
from tests.waiting import Eventually
from tests.worker import running_worker

DELAYED: dict[str, Any] = {"input": {"value": 1}, "after_seconds": 3600}


async def create_run(client: httpx.AsyncClient, graph: str = "steps", **body: Any) -> dict[str, Any]:
    """A run on a new thread."""
    thread = (await client.post("/threads", json={})).json()["thread_id"]
    response = await client.post(f"/threads/{thread}/runs", json={"assistant_id": graph} | body)
    assert response.status_code == 200, response.text
    run: dict[str, Any] = response.json()
    return run


async def listed(client: httpx.AsyncClient, **query: Any) -> tuple[list[dict[str, Any]], str | None]:
    response = await client.get("/ops/runs", params=query)
    assert response.status_code == 200, response.text
    page = response.json()
    return page["runs"], page["next"]


def ids(runs: list[dict[str, Any]]) -> list[str]:
    return [run["run_id"] for run in runs]


async def test_runs_of_all_threads_are_listed_newest_first(client: httpx.AsyncClient) -> None:
    created = [await create_run(client, **DELAYED) for _ in range(3)]
    runs, following = await listed(client)
    assert (runs, following) == ([run | {"owner": None} for run in reversed(created)], None)
    assert ids((await listed(client, order="oldest"))[0]) == ids(created)
    assert (await listed(client, select=["run_id", "owner"], limit=1))[0] == [
        {"run_id": created[-1]["run_id"], "owner": None}
    ]


async def test_pages_continue_at_the_cursor(client: httpx.AsyncClient) -> None:
    created = [await create_run(client, **DELAYED) for _ in range(5)]
    first, cursor = await listed(client, limit=2)
    await create_run(client, **DELAYED)
    second, cursor = await listed(client, limit=2, cursor=cursor)
    third, end = await listed(client, limit=2, cursor=cursor)
    assert ids([*first, *second, *third]) == ids(created)[::-1]
    assert end is None


async def test_a_cursor_continues_the_same_list_only(client: httpx.AsyncClient) -> None:
    conditions = {
        "phase": "queued",
        "graph_id": "steps",
        "assistant_id": "steps",
        "owner": "ann",
        "error_code": "node.failed",
        "created_after": "2026-01-31T12:00:00Z",
        "created_before": "2099-01-31T12:00:00Z",
        "order": "oldest",
    }
    for _ in range(2):
        await create_run(client, **DELAYED)
    _, cursor = await listed(client, limit=1)
    for name, value in conditions.items():
        wrong = [{"cursor": cursor, name: value}]
        if (narrower := (await listed(client, limit=1, **{name: value}))[1]) is not None:
            wrong.append({"cursor": narrower})
        for query in wrong:
            response = await client.get("/ops/runs", params=query)
            assert (response.status_code, response.json()["field"]) == (422, name)
    rest, _ = await listed(client, cursor=cursor, order="newest", owner="", limit=7, select=["run_id"])
    assert len(rest) == 1


async def test_each_condition_selects_runs(
    client: httpx.AsyncClient, settings: Settings, graphs: Registry, eventually: Eventually
) -> None:
    assistant = (await client.post("/assistants", json={"graph_id": "steps"})).json()["assistant_id"]
    queued = await create_run(client, "steps", **DELAYED)
    failed = await create_run(client, "fail", input={})
    other = await create_run(client, assistant, input={"value": 1})

    async def both_ended() -> bool:
        return len((await listed(client, phase=["completed", "failed"]))[0]) == 2

    async with running_worker(settings, graphs):
        await eventually(both_ended)
    selected = {
        "phase=queued": [queued],
        "phase=failed,completed": [other, failed],
        "graph_id=steps": [queued, other],
        "graph_id=steps&phase=completed": [other],
        f"assistant_id={assistant}": [other],
        "assistant_id=steps": [queued],
        f"assistant_id={system_id('steps')}": [queued],
        "error_code=node.failed": [failed],
        "error_code=ceiling.steps": [],
        "owner=ann": [],
        f"created_before={queued['created_at']}": [other, failed],
        f"created_after={queued['created_at']}": [queued],
        f"created_after={other['created_at']}&created_before={queued['created_at']}": [other],
    }
    found = {}
    for query in selected:
        response = await client.get(f"/ops/runs?{query}")
        found[query] = ids(response.json()["runs"])
    assert found == {query: ids(runs) for query, runs in selected.items()}
    ((run,), _) = await listed(client, phase="failed")
    assert (run["phase"], run["reason"], run["graph_id"]) == ("failed", "node.failed", "fail")
    assert run["error"]["code"] == "node.failed"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phase", "success"),
        ("created_after", "yesterday"),
        ("created_before", "2026-13-01"),
        ("order", "random"),
        ("limit", "0"),
        ("limit", "1001"),
        ("cursor", "abc"),
        ("select", "secrets"),
        ("assistant_id", "unknown"),
        ("phases", "failed"),
    ],
)
async def test_an_error_names_the_parameter(client: httpx.AsyncClient, field: str, value: str) -> None:
    response = await client.get("/ops/runs", params={field: value})
    assert (response.status_code, response.json()["field"]) == (422, field)
    assert response.json()["detail"].startswith(f"{field}: ")
