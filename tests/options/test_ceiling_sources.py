"""A ceiling is enforced wherever it is set: langgraph.json, assistant, request, by `configurable` or by `context`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import pytest

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import new_id
from slipway_workers.duties.scheduler import Scheduler
from tests.crons.conftest import Time
from tests.http.conftest import Served, serving
from tests.options.conftest import PROJECT, Load
from tests.working import working

CASES: Final = {
    "max_steps": (3, {"upto": 9}, "ceiling.steps"),
    "max_node_visits": (3, {"upto": 9}, "ceiling.node_visits"),
    "max_retries": (3, {"fails": 9}, "ceiling.retries"),
    "max_active_s": (0.3, {"gate": True}, "ceiling.time"),
    "max_step_s": (0.3, {"gate": True}, "ceiling.step_time"),
    "max_state_bytes": (20_000, {"upto": 9, "size": 10_000}, "ceiling.state_bytes"),
    "max_event_bytes": (20_000, {"upto": 9, "size": 10_000}, "ceiling.event_bytes"),
}
"""A limit, an input that exceeds it, and the code of the run's error."""

RUN: Final = {"assistant_id": "plain", "input": {}, "if_not_exists": "create"}

SOURCES: Final = ("request.config", "request.context", "assistant.config", "assistant.context")


def client_of(served: Served) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=served.url, timeout=30)


async def run_error(served: Served, client: httpx.AsyncClient, assistant: str, body: dict[str, Any]) -> dict[str, Any]:
    thread_id = new_id()
    body = {"assistant_id": assistant, "if_not_exists": "create"} | body
    answer = await client.post(f"/threads/{thread_id}/runs/wait", json=body)
    assert answer.status_code == 200, answer.text
    (run,) = (await client.get(f"/threads/{thread_id}/runs")).json()
    error = (await served.services.runs.find(run["run_id"])).error
    return dict(error or {})


def member(source: str, ceilings: dict[str, float]) -> dict[str, Any]:
    return slipway_options(source, {"ceilings": ceilings})


def slipway_options(source: str, options: dict[str, Any]) -> dict[str, Any]:
    """The member of a body that sets these options."""
    return {"config": {"configurable": options}} if source.endswith("config") else {"context": options}


@pytest.mark.parametrize("source", SOURCES)
async def test_every_ceiling(load: Load, graphs: Registry, source: str) -> None:
    wrong = {}
    async with serving(load(), graphs) as served, working(load(), graphs), client_of(served) as client:
        for name, (limit, given, code) in CASES.items():
            assistant, body = "plain", {"input": given}
            if source.startswith("assistant"):
                made = await client.post("/assistants", json={"graph_id": "plain"} | member(source, {name: limit}))
                assert made.status_code == 200, made.text
                assistant = made.json()["assistant_id"]
            else:
                body |= member(source, {name: limit})
            error = await run_error(served, client, assistant, body)
            if (error.get("code"), error.get("limit")) != (code, limit):
                wrong[name] = error
    assert wrong == {}


async def test_a_graph_of_langgraph_json(load: Load, tmp_path: Path) -> None:
    """Each ceiling of one graph, in the file; the deployment's are higher."""
    wrong = {}
    config = tmp_path / "langgraph.json"
    entries = {name: {"ceilings": {name: limit}} for name, (limit, _, _) in CASES.items()}
    source = f"{PROJECT.parent}/graphs.py:graph"
    config.write_bytes(orjson.dumps({"graphs": dict.fromkeys(entries, source), "slipway": {"graphs": entries}}))
    settings = load(config=config)
    graphs = await Registry.load(config)
    async with serving(settings, graphs) as served, working(settings, graphs), client_of(served) as client:
        for name, (limit, given, code) in CASES.items():
            error = await run_error(served, client, name, {"input": given})
            if (error.get("code"), error.get("limit")) != (code, limit):
                wrong[name] = error
    assert wrong == {}


@pytest.mark.parametrize("own", [True, False], ids=["the graph's", "the deployment's"])
async def test_state_that_is_written_through_the_api(load: Load, tmp_path: Path, own: bool) -> None:
    """It counts against the ceiling of the thread's graph, as the state that a run writes does."""
    config = tmp_path / "langgraph.json"
    entry = {"ceilings": {"max_state_bytes": 20_000}} if own else {}
    source = f"{PROJECT.parent}/graphs.py:graph"
    config.write_bytes(orjson.dumps({"graphs": {"small": source}, "slipway": {"graphs": {"small": entry}}}))
    settings = load(config=config, max_body_bytes=65_536, max_state_bytes=1_000_000 if own else 65_536)
    graphs, limit = await Registry.load(config), 20_000 if own else 65_536
    async with serving(settings, graphs) as served, client_of(served) as client:
        made = await client.post("/threads", json={"metadata": {"graph_id": "small"}})
        url, text = f"/threads/{made.json()['thread_id']}/state", "x" * (limit // 3)
        stored = await client.post(url, json={"values": {"text": text}})
        refused = await client.post(url, json={"values": {"text": text}})
        state = (await client.get(url)).json()
    assert stored.status_code == 200, stored.text
    assert (refused.status_code, refused.json()["code"], refused.json()["limit"]) == (413, "ceiling.state_bytes", limit)
    assert state["values"]["text"] == text


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", ["max_tool_calls", "max_tokens", "max_cost_usd", "max_stpes"])
async def test_a_ceiling_that_cannot_be_enforced_is_rejected(
    load: Load, graphs: Registry, source: str, name: str
) -> None:
    async with serving(load(), graphs) as served, client_of(served) as client:
        body = member(source, {name: 5})
        if source.startswith("assistant"):
            rejected = await client.post("/assistants", json={"graph_id": "plain"} | body)
        else:
            rejected = await client.post("/runs", json={"assistant_id": "plain"} | body)
    assert rejected.status_code == 422
    mirror = "context" if source.endswith("context") else "config.configurable"
    assert rejected.json()["field"] == f"{mirror}.ceilings.{name}"


DOORS: Final = ("answer", "answer of an inline graph", "breakpoint", "event protocol", "cron")


@pytest.mark.parametrize("door", DOORS)
async def test_an_answer_cannot_raise_the_ceilings_of_its_chain(
    load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys, door: str
) -> None:
    graph_id = "here" if "inline" in door else "plain"
    first = {"assistant_id": graph_id, "input": {"upto": 9, "question_at": 2}}
    if door == "breakpoint":
        first = {"assistant_id": graph_id, "input": {"upto": 9}, "interrupt_after": ["step"]}
    first |= member("request.config", {"max_steps": 4})
    async with serving(load(), graphs) as served, working(load(), graphs), client_of(served) as client:
        thread_id = str((await client.post("/threads", json={})).json()["thread_id"])
        waited = await client.post(f"/threads/{thread_id}/runs/wait", json=first)
        assert waited.status_code == 200, waited.text
        await answer(door, served, client, thread_id, graph_id, Time(pipeline, keys))
        answering, _ = (await client.get(f"/threads/{thread_id}/runs")).json()
        await client.get(f"/threads/{thread_id}/runs/{answering['run_id']}/join")
        ended = (await client.get(f"/threads/{thread_id}/runs/{answering['run_id']}")).json()
    assert (ended["error"]["code"], ended["error"]["limit"]) == ("ceiling.steps", 4)
    assert (answering["ceilings"]["max_steps"], ended["usage"]["steps"]) == (4, 4)


async def answer(
    door: str, served: Served, client: httpx.AsyncClient, thread_id: str, graph_id: str, time: Time
) -> None:
    """Continues the thread through one of the `DOORS`, with a request that has no ceilings."""
    run = {"assistant_id": graph_id, "command": {"resume": "yes"}}
    if door == "event protocol":
        state = (await client.get(f"/threads/{thread_id}/state")).json()
        params = {"interrupt_id": state["interrupts"][0]["id"], "response": "yes"}
        command = {"id": 1, "method": "input.respond", "params": params}
        response = await client.post(f"/threads/{thread_id}/commands", json=command)
    elif door == "cron":
        cron = await client.post(f"/threads/{thread_id}/runs/crons", json=run | {"schedule": "* * * * *"})
        await time.due(cron.json()["cron_id"])
        assert await Scheduler(served.services).run_once() == 1
        response = cron
    elif door == "breakpoint":
        response = await client.post(f"/threads/{thread_id}/runs", json={"assistant_id": graph_id, "input": None})
    else:
        response = await client.post(f"/threads/{thread_id}/runs", json=run)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("source", SOURCES)
async def test_a_priority_is_honoured_wherever_it_is_set(
    load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys, source: str
) -> None:
    async with serving(load(), graphs) as served, client_of(served) as client:
        assistant, body = "plain", slipway_options(source, {"priority": "high"})
        if source.startswith("assistant"):
            assistant = (await client.post("/assistants", json={"graph_id": "plain"} | body)).json()["assistant_id"]
            body = {}
        run = (await client.post(f"/threads/{new_id()}/runs", json=RUN | {"assistant_id": assistant} | body)).json()
        assert await pipeline.send("HGET", keys.run(run["run_id"]), "priority_ms") == b"-60000"


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("priority", "urgent", "priority"),
        ("ceilings", 5, "ceilings"),
        ("ceilings", {"max_steps": -1}, "ceilings.max_steps"),
    ],
)
async def test_a_wrong_option_is_rejected_under_the_name_that_was_sent(
    load: Load, graphs: Registry, source: str, name: str, value: object, field: str
) -> None:
    body = slipway_options(source, {name: value})
    path = "context" if source.endswith("context") else "config.configurable"
    async with serving(load(), graphs) as served, client_of(served) as client:
        if source.startswith("assistant"):
            rejected = await client.post("/assistants", json={"graph_id": "plain"} | body)
        else:
            rejected = await client.post(f"/threads/{new_id()}/runs", json=RUN | body)
    assert (rejected.status_code, rejected.json()["field"]) == (422, f"{path}.{field}")
