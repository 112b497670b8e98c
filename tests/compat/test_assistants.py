"""Assistants that clients make, through the protocol's own client."""

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
from tests.compat.conftest import Client, Eventually, held, new_thread


async def test_made_once(sdk: Client) -> None:
    made = await sdk.assistants.create("told", context={"tone": "dry"}, metadata={"owner": "me"}, name="Dry one")
    assert UUID(made["assistant_id"]).version == 4
    assert (made["graph_id"], made["version"], made["name"]) == ("told", 1, "Dry one")
    assert made["config"] == {"configurable": {"tone": "dry"}}
    assert made["context"] == {"tone": "dry"}
    assert await sdk.assistants.get(made["assistant_id"]) == made
    with pytest.raises(ConflictError):
        await sdk.assistants.create("told", assistant_id=made["assistant_id"])
    again = await sdk.assistants.create("steps", assistant_id=made["assistant_id"], if_exists="do_nothing")
    assert again == made
    with pytest.raises(NotFoundError, match="told"):
        await sdk.assistants.create("nobody")
    assert (await sdk.assistants.create("told"))["name"] == "Untitled"


async def test_config_and_context_mirror_each_other(sdk: Client, client: httpx.AsyncClient) -> None:
    made = await sdk.assistants.create("told", config={"configurable": {"tone": "dry"}, "recursion_limit": 7})
    assert made["context"] == {"tone": "dry"}
    assert made["config"] == {"configurable": {"tone": "dry"}, "recursion_limit": 7}
    both = {"graph_id": "told", "context": {"tone": "a"}, "config": {"configurable": {"tone": "b"}}}
    assert (await client.post("/assistants", json=both)).status_code == 400


async def test_a_change_is_a_version(sdk: Client) -> None:
    made = await sdk.assistants.create("told", context={"tone": "dry"}, metadata={"a": 1, "b": 1}, description="first")
    ident = made["assistant_id"]
    changed = await sdk.assistants.update(ident, context={"tone": "warm"}, metadata={"b": 2}, name="Warm one")
    assert (changed["version"], changed["metadata"], changed["description"]) == (2, {"a": 1, "b": 2}, "first")
    assert changed["config"]["configurable"] == {"tone": "warm"}
    moved = await sdk.assistants.update(ident, graph_id="steps")
    assert (moved["version"], moved["graph_id"], moved["context"]) == (3, "steps", {"tone": "warm"})
    assert ident in [found["assistant_id"] for found in await sdk.assistants.search(graph_id="steps")]
    assert ident not in [found["assistant_id"] for found in await sdk.assistants.search(graph_id="told")]
    rows = await sdk.assistants.get_versions(ident)
    assert [row["version"] for row in rows] == [3, 2, 1]
    assert "updated_at" not in rows[0]
    assert [row["version"] for row in await sdk.assistants.get_versions(ident, metadata={"b": 1})] == [1]
    assert [row["version"] for row in await sdk.assistants.get_versions(ident, limit=1, offset=1)] == [2]
    back = await sdk.assistants.set_latest(ident, 1)
    assert (back["version"], back["graph_id"], back["context"], back["name"]) == (
        1,
        "told",
        {"tone": "dry"},
        "Untitled",
    )
    assert (await sdk.assistants.update(ident, name="next"))["version"] == 4
    with pytest.raises(NotFoundError):
        await sdk.assistants.set_latest(ident, 9)
    with pytest.raises(NotFoundError):
        await sdk.assistants.get_versions(str(uuid4()))
    with pytest.raises(NotFoundError):
        await sdk.assistants.update(str(uuid4()), name="x")


async def test_a_version_number_is_given_once(sdk: Client) -> None:
    ident = (await sdk.assistants.create("told"))["assistant_id"]
    changed = await asyncio.gather(*(sdk.assistants.update(ident, name=f"n{n}") for n in range(20)))
    assert sorted(one["version"] for one in changed) == list(range(2, 22))


async def test_a_repeated_request_makes_one(client: httpx.AsyncClient) -> None:
    key = {"idempotency-key": str(uuid4())}
    first, again = [await client.post("/assistants", json={"graph_id": "told"}, headers=key) for _ in range(2)]
    assert first.json() == again.json()
    place, key = f"/assistants/{first.json()['assistant_id']}", {"idempotency-key": str(uuid4())}
    versions = [(await client.patch(place, json={"name": "x"}, headers=key)).json()["version"] for _ in range(2)]
    assert versions == [2, 2]


async def test_found_by_all_that_tells_them_apart(sdk: Client, client: httpx.AsyncClient) -> None:
    for number, name in enumerate(["Anna", "Bert", "anton"]):
        await sdk.assistants.create("told", name=name, metadata={"number": number, "team": {"id": "x"}})
    assert [one["name"] for one in await sdk.assistants.search(name="AN")] == ["anton", "Anna"]
    assert [one["name"] for one in await sdk.assistants.search(metadata={"team": {"id": "x"}, "number": 1})] == ["Bert"]
    names = [one["name"] for one in await sdk.assistants.search(graph_id="told", sort_by="name", sort_order="asc")]
    assert names == ["Anna", "Bert", "anton", "told"]
    assert await sdk.assistants.count(graph_id="told") == 4
    assert await sdk.assistants.count(name="an") == 2
    page = await sdk.assistants.search(graph_id="told", limit=2, response_format="object")
    assert (len(page["assistants"]), page["next"]) == (2, "2")
    assert (await client.post("/assistants/search", json={"graph_id": "told"})).headers["x-pagination-total"] == "4"
    assert list((await sdk.assistants.search(select=["name"]))[0]) == ["name"]
    for wrong in ({"sort_by": "age"}, {"limit": 0}, {"limit": 1001}, {"select": ["secret"]}):
        assert (await client.post("/assistants/search", json=wrong)).status_code == 422


async def test_each_is_found_however_many_reads_it_takes(sdk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.assistants.store.PAGE", 2)
    for number in range(5):
        await sdk.assistants.create("told", name=f"n{number}")
    names = [one["name"] for one in await sdk.assistants.search(name="n", graph_id="told", sort_by="name")]
    assert sorted(names) == ["n0", "n1", "n2", "n3", "n4"]


async def test_system_assistants_stay_as_they_are(sdk: Client, settings: Settings, graphs: Registry) -> None:
    told = await sdk.assistants.get("told")
    assert [row["version"] for row in await sdk.assistants.get_versions("told")] == [1]
    assert await sdk.assistants.set_latest(told["assistant_id"], 1) == told
    with pytest.raises(NotFoundError):
        await sdk.assistants.set_latest("told", 2)
    for refused in (sdk.assistants.update("told", name="x"), sdk.assistants.delete(told["assistant_id"])):
        with pytest.raises(BadRequestError):
            await refused
    async with open_services(settings, graphs, "cli") as other:
        assert (await other.assistants.get("told")).public() == told


@pytest.mark.usefixtures("worker")
async def test_runs_take_what_it_holds(sdk: Client) -> None:
    made = await sdk.assistants.create(
        "told",
        context={"tone": "dry", "words": 3},
        config={"recursion_limit": 9, "tags": ["t"]},
        metadata={"team": "x"},
    )
    ident, thread = made["assistant_id"], await new_thread(sdk)
    values = await sdk.runs.wait(thread, ident, input={})
    assert values["context"] == {"tone": "dry", "words": 3}
    assert (values["recursion_limit"], values["metadata"]["team"]) == (9, "x")
    assert (values["settings"]["assistant_id"], values["settings"]["graph_id"]) == (ident, "told")
    over = await sdk.runs.wait(thread, ident, input={}, context={"tone": "warm"}, config={"recursion_limit": 12})
    assert (over["context"], over["recursion_limit"]) == ({"tone": "warm", "words": 3}, 12)
    found = await sdk.threads.get(thread)
    assert (found["metadata"]["assistant_id"], found["metadata"]["graph_id"]) == (ident, "told")
    assert (await sdk.runs.list(thread))[0]["metadata"]["team"] == "x"


@pytest.mark.usefixtures("worker")
async def test_ceilings_are_lowered_and_never_raised(sdk: Client, client: httpx.AsyncClient) -> None:
    low = (await sdk.assistants.create("turns", context={"ceilings": {"max_steps": 5}}))["assistant_id"]
    high = await sdk.assistants.create("turns", config={"configurable": {"ceilings": {"max_steps": 10_000}}})
    for ident, asked, steps in ((low, {}, 5), (low, {"max_steps": 9}, 5), (low, {"max_steps": 2}, 2)):
        config = {"configurable": {"ceilings": asked}}
        run = await sdk.runs.create(await new_thread(sdk), ident, input={"turns": 50}, config=config)
        assert run["ceilings"]["max_steps"] == steps
        await sdk.runs.join(run["thread_id"], run["run_id"])
        ended = await sdk.runs.get(run["thread_id"], run["run_id"])
        assert (ended["status"], ended["error"]["code"]) == ("error", "ceiling.steps")
    run = await sdk.runs.create(await new_thread(sdk), high["assistant_id"], input={})
    assert run["ceilings"]["max_steps"] == 500
    wrong = {"graph_id": "turns", "context": {"ceilings": {"max_stepz": 1}}}
    assert (await client.post("/assistants", json=wrong)).status_code == 422


async def test_deleting_cancels_its_runs(sdk: Client, worker: WorkerProcess, eventually: Eventually) -> None:
    ident = (await sdk.assistants.create("hold"))["assistant_id"]
    running, other = await new_thread(sdk), await new_thread(sdk)
    first = await sdk.runs.create(running, ident, input={})
    second = await sdk.runs.create(running, ident, input={})
    later = await sdk.runs.create(await new_thread(sdk), ident, input={}, after_seconds=600)
    kept = await sdk.runs.create(other, "hold", input={})
    await eventually(lambda: held(sdk, running))
    await sdk.assistants.delete(ident)
    for run in (first, second, later):
        await sdk.runs.join(run["thread_id"], run["run_id"])
        assert (await sdk.runs.get(run["thread_id"], run["run_id"]))["status"] == "interrupted"
    assert (await sdk.runs.get(other, kept["run_id"]))["status"] in ("pending", "running")
    with pytest.raises(NotFoundError):
        await sdk.assistants.get(ident)
    with pytest.raises(NotFoundError):
        await sdk.runs.create(running, ident, input={})
    assert (await sdk.threads.get(running))["thread_id"] == running


@pytest.mark.usefixtures("worker")
async def test_deleting_takes_its_threads_when_asked(sdk: Client) -> None:
    ident = (await sdk.assistants.create("steps"))["assistant_id"]
    mine, other = await new_thread(sdk), await new_thread(sdk)
    await sdk.runs.wait(mine, ident, input={"value": 1})
    await sdk.runs.wait(other, "steps", input={"value": 1})
    await sdk.assistants.delete(ident, delete_threads=True)
    with pytest.raises(NotFoundError):
        await sdk.threads.get(mine)
    assert (await sdk.threads.get(other))["status"] == "idle"


async def test_bad_bodies_are_told(client: httpx.AsyncClient) -> None:
    for body in ({}, {"graph_id": 1}, {"graph_id": "told", "assistant_id": "x"}, {"graph_id": "told", "config": []}):
        assert (await client.post("/assistants", json=body)).status_code == 422
    assert (await client.post("/assistants/told/latest", json={"version": "1"})).status_code == 422


async def test_drawings_and_schemas_are_its_graphs(sdk: Client) -> None:
    ident = (await sdk.assistants.create("told", context={"tone": "dry"}))["assistant_id"]
    assert await sdk.assistants.get_graph(ident) == await sdk.assistants.get_graph("told")
    assert (await sdk.assistants.get_schemas(ident))["context_schema"]["properties"].keys() == {"tone", "words"}
    with pytest.raises(UnprocessableEntityError):
        await sdk.assistants.get_graph(ident, xray=0)
