"""Assistants that clients create, with the Python client of LangGraph."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import httpx
import pytest
from langgraph_sdk.errors import BadRequestError, ConflictError, NotFoundError, UnprocessableEntityError

from slipway.graphs.registry import Registry
from slipway.services import open_services
from slipway.settings import Settings
from slipway_workers.process import WorkerProcess
from tests.compat.conftest import Client, Eventually, hold_started, new_thread


async def test_an_id_can_be_used_for_one_assistant_only(sdk: Client) -> None:
    assistant = await sdk.assistants.create(
        "received_config", context={"tone": "dry"}, metadata={"owner": "me"}, name="Dry one"
    )
    assert UUID(assistant["assistant_id"]).version == 4
    assert (assistant["graph_id"], assistant["version"], assistant["name"]) == ("received_config", 1, "Dry one")
    assert assistant["config"] == {"configurable": {"tone": "dry"}}
    assert assistant["context"] == {"tone": "dry"}
    assert await sdk.assistants.get(assistant["assistant_id"]) == assistant
    with pytest.raises(ConflictError):
        await sdk.assistants.create("received_config", assistant_id=assistant["assistant_id"])
    again = await sdk.assistants.create("steps", assistant_id=assistant["assistant_id"], if_exists="do_nothing")
    assert again == assistant
    with pytest.raises(NotFoundError, match="received_config"):
        await sdk.assistants.create("unknown")
    assert (await sdk.assistants.create("received_config"))["name"] == "Untitled"


async def test_config_and_context_mirror_each_other(sdk: Client, client: httpx.AsyncClient) -> None:
    assistant = await sdk.assistants.create(
        "received_config", config={"configurable": {"tone": "dry"}, "recursion_limit": 7}
    )
    assert assistant["context"] == {"tone": "dry"}
    assert assistant["config"] == {"configurable": {"tone": "dry"}, "recursion_limit": 7}
    both = {"graph_id": "received_config", "context": {"tone": "a"}, "config": {"configurable": {"tone": "b"}}}
    assert (await client.post("/assistants", json=both)).status_code == 400


async def test_each_change_creates_a_version(sdk: Client) -> None:
    assistant = await sdk.assistants.create(
        "received_config", context={"tone": "dry"}, metadata={"a": 1, "b": 1}, description="first"
    )
    assistant_id = assistant["assistant_id"]
    changed = await sdk.assistants.update(assistant_id, context={"tone": "warm"}, metadata={"b": 2}, name="Warm one")
    assert (changed["version"], changed["metadata"], changed["description"]) == (2, {"a": 1, "b": 2}, "first")
    assert changed["config"]["configurable"] == {"tone": "warm"}
    of_other_graph = await sdk.assistants.update(assistant_id, graph_id="steps")
    assert (of_other_graph["version"], of_other_graph["graph_id"], of_other_graph["context"]) == (
        3,
        "steps",
        {"tone": "warm"},
    )
    assert assistant_id in [result["assistant_id"] for result in await sdk.assistants.search(graph_id="steps")]
    assert assistant_id not in [
        result["assistant_id"] for result in await sdk.assistants.search(graph_id="received_config")
    ]
    rows = await sdk.assistants.get_versions(assistant_id)
    assert [row["version"] for row in rows] == [3, 2, 1]
    assert "updated_at" not in rows[0]
    assert [row["version"] for row in await sdk.assistants.get_versions(assistant_id, metadata={"b": 1})] == [1]
    assert [row["version"] for row in await sdk.assistants.get_versions(assistant_id, limit=1, offset=1)] == [2]
    restored = await sdk.assistants.set_latest(assistant_id, 1)
    assert (restored["version"], restored["graph_id"], restored["context"], restored["name"]) == (
        1,
        "received_config",
        {"tone": "dry"},
        "Untitled",
    )
    assert (await sdk.assistants.update(assistant_id, name="next"))["version"] == 4
    with pytest.raises(NotFoundError):
        await sdk.assistants.set_latest(assistant_id, 9)
    unknown = str(uuid4())
    with pytest.raises(NotFoundError) as not_found:
        await sdk.assistants.set_latest(unknown, 1)
    assert unknown in not_found.value.response.text
    with pytest.raises(NotFoundError):
        await sdk.assistants.get_versions(str(uuid4()))
    with pytest.raises(NotFoundError):
        await sdk.assistants.update(str(uuid4()), name="x")


async def test_concurrent_changes_get_different_version_numbers(sdk: Client) -> None:
    assistant_id = (await sdk.assistants.create("received_config"))["assistant_id"]
    changed = await asyncio.gather(*(sdk.assistants.update(assistant_id, name=f"n{n}") for n in range(20)))
    assert sorted(assistant["version"] for assistant in changed) == list(range(2, 22))


async def test_an_idempotency_key_creates_one_assistant_and_one_version(client: httpx.AsyncClient) -> None:
    key = {"idempotency-key": str(uuid4())}
    first, again = [
        await client.post("/assistants", json={"graph_id": "received_config"}, headers=key) for _ in range(2)
    ]
    assert first.json() == again.json()
    path, key = f"/assistants/{first.json()['assistant_id']}", {"idempotency-key": str(uuid4())}
    versions = [(await client.patch(path, json={"name": "x"}, headers=key)).json()["version"] for _ in range(2)]
    assert versions == [2, 2]


async def test_assistants_are_found_by_name_metadata_and_graph(sdk: Client, client: httpx.AsyncClient) -> None:
    for number, name in enumerate(["Anna", "Bert", "anton"]):
        await sdk.assistants.create("received_config", name=name, metadata={"number": number, "team": {"id": "x"}})
    assert [assistant["name"] for assistant in await sdk.assistants.search(name="AN")] == ["anton", "Anna"]
    assert [
        assistant["name"] for assistant in await sdk.assistants.search(metadata={"team": {"id": "x"}, "number": 1})
    ] == ["Bert"]
    names = [
        assistant["name"]
        for assistant in await sdk.assistants.search(graph_id="received_config", sort_by="name", sort_order="asc")
    ]
    assert names == ["Anna", "Bert", "anton", "received_config"]
    assert await sdk.assistants.count(graph_id="received_config") == 4
    assert await sdk.assistants.count(name="an") == 2
    page = await sdk.assistants.search(graph_id="received_config", limit=2, response_format="object")
    assert (len(page["assistants"]), page["next"]) == (2, "2")
    assert (await client.post("/assistants/search", json={"graph_id": "received_config"})).headers[
        "x-pagination-total"
    ] == "4"
    assert list((await sdk.assistants.search(select=["name"]))[0]) == ["name"]
    for criteria in ({"sort_by": "age"}, {"limit": 0}, {"limit": 1001}, {"select": ["secret"]}):
        assert (await client.post("/assistants/search", json=criteria)).status_code == 422


async def test_system_assistants_cannot_be_changed_or_deleted(
    sdk: Client, settings: Settings, graphs: Registry
) -> None:
    system = await sdk.assistants.get("received_config")
    assert [row["version"] for row in await sdk.assistants.get_versions("received_config")] == [1]
    assert await sdk.assistants.set_latest(system["assistant_id"], 1) == system
    with pytest.raises(NotFoundError):
        await sdk.assistants.set_latest("received_config", 2)
    for rejected in (sdk.assistants.update("received_config", name="x"), sdk.assistants.delete(system["assistant_id"])):
        with pytest.raises(BadRequestError):
            await rejected
    async with open_services(settings, graphs, "cli") as other:
        assert (await other.assistants.get("received_config")).public() == system


@pytest.mark.usefixtures("worker")
async def test_runs_use_the_config_and_context_of_their_assistant(sdk: Client) -> None:
    assistant = await sdk.assistants.create(
        "received_config",
        context={"tone": "dry", "words": 3},
        config={"recursion_limit": 9, "tags": ["t"]},
        metadata={"team": "x"},
    )
    assistant_id, thread = assistant["assistant_id"], await new_thread(sdk)
    values = await sdk.runs.wait(thread, assistant_id, input={})
    assert values["context"] == {"tone": "dry", "words": 3}
    assert (values["recursion_limit"], values["metadata"]["team"]) == (9, "x")
    assert (values["configured"]["assistant_id"], values["configured"]["graph_id"]) == (
        assistant_id,
        "received_config",
    )
    overridden = await sdk.runs.wait(
        thread, assistant_id, input={}, context={"tone": "warm"}, config={"recursion_limit": 12}
    )
    assert (overridden["context"], overridden["recursion_limit"]) == ({"tone": "warm", "words": 3}, 12)
    metadata = (await sdk.threads.get(thread))["metadata"]
    assert (metadata["assistant_id"], metadata["graph_id"]) == (assistant_id, "received_config")
    assert (await sdk.runs.list(thread))[0]["metadata"]["team"] == "x"


@pytest.mark.usefixtures("worker")
async def test_assistants_and_requests_can_only_lower_ceilings(sdk: Client, client: httpx.AsyncClient) -> None:
    low = (await sdk.assistants.create("rounds", context={"ceilings": {"max_steps": 5}}))["assistant_id"]
    high = await sdk.assistants.create("rounds", config={"configurable": {"ceilings": {"max_steps": 10_000}}})
    for assistant_id, ceilings, max_steps in ((low, {}, 5), (low, {"max_steps": 9}, 5), (low, {"max_steps": 2}, 2)):
        config = {"configurable": {"ceilings": ceilings}}
        run = await sdk.runs.create(await new_thread(sdk), assistant_id, input={"rounds": 50}, config=config)
        assert run["ceilings"]["max_steps"] == max_steps
        await sdk.runs.join(run["thread_id"], run["run_id"])
        ended = await sdk.runs.get(run["thread_id"], run["run_id"])
        assert (ended["status"], ended["error"]["code"]) == ("error", "ceiling.steps")
    run = await sdk.runs.create(await new_thread(sdk), high["assistant_id"], input={})
    assert run["ceilings"]["max_steps"] == 500
    misspelled = {"graph_id": "rounds", "context": {"ceilings": {"max_stepz": 1}}}
    assert (await client.post("/assistants", json=misspelled)).status_code == 422


async def test_deleting_an_assistant_cancels_its_runs(
    sdk: Client, worker: WorkerProcess, eventually: Eventually
) -> None:
    assistant_id = (await sdk.assistants.create("hold"))["assistant_id"]
    running, other = await new_thread(sdk), await new_thread(sdk)
    first = await sdk.runs.create(running, assistant_id, input={})
    second = await sdk.runs.create(running, assistant_id, input={})
    later = await sdk.runs.create(await new_thread(sdk), assistant_id, input={}, after_seconds=600)
    unrelated = await sdk.runs.create(other, "hold", input={})
    await eventually(lambda: hold_started(sdk, running))
    await sdk.assistants.delete(assistant_id)
    for run in (first, second, later):
        await sdk.runs.join(run["thread_id"], run["run_id"])
        assert (await sdk.runs.get(run["thread_id"], run["run_id"]))["status"] == "interrupted"
    assert (await sdk.runs.get(other, unrelated["run_id"]))["status"] in ("pending", "running")
    with pytest.raises(NotFoundError):
        await sdk.assistants.get(assistant_id)
    with pytest.raises(NotFoundError):
        await sdk.runs.create(running, assistant_id, input={})
    assert (await sdk.threads.get(running))["thread_id"] == running


@pytest.mark.usefixtures("worker")
async def test_deleting_an_assistant_can_delete_its_threads(sdk: Client) -> None:
    assistant_id = (await sdk.assistants.create("steps"))["assistant_id"]
    deleted, other = await new_thread(sdk), await new_thread(sdk)
    await sdk.runs.wait(deleted, assistant_id, input={"value": 1})
    await sdk.runs.wait(other, "steps", input={"value": 1})
    await sdk.assistants.delete(assistant_id, delete_threads=True)
    with pytest.raises(NotFoundError):
        await sdk.threads.get(deleted)
    assert (await sdk.threads.get(other))["status"] == "idle"


async def test_malformed_bodies_are_rejected(client: httpx.AsyncClient) -> None:
    for body in (
        {},
        {"graph_id": 1},
        {"graph_id": "received_config", "assistant_id": "x"},
        {"graph_id": "received_config", "config": []},
    ):
        assert (await client.post("/assistants", json=body)).status_code == 422
    assert (await client.post("/assistants/received_config/latest", json={"version": "1"})).status_code == 422


async def test_an_assistant_has_the_drawing_and_schemas_of_its_graph(sdk: Client) -> None:
    assistant_id = (await sdk.assistants.create("received_config", context={"tone": "dry"}))["assistant_id"]
    assert await sdk.assistants.get_graph(assistant_id) == await sdk.assistants.get_graph("received_config")
    assert (await sdk.assistants.get_schemas(assistant_id))["context_schema"]["properties"].keys() == {"tone", "words"}
    with pytest.raises(UnprocessableEntityError):
        await sdk.assistants.get_graph(assistant_id, xray=0)
