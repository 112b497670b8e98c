"""Fields of responses whose values were measured on the reference server."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.runs import run_kwargs
from app.services import Services
from tests.http.conftest import Served
from workers.main import WorkerProcess

STEPS = {"assistant_id": "steps", "input": {"value": 1}}


async def a_thread(client: httpx.AsyncClient, **body: Any) -> str:
    return str((await client.post("/threads", json=body)).json()["thread_id"])


async def test_a_runs_config_has_its_ids_and_its_metadata(client: httpx.AsyncClient, worker: WorkerProcess) -> None:
    assistant = (
        await client.post(
            "/assistants",
            json={"graph_id": "steps", "metadata": {"of": "assistant"}, "config": {"configurable": {"tone": "dry"}}},
        )
    ).json()["assistant_id"]
    thread = await a_thread(client, metadata={"case": 7})
    body = {
        "assistant_id": assistant,
        "input": {"value": 1},
        "metadata": {"asked": True},
        "config": {"configurable": {"mine": 1}, "metadata": {"given": 1}, "recursion_limit": 50},
    }
    run = (await client.post(f"/threads/{thread}/runs", json=body)).json()
    ids = {"run_id": run["run_id"], "thread_id": thread, "graph_id": "steps", "assistant_id": assistant}
    metadata = {"of": "assistant", "case": 7, "given": 1, "asked": True, "graph_id": "steps", "assistant_id": assistant}
    config = run["kwargs"]["config"]
    assert config == {"recursion_limit": 50, "configurable": {"tone": "dry", "mine": 1} | ids, "metadata": metadata}
    assert run["metadata"] == metadata
    await client.get(f"/threads/{thread}/runs/{run['run_id']}/join")
    now = (await client.get(f"/threads/{thread}/runs/{run['run_id']}")).json()["kwargs"]["config"]
    assert now == config | {"metadata": metadata | {"run_attempt": 1}}


async def test_a_fork_shows_where_it_starts(client: httpx.AsyncClient, worker: WorkerProcess) -> None:
    thread = await a_thread(client)
    await client.post(f"/threads/{thread}/runs/wait", json=STEPS)
    place = (await client.get(f"/threads/{thread}/state")).json()["checkpoint"]["checkpoint_id"]
    run = (await client.post(f"/threads/{thread}/runs", json=STEPS | {"checkpoint_id": place})).json()
    assert run["kwargs"]["config"]["configurable"]["checkpoint_id"] == place


async def test_context_is_an_object(client: httpx.AsyncClient) -> None:
    run = (await client.post("/runs", json=STEPS)).json()
    assert run["kwargs"]["context"] == {}


@pytest.mark.parametrize(("on_completion", "temporary"), [("delete", True), ("keep", False)])
async def test_a_kept_run_is_not_temporary(client: httpx.AsyncClient, on_completion: str, temporary: bool) -> None:
    run = (await client.post("/runs", json=STEPS | {"on_completion": on_completion})).json()
    assert run["kwargs"]["temporary"] is temporary


async def test_a_threads_config_is_what_its_runs_left(client: httpx.AsyncClient) -> None:
    thread = await a_thread(client)
    assert (await client.get(f"/threads/{thread}")).json()["config"] == {}
    await client.post(f"/threads/{thread}/runs", json=STEPS | {"config": {"configurable": {"own": 1}}})
    assert (await client.get(f"/threads/{thread}")).json()["config"] == {"configurable": {}}
    config = {"tags": ["x"], "recursion_limit": 30, "configurable": {"tone": "dry"}, "metadata": {"a": 1}}
    assistant = (await client.post("/assistants", json={"graph_id": "steps", "config": config})).json()["assistant_id"]
    body = {"assistant_id": assistant, "config": {"recursion_limit": 50, "metadata": {"b": 2}}}
    await client.post(f"/threads/{thread}/runs", json=body)
    left = config | {"recursion_limit": 50, "metadata": {"a": 1, "b": 2}}
    assert (await client.get(f"/threads/{thread}")).json()["config"] == left
    (found,) = (await client.post("/threads/search", json={"ids": [thread]})).json()
    assert found["config"] == left


async def test_a_small_run_stores_what_it_was_asked_and_nothing_else(client: httpx.AsyncClient, served: Served) -> None:
    services: Services = served.services
    run = (await client.post("/runs", json=STEPS | {"on_completion": "keep"})).json()
    held = await services.wire.send("HGET", services.keys.run(run["run_id"]), "kwargs")
    assert held == b'{"input":{"value":1}}'
    kwargs = (await services.runs.find(run["run_id"])).kwargs
    assert kwargs["stream_mode"] == ["values"]
    kwargs["stream_mode"].append("updates")
    assert run_kwargs.restored({})["stream_mode"] == ["values"], "defaults are not shared"


async def test_every_field_of_a_run_can_be_selected(client: httpx.AsyncClient, worker: WorkerProcess) -> None:
    thread = await a_thread(client)
    run = (await client.post(f"/threads/{thread}/runs", json=STEPS | {"after_seconds": 3600})).json()["run_id"]
    path = f"/threads/{thread}/runs"
    await client.post(f"{path}/{run}/cancel", params={"reason": "enough"})
    shown = (await client.get(f"{path}/{run}")).json()
    assert shown["cancel_reason"] == "enough"
    for name, value in shown.items():
        assert (await client.get(path, params={"select": name})).json() == [{name: value}]
        assert (await client.get(f"{path}/{run}", params={"select": name})).json() == {name: value}


async def test_a_thread_has_no_values_before_its_first_checkpoint(
    client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread = await a_thread(client)
    answer = (await client.post(f"/threads/{thread}/runs/wait", json={"assistant_id": "steps", "input": None})).json()
    assert answer["__error__"]["error"] == "EmptyInputError"
    assert (await client.get(f"/threads/{thread}")).json()["values"] is None
