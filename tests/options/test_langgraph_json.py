"""Every key of the section `slipway` of langgraph.json does what it says: for each there is a test that fails when it
is ignored."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

import httpx
import orjson
import pytest
from langgraph_sdk import get_client

from slipway.graphs.registry import Registry
from slipway.graphs.slipway_section import GraphSection
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import new_id
from tests.http.conftest import serving
from tests.options.conftest import PROJECT, Load
from tests.options.test_options import RUN, one_waits_for_the_other
from tests.working import working

TESTS: Final = {
    "execution": "test_an_inline_graph_needs_no_worker",
    "inline_budget_s": "tests/options/test_options.py::test_the_budget_of_graphs_that_have_none_of_their_own",
    "ceilings": "test_ceilings_of_all_graphs_and_of_one",
    "version": "test_the_version_is_shown",
    "priority": "test_an_urgent_run_goes_first",
    "max_running_runs": "test_the_running_runs_of_one_graph",
}


def test_every_key_has_a_test() -> None:
    assert TESTS.keys() == GraphSection.model_fields.keys()
    assert all(name in globals() for name in TESTS.values() if "::" not in name)


async def test_an_inline_graph_needs_no_worker(load: Load, graphs: Registry) -> None:
    async with serving(load(), graphs) as served, get_client(url=served.url) as client:
        thread_id = (await client.threads.create())["thread_id"]
        assert await client.runs.wait(thread_id, "here", input={}) == {"steps": 1, "text": ""}
        other = await client.runs.create(None, "plain", input={})
        assert other["status"] == "pending"


@pytest.mark.parametrize(("graph_id", "limit"), [("plain", 100), ("bounded", 3)])
async def test_ceilings_of_all_graphs_and_of_one(load: Load, graph_id: str, limit: int) -> None:
    settings = load(config=PROJECT.with_name("ceilings.json"))
    graphs = await Registry.load(settings.config)
    async with serving(settings, graphs) as served, working(settings, graphs) as (_, services):
        async with get_client(url=served.url) as client:
            thread_id = (await client.threads.create())["thread_id"]
            await client.runs.wait(thread_id, graph_id, input={"upto": 200}, raise_error=False)
            (run,) = await client.runs.list(thread_id)
        error = (await services.runs.find(run["run_id"])).error
        assert error is not None
        assert (error["code"], error["limit"]) == ("ceiling.steps", limit)


async def test_the_version_is_shown(load: Load, graphs: Registry) -> None:
    async with serving(load(), graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        shown = (await client.get("/info")).json()["graphs"]
        assert (shown["bounded"], shown["plain"]) == ({"version": "2.1"}, {"version": "1"})


async def test_an_urgent_run_goes_first(load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys) -> None:
    async with serving(load(), graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        for graph_id in ("plain", "urgent"):
            body = RUN | {"assistant_id": graph_id}
            last = (await client.post(f"/threads/{new_id()}/runs", json=body)).json()
        assert (await pipeline.send("ZRANGE", keys.queue, 0, 0))[0].decode().startswith(last["run_id"])


async def test_the_default_config_is_the_system_assistants(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the reference server has it: in `LANGGRAPH_CONFIG`, below what a run says, and not for other assistants."""
    config = {"configurable": {"a": 1, "b": 2}, "recursion_limit": 3, "tags": ["t"]}
    monkeypatch.setenv("LANGGRAPH_CONFIG", orjson.dumps({"plain": config}).decode())
    settings = load()
    graphs = await Registry.load(settings.config)
    async with serving(settings, graphs) as served, working(settings, graphs), get_client(url=served.url) as client:
        system = await client.assistants.get("plain")
        assert (system["config"], system["context"]) == (config, config["configurable"])
        own = await client.assistants.create("plain")
        assert (own["config"], own["context"]) == ({}, {})

        async def ran(assistant: str, **given: Any) -> tuple[Any, Any]:
            thread_id = (await client.threads.create())["thread_id"]
            values = await client.runs.wait(thread_id, assistant, input={"upto": 6}, raise_error=False, **given)
            run: Any = (await client.runs.list(thread_id))[0]
            return values, run["kwargs"]["config"]

        values, used = await ran("plain")
        assert "GraphRecursionError" in str(values)
        assert (used["configurable"]["a"], used["configurable"]["b"], used["tags"]) == (1, 2, ["t"])
        values, used = await ran("plain", config={"configurable": {"b": 3}, "recursion_limit": 9})
        assert values["steps"] == 6
        assert (used["configurable"]["a"], used["configurable"]["b"], used["recursion_limit"]) == (1, 3, 9)
        values, used = await ran(own["assistant_id"])
        assert values["steps"] == 6
        assert "a" not in used["configurable"]


async def test_the_running_runs_of_one_graph(load: Load, graphs: Registry, project: ModuleType) -> None:
    await one_waits_for_the_other(load(), graphs, project, assistant_id="one_at_a_time")
