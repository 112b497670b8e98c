"""A ceiling is enforced no matter where it is set: in langgraph.json, an assistant or a request, and there in
`configurable` or in `context`."""

from __future__ import annotations

from base64 import b64encode
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
from tests.crons.conftest import DueTimes
from tests.http.conftest import Served, serving
from tests.incompressible import incompressible
from tests.settings.conftest import PROJECT, Load
from tests.worker import running_worker

CASES: Final = {
    "max_steps": (3, {"upto": 9}, "ceiling.steps"),
    "max_node_visits": (3, {"upto": 9}, "ceiling.node_visits"),
    "max_retries": (3, {"fails": 9}, "ceiling.retries"),
    "max_active_s": (0.3, {"gate": True}, "ceiling.time"),
    "max_step_s": (0.3, {"gate": True}, "ceiling.step_time"),
    "max_state_bytes": (20_000, {"upto": 9, "size": 10_000}, "ceiling.state_bytes"),
    "max_event_bytes": (20_000, {"upto": 9, "size": 10_000}, "ceiling.event_bytes"),
    "max_tool_calls": (3, {"tool_calls": 9}, "ceiling.tool_calls"),
    "max_tokens": (5000, {"model_calls": 9}, "ceiling.tokens"),
}
"""Ceiling to its limit, an input that exceeds it, and the code of the run's error."""

GRAPH: Final = f"{PROJECT.parent}/graphs.py:graph"

RUN: Final = {"assistant_id": "plain", "input": {}, "if_not_exists": "create"}

SOURCES: Final = ("request.config", "request.context", "assistant.config", "assistant.context")


def client_of(served: Served) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=served.url, timeout=30)


async def run_error(served: Served, client: httpx.AsyncClient, assistant: str, body: dict[str, Any]) -> dict[str, Any]:
    """Waits for a run and returns its stored error, empty if the run succeeded."""
    thread_id = new_id()
    body = {"assistant_id": assistant, "if_not_exists": "create"} | body
    response = await client.post(f"/threads/{thread_id}/runs/wait", json=body)
    assert response.status_code == 200, response.text
    (run,) = (await client.get(f"/threads/{thread_id}/runs")).json()
    error = (await served.services.runs.find(run["run_id"])).error
    return dict(error or {})


def body_with(source: str, **options: object) -> dict[str, Any]:
    """The member of a request or an assistant that sets these options of Slipway."""
    return {"config": {"configurable": options}} if source.endswith("config") else {"context": options}


@pytest.mark.parametrize("source", SOURCES)
async def test_a_ceiling_of_a_request_or_an_assistant_is_enforced(load: Load, graphs: Registry, source: str) -> None:
    other_errors, settings = {}, load(model_output_tokens=4096)
    async with serving(settings, graphs) as served, running_worker(settings, graphs), client_of(served) as client:
        for name, (limit, exceeding_input, code) in CASES.items():
            assistant, body = "plain", {"input": exceeding_input}
            if source.startswith("assistant"):
                created = await client.post(
                    "/assistants", json={"graph_id": "plain"} | body_with(source, ceilings={name: limit})
                )
                assert created.status_code == 200, created.text
                assistant = created.json()["assistant_id"]
            else:
                body |= body_with(source, ceilings={name: limit})
            error = await run_error(served, client, assistant, body)
            if (error.get("code"), error.get("limit")) != (code, limit):
                other_errors[name] = error
    assert other_errors == {}


async def test_a_ceiling_of_a_graph_in_langgraph_json_is_enforced(load: Load, tmp_path: Path) -> None:
    """The ceilings of the deployment are higher."""
    other_errors = {}
    config = tmp_path / "langgraph.json"
    entries = {name: {"ceilings": {name: limit}} for name, (limit, _, _) in CASES.items()}
    config.write_bytes(orjson.dumps({"graphs": dict.fromkeys(entries, GRAPH), "slipway": {"graphs": entries}}))
    settings = load(config=config, model_output_tokens=4096)
    graphs = await Registry.load(config)
    async with serving(settings, graphs) as served, running_worker(settings, graphs), client_of(served) as client:
        for name, (limit, exceeding_input, code) in CASES.items():
            error = await run_error(served, client, name, {"input": exceeding_input})
            if (error.get("code"), error.get("limit")) != (code, limit):
                other_errors[name] = error
    assert other_errors == {}


@pytest.mark.parametrize("of_graph", [True, False], ids=["the graph's", "the deployment's"])
async def test_a_state_write_is_subject_to_max_state_bytes(load: Load, tmp_path: Path, of_graph: bool) -> None:
    config = tmp_path / "langgraph.json"
    entry = {"ceilings": {"max_state_bytes": 20_000}} if of_graph else {}
    config.write_bytes(orjson.dumps({"graphs": {"small": GRAPH}, "slipway": {"graphs": {"small": entry}}}))
    settings = load(config=config, max_body_bytes=65_536, max_state_bytes=1_000_000 if of_graph else 65_536)
    graphs, limit = await Registry.load(config), 20_000 if of_graph else 65_536
    async with serving(settings, graphs) as served, client_of(served) as client:
        created = await client.post("/threads", json={"metadata": {"graph_id": "small"}})
        url, text = f"/threads/{created.json()['thread_id']}/state", b64encode(incompressible(limit // 3)).decode()
        stored = await client.post(url, json={"values": {"text": text}})
        rejected = await client.post(url, json={"values": {"text": text}})
        state = (await client.get(url)).json()
    assert stored.status_code == 200, stored.text
    error = rejected.json()
    assert (rejected.status_code, error["code"], error["limit"]) == (413, "ceiling.state_bytes", limit)
    assert state["values"]["text"] == text


@pytest.mark.parametrize("source", SOURCES)
async def test_an_unknown_ceiling_is_rejected(load: Load, graphs: Registry, source: str) -> None:
    name = "max_stpes"
    async with serving(load(), graphs) as served, client_of(served) as client:
        body = body_with(source, ceilings={name: 5})
        if source.startswith("assistant"):
            rejected = await client.post("/assistants", json={"graph_id": "plain"} | body)
        else:
            rejected = await client.post("/runs", json={"assistant_id": "plain"} | body)
    assert rejected.status_code == 422
    path = "context" if source.endswith("context") else "config.configurable"
    assert rejected.json()["field"] == f"{path}.ceilings.{name}"


ANSWER_ROUTES: Final = ("answer", "answer of an inline graph", "breakpoint", "event protocol", "cron")


@pytest.mark.parametrize("route", ANSWER_ROUTES)
async def test_an_answer_cannot_raise_the_ceilings_of_its_chain(
    load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys, route: str
) -> None:
    graph_id = "inline" if "inline" in route else "plain"
    first = {"assistant_id": graph_id, "input": {"upto": 9, "interrupt_at": 2}}
    if route == "breakpoint":
        first = {"assistant_id": graph_id, "input": {"upto": 9}, "interrupt_after": ["step"]}
    first |= body_with("request.config", ceilings={"max_steps": 4})
    async with serving(load(), graphs) as served, running_worker(load(), graphs), client_of(served) as client:
        thread_id = str((await client.post("/threads", json={})).json()["thread_id"])
        paused = await client.post(f"/threads/{thread_id}/runs/wait", json=first)
        assert paused.status_code == 200, paused.text
        await continue_thread(route, served, client, thread_id, graph_id, DueTimes(pipeline, keys))
        answering, _ = (await client.get(f"/threads/{thread_id}/runs")).json()
        await client.get(f"/threads/{thread_id}/runs/{answering['run_id']}/join")
        ended = (await client.get(f"/threads/{thread_id}/runs/{answering['run_id']}")).json()
    assert (ended["error"]["code"], ended["error"]["limit"]) == ("ceiling.steps", 4)
    assert (answering["ceilings"]["max_steps"], ended["usage"]["steps"]) == (4, 4)


async def continue_thread(
    route: str, served: Served, client: httpx.AsyncClient, thread_id: str, graph_id: str, due_times: DueTimes
) -> None:
    """Continues the thread in one of the `ANSWER_ROUTES` with a request that sets no ceilings."""
    run = {"assistant_id": graph_id, "command": {"resume": "yes"}}
    if route == "event protocol":
        state = (await client.get(f"/threads/{thread_id}/state")).json()
        params = {"interrupt_id": state["interrupts"][0]["id"], "response": "yes"}
        command = {"id": 1, "method": "input.respond", "params": params}
        response = await client.post(f"/threads/{thread_id}/commands", json=command)
    elif route == "cron":
        cron = await client.post(f"/threads/{thread_id}/runs/crons", json=run | {"schedule": "* * * * *"})
        await due_times.make_due(cron.json()["cron_id"])
        assert await Scheduler(served.services).run_once() == 1
        response = cron
    elif route == "breakpoint":
        response = await client.post(f"/threads/{thread_id}/runs", json={"assistant_id": graph_id, "input": None})
    else:
        response = await client.post(f"/threads/{thread_id}/runs", json=run)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("source", SOURCES)
async def test_a_priority_is_stored_no_matter_where_it_is_set(
    load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys, source: str
) -> None:
    async with serving(load(), graphs) as served, client_of(served) as client:
        assistant, body = "plain", body_with(source, priority="high")
        if source.startswith("assistant"):
            assistant = (await client.post("/assistants", json={"graph_id": "plain"} | body)).json()["assistant_id"]
            body = {}
        run = (await client.post(f"/threads/{new_id()}/runs", json=RUN | {"assistant_id": assistant} | body)).json()
        assert await pipeline.send("HGET", keys.run(run["run_id"]), "priority_ms") == b"-60000"


@pytest.mark.parametrize(
    ("source", "name", "value", "field"),
    [
        *((source, "priority", "urgent", "priority") for source in SOURCES if source.endswith("config")),
        *((source, "ceilings", 5, "ceilings") for source in SOURCES),
        *((source, "ceilings", {"max_steps": -1}, "ceilings.max_steps") for source in SOURCES),
    ],
)
async def test_the_error_of_a_wrong_option_names_the_member_of_the_request(
    load: Load, graphs: Registry, source: str, name: str, value: object, field: str
) -> None:
    body = body_with(source, **{name: value})
    path = "context" if source.endswith("context") else "config.configurable"
    async with serving(load(), graphs) as served, client_of(served) as client:
        if source.startswith("assistant"):
            rejected = await client.post("/assistants", json={"graph_id": "plain"} | body)
        else:
            rejected = await client.post(f"/threads/{new_id()}/runs", json=RUN | body)
    assert (rejected.status_code, rejected.json()["field"]) == (422, f"{path}.{field}")


@pytest.mark.parametrize("source", ["request.context", "assistant.context"])
@pytest.mark.parametrize("value", ["urgent", 5, None])
async def test_another_priority_in_a_context_belongs_to_the_graph(
    load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys, source: str, value: object
) -> None:
    assistant, body = "plain", {"context": {"priority": value}}
    async with serving(load(), graphs) as served, client_of(served) as client:
        if source.startswith("assistant"):
            assistant = (await client.post("/assistants", json={"graph_id": "plain"} | body)).json()["assistant_id"]
            body = {}
        response = await client.post(f"/threads/{new_id()}/runs", json=RUN | {"assistant_id": assistant} | body)
        assert response.status_code == 200, response.text
        run = response.json()
        assert await pipeline.send("HGET", keys.run(run["run_id"]), "priority_ms") is None
        assert run["kwargs"]["context"]["priority"] == value
