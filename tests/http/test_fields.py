"""Fields of responses have the same values as on the reference server."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from slipway.run_options import RunOptions
from slipway.runs.record import STATUS
from slipway.services import Services
from slipway_workers.process import WorkerProcess
from tests.http.conftest import Served

STEPS = {"assistant_id": "steps", "input": {"value": 1}}


async def create_thread(client: httpx.AsyncClient, **body: Any) -> str:
    return str((await client.post("/threads", json=body)).json()["thread_id"])


async def test_a_runs_config_has_its_ids_and_its_metadata(client: httpx.AsyncClient, worker: WorkerProcess) -> None:
    assistant = (
        await client.post(
            "/assistants",
            json={"graph_id": "steps", "metadata": {"of": "assistant"}, "config": {"configurable": {"tone": "dry"}}},
        )
    ).json()["assistant_id"]
    thread = await create_thread(client, metadata={"case": 7})
    body = {
        "assistant_id": assistant,
        "input": {"value": 1},
        "metadata": {"requested": True},
        "config": {"configurable": {"mine": 1}, "metadata": {"given": 1}, "recursion_limit": 50},
    }
    run = (await client.post(f"/threads/{thread}/runs", json=body)).json()
    ids = {"run_id": run["run_id"], "thread_id": thread, "graph_id": "steps", "assistant_id": assistant}
    metadata = {
        "of": "assistant",
        "case": 7,
        "given": 1,
        "requested": True,
        "graph_id": "steps",
        "assistant_id": assistant,
    }
    config = run["kwargs"]["config"]
    assert config == {"recursion_limit": 50, "configurable": {"tone": "dry", "mine": 1} | ids, "metadata": metadata}
    assert run["metadata"] == metadata
    await client.get(f"/threads/{thread}/runs/{run['run_id']}/join")
    after = (await client.get(f"/threads/{thread}/runs/{run['run_id']}")).json()["kwargs"]["config"]
    assert after == config | {"metadata": metadata | {"run_attempt": 1}}


@pytest.mark.parametrize(
    ("fields", "members"),
    [
        ({"stream_mode": "updates"}, {"stream_mode": ["updates"]}),
        ({"stream_subgraphs": True}, {"subgraphs": True}),
        ({"stream_resumable": True}, {"resumable": True}),
        ({"interrupt_before": ["two"]}, {"interrupt_before": ["two"]}),
        ({"interrupt_after": "*"}, {"interrupt_after": "*"}),
        ({"durability": "sync"}, {"durability": "sync"}),
        ({"durability": "exit"}, {"durability": "exit", "checkpoint_during": False}),
        ({"checkpoint_during": False}, {"durability": "exit", "checkpoint_during": False}),
        ({"feedback_keys": ["good"]}, {"feedback_keys": ["good"]}),
        ({"strict_resume": True}, {"strict_resume": True}),
        ({"command": {"goto": "two"}}, {"command": {"goto": "two"}}),
        ({"input": None}, {"input": None}),
    ],
)
async def test_each_field_of_a_request_changes_its_own_member_of_kwargs(
    client: httpx.AsyncClient, fields: dict[str, Any], members: dict[str, Any]
) -> None:
    thread = await create_thread(client)
    plain, run = [
        (await client.post(f"/threads/{thread}/runs", json=STEPS | body)).json()["kwargs"] for body in ({}, fields)
    ]
    assert {name: run[name] for name in run if name != "config" and run[name] != plain[name]} == members


async def test_the_ids_in_configurable_are_those_of_the_run(client: httpx.AsyncClient) -> None:
    thread = await create_thread(client)
    others = dict.fromkeys(("run_id", "thread_id", "graph_id", "assistant_id"), "another")
    body = STEPS | {"config": {"configurable": others | {"mine": 1}}}
    run = (await client.post(f"/threads/{thread}/runs", json=body)).json()
    ids = {name: run[name] for name in others}
    assert run["kwargs"]["config"]["configurable"] == ids | {"mine": 1}
    assert (ids["thread_id"], ids["graph_id"]) == (thread, "steps")


async def test_runs_can_be_listed_by_every_status(client: httpx.AsyncClient) -> None:
    thread = await create_thread(client)
    for status in {"timeout", *STATUS.values()}:
        response = await client.get(f"/threads/{thread}/runs", params={"status": status})
        assert (response.status_code, response.json()) == (200, []), status


async def test_metadata_of_the_request_has_precedence_over_config_thread_and_assistant(
    client: httpx.AsyncClient,
) -> None:
    body = {"graph_id": "steps", "metadata": dict.fromkeys("abcd", "assistant")}
    assistant = (await client.post("/assistants", json=body)).json()["assistant_id"]
    thread = await create_thread(client, metadata=dict.fromkeys("bcd", "thread"))
    request = {"config": {"metadata": dict.fromkeys("cd", "config")}, "metadata": {"d": "request"}}
    run = (await client.post(f"/threads/{thread}/runs", json={"assistant_id": assistant, "input": {}} | request)).json()
    metadata = {name: run["metadata"][name] for name in "abcd"}
    assert metadata == {"a": "assistant", "b": "thread", "c": "config", "d": "request"}
    assert run["kwargs"]["config"]["metadata"] == run["metadata"]


async def test_the_limit_of_a_query_is_at_most_1000(client: httpx.AsyncClient) -> None:
    thread = await create_thread(client)
    for path in ("runs", "history"):
        assert (await client.get(f"/threads/{thread}/{path}?limit=1000")).status_code == 200
        assert (await client.get(f"/threads/{thread}/{path}?limit=1001")).status_code == 422


async def test_a_thread_has_the_times_of_its_last_state_change_and_of_any_change(
    client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread = await create_thread(client)
    created = (await client.get(f"/threads/{thread}")).json()
    assert created["created_at"] == created["updated_at"] == created["state_updated_at"]
    await client.post(f"/threads/{thread}/runs/wait", json=STEPS)
    after_run = (await client.get(f"/threads/{thread}")).json()
    assert after_run["created_at"] == created["created_at"] < after_run["state_updated_at"] <= after_run["updated_at"]
    renamed = (await client.patch(f"/threads/{thread}", json={"metadata": {"title": "t"}})).json()
    assert renamed["updated_at"] > after_run["updated_at"]
    assert renamed["state_updated_at"] == after_run["state_updated_at"]
    (found,) = (await client.post("/threads/search", json={"ids": [thread]})).json()
    assert found == renamed


async def test_threads_are_sorted_by_their_last_change_by_default(client: httpx.AsyncClient) -> None:
    threads = [await create_thread(client) for _ in range(3)]
    await client.patch(f"/threads/{threads[0]}", json={"metadata": {"title": "t"}})
    found = [each["thread_id"] for each in (await client.post("/threads/search", json={})).json()]
    assert found == [threads[0], threads[2], threads[1]]


async def test_the_default_limit_of_a_history_is_1_by_post_and_10_by_get(
    client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread = await create_thread(client)
    await client.post(f"/threads/{thread}/runs/wait", json=STEPS)
    states = (await client.get(f"/threads/{thread}/history", params={"limit": 50})).json()
    assert len(states) > 3
    assert (await client.post(f"/threads/{thread}/history", json={})).json() == states[:1]
    assert (await client.get(f"/threads/{thread}/history")).json() == states[:10]


async def test_the_config_of_a_fork_has_the_id_of_its_start_checkpoint(
    client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread = await create_thread(client)
    await client.post(f"/threads/{thread}/runs/wait", json=STEPS)
    checkpoint_id = (await client.get(f"/threads/{thread}/state")).json()["checkpoint"]["checkpoint_id"]
    run = (await client.post(f"/threads/{thread}/runs", json=STEPS | {"checkpoint_id": checkpoint_id})).json()
    assert run["kwargs"]["config"]["configurable"]["checkpoint_id"] == checkpoint_id


async def test_the_default_context_of_a_run_is_an_empty_object(client: httpx.AsyncClient) -> None:
    run = (await client.post("/runs", json=STEPS)).json()
    assert run["kwargs"]["context"] == {}


@pytest.mark.parametrize(("on_completion", "temporary"), [("delete", True), ("keep", False)])
async def test_a_stateless_run_with_on_completion_keep_is_not_temporary(
    client: httpx.AsyncClient, on_completion: str, temporary: bool
) -> None:
    run = (await client.post("/runs", json=STEPS | {"on_completion": on_completion})).json()
    assert run["kwargs"]["temporary"] is temporary


async def test_the_config_of_a_thread_is_the_config_of_its_last_run(client: httpx.AsyncClient) -> None:
    thread = await create_thread(client)
    assert (await client.get(f"/threads/{thread}")).json()["config"] == {}
    await client.post(f"/threads/{thread}/runs", json=STEPS | {"config": {"configurable": {"own": 1}}})
    assert (await client.get(f"/threads/{thread}")).json()["config"] == {"configurable": {}}
    config = {"tags": ["x"], "recursion_limit": 30, "configurable": {"tone": "dry"}, "metadata": {"a": 1}}
    assistant = (await client.post("/assistants", json={"graph_id": "steps", "config": config})).json()["assistant_id"]
    body = {"assistant_id": assistant, "config": {"recursion_limit": 50, "metadata": {"b": 2}}}
    await client.post(f"/threads/{thread}/runs", json=body)
    expected = config | {"recursion_limit": 50, "metadata": {"a": 1, "b": 2}}
    assert (await client.get(f"/threads/{thread}")).json()["config"] == expected
    (found,) = (await client.post("/threads/search", json={"ids": [thread]})).json()
    assert found["config"] == expected


async def test_a_run_stores_no_default_options(client: httpx.AsyncClient, served: Served) -> None:
    services: Services = served.services
    run = (await client.post("/runs", json=STEPS | {"on_completion": "keep"})).json()
    stored = await services.pipeline.send("HGET", services.keys.run(run["run_id"]), "kwargs")
    assert stored == b'{"input":{"value":1}}'
    options = (await services.runs.find(run["run_id"])).options
    assert options.stream_mode == ["values"]
    options.stream_mode.append("updates")
    assert RunOptions().stream_mode == ["values"], "a run must not change the defaults"


async def test_every_field_of_a_run_can_be_selected(client: httpx.AsyncClient, worker: WorkerProcess) -> None:
    thread = await create_thread(client)
    run = (await client.post(f"/threads/{thread}/runs", json=STEPS | {"after_seconds": 3600})).json()["run_id"]
    path = f"/threads/{thread}/runs"
    await client.post(f"{path}/{run}/cancel", params={"reason": "enough"})
    body = (await client.get(f"{path}/{run}")).json()
    assert body["cancel_reason"] == "enough"
    for name, value in body.items():
        assert (await client.get(path, params={"select": name})).json() == [{name: value}]
        assert (await client.get(f"{path}/{run}", params={"select": name})).json() == {name: value}


async def test_a_thread_has_no_values_before_its_first_checkpoint(
    client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    thread = await create_thread(client)
    result = (await client.post(f"/threads/{thread}/runs/wait", json={"assistant_id": "steps", "input": None})).json()
    assert result["__error__"]["error"] == "EmptyInputError"
    assert (await client.get(f"/threads/{thread}")).json()["values"] is None


@pytest.mark.parametrize(
    "value", [{"a\0": 1}, {"a": "\0"}, {"a": {"b": ["x", {"c\0": None}]}}, {"n": 2**70, "a": "\0"}], ids=repr
)
async def test_metadata_and_conditions_with_nul_are_rejected(client: httpx.AsyncClient, value: dict[str, Any]) -> None:
    thread = (await client.post("/threads", json={})).json()["thread_id"]
    assistant = (await client.post("/assistants", json={"graph_id": "steps"})).json()["assistant_id"]
    run = {"assistant_id": "steps", "input": {"value": 1}}
    bodies: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/threads", {}),
        ("PATCH", f"/threads/{thread}", {}),
        ("POST", "/threads/search", {}),
        ("POST", "/threads/count", {}),
        ("POST", f"/threads/{thread}/history", {}),
        ("POST", f"/threads/{thread}/runs", run),
        ("POST", "/runs/crons", run | {"schedule": "0 0 1 1 *"}),
        ("POST", "/runs/crons/search", {}),
        ("POST", "/assistants", {"graph_id": "steps"}),
        ("PATCH", f"/assistants/{assistant}", {}),
        ("POST", "/assistants/search", {}),
    ]
    for method, path, body in bodies:
        response = await client.request(method, path, json=body | {"metadata": value})
        assert (response.status_code, response.json().get("field")) == (422, "metadata"), (path, response.text)
        assert "must not contain the character NUL (\\u0000)" in response.json()["detail"]
    response = await client.post("/threads/search", json={"values": value})
    assert (response.status_code, response.json()["field"]) == (422, "values")


async def test_the_six_characters_of_an_escaped_nul_are_metadata(client: httpx.AsyncClient) -> None:
    metadata = {"a\\u0000": "\\u0000"}
    thread = (await client.post("/threads", json={"metadata": metadata})).json()
    assert thread["metadata"] == metadata
    found = (await client.post("/threads/search", json={"metadata": metadata})).json()
    assert [each["thread_id"] for each in found] == [thread["thread_id"]]
