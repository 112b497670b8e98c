"""Every key of section `slipway` in langgraph.json has its effect: for each key one test fails when Slipway ignores
it."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

import httpx
import orjson
import pytest
from langgraph_sdk import get_client

from slipway.checkpoints.kept_by_graph import KeptByGraph
from slipway.errors import ConfigError
from slipway.graphs.registry import Registry
from slipway.graphs.slipway_section import GraphSection
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import new_id
from tests.http.conftest import serving
from tests.settings.conftest import PROJECT, Load
from tests.settings.test_effects import RUN, check_second_run_waits_for_first
from tests.worker import running_worker

TESTS: Final = {
    "execution": "test_a_run_of_an_inline_graph_ends_without_a_worker",
    "inline_budget_s": "tests/settings/test_effects.py::test_inline_budget_s_applies_to_graphs_without_an_own_budget",
    "ceilings": "test_ceilings_of_all_graphs_and_of_one_graph_are_enforced",
    "version": "test_the_info_endpoint_returns_the_version_of_each_graph",
    "priority": "test_a_run_of_a_high_priority_graph_is_queued_first",
    "keep_checkpoints": "test_keep_checkpoints_of_a_graph_overrides_the_setting",
    "max_running_runs": "test_max_running_runs_limits_the_runs_of_one_graph",
    "models": "tests/models/test_runs.py::test_each_node_has_its_route",
    "versions": "tests/registry/test_declared_versions.py::test_versions_are_read_in_their_order",
    "default": "tests/rollouts/test_choice.py::test_a_rollout_takes_precedence_over_the_default",
    "moves": "tests/runs/test_held_runs.py::test_a_held_run_gets_its_version_anew",
    "migrations": "tests/thread_moves/test_moving_runs.py::"
    "test_a_waiting_thread_is_migrated_when_its_question_is_answered",
    "on_exhausted": "tests/thread_moves/test_moving_runs.py::"
    "test_a_run_whose_retries_are_used_up_pauses_and_continues_on_another_version",
    "durability": "tests/replication/test_runs.py::test_the_graph_says_which_durability_its_runs_have",
    "behaviour": "tests/registry/test_structures.py::test_the_fingerprint_changes_with_the_declared_behaviour",
    "removed_channels": "tests/registry/test_verdicts.py::"
    "test_a_value_that_the_project_has_given_up_holds_only_what_is_under_way",
}


def test_every_key_has_a_test() -> None:
    assert TESTS.keys() == GraphSection.model_fields.keys()
    assert all(name in globals() for name in TESTS.values() if "::" not in name)


async def test_a_run_of_an_inline_graph_ends_without_a_worker(load: Load, graphs: Registry) -> None:
    async with serving(load(), graphs) as served, get_client(url=served.url) as client:
        thread_id = (await client.threads.create())["thread_id"]
        assert await client.runs.wait(thread_id, "inline", input={}) == {"steps": 1, "text": ""}
        run_for_a_worker = await client.runs.create(None, "plain", input={})
        assert run_for_a_worker["status"] == "pending"


@pytest.mark.parametrize(("graph_id", "limit"), [("plain", 100), ("bounded", 3)])
async def test_ceilings_of_all_graphs_and_of_one_graph_are_enforced(load: Load, graph_id: str, limit: int) -> None:
    settings = load(config=PROJECT.with_name("ceilings.json"))
    graphs = await Registry.load(settings.config)
    async with serving(settings, graphs) as served, running_worker(settings, graphs) as (_, services):
        async with get_client(url=served.url) as client:
            thread_id = (await client.threads.create())["thread_id"]
            await client.runs.wait(thread_id, graph_id, input={"upto": 200}, raise_error=False)
            (run,) = await client.runs.list(thread_id)
        error = (await services.runs.find(run["run_id"])).error
        assert error is not None
        assert (error["code"], error["limit"]) == ("ceiling.steps", limit)


async def test_the_info_endpoint_returns_the_version_of_each_graph(load: Load, graphs: Registry) -> None:
    async with serving(load(), graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        graph_info = (await client.get("/info")).json()["graphs"]
        undeclared = graphs.default_version("plain")
        assert undeclared
        assert (graph_info["bounded"], graph_info["plain"]) == ({"version": "2.1"}, {"version": undeclared})


async def test_a_run_of_a_high_priority_graph_is_queued_first(
    load: Load, graphs: Registry, pipeline: Pipeline, keys: Keys
) -> None:
    async with serving(load(), graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        for graph_id in ("plain", "urgent"):
            body = RUN | {"assistant_id": graph_id}
            last = (await client.post(f"/threads/{new_id()}/runs", json=body)).json()
        assert (await pipeline.send("ZRANGE", keys.queue, 0, 0))[0].decode().startswith(last["run_id"])


async def test_langgraph_config_is_the_config_of_system_assistants_only(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the reference server: the config of a run has precedence, and other assistants do not get this config."""
    config = {"configurable": {"a": 1, "b": 2}, "recursion_limit": 3, "tags": ["t"]}
    monkeypatch.setenv("LANGGRAPH_CONFIG", orjson.dumps({"plain": config}).decode())
    settings = load()
    graphs = await Registry.load(settings.config)
    async with (
        serving(settings, graphs) as served,
        running_worker(settings, graphs),
        get_client(url=served.url) as client,
    ):
        system = await client.assistants.get("plain")
        assert (system["config"], system["context"]) == (config, config["configurable"])
        created = await client.assistants.create("plain")
        assert (created["config"], created["context"]) == ({}, {})

        async def values_and_config(assistant: str, **options: Any) -> tuple[Any, Any]:
            thread_id = (await client.threads.create())["thread_id"]
            values = await client.runs.wait(thread_id, assistant, input={"upto": 6}, raise_error=False, **options)
            run: Any = (await client.runs.list(thread_id))[0]
            return values, run["kwargs"]["config"]

        values, run_config = await values_and_config("plain")
        assert "GraphRecursionError" in str(values)
        assert (run_config["configurable"]["a"], run_config["configurable"]["b"], run_config["tags"]) == (1, 2, ["t"])
        values, run_config = await values_and_config("plain", config={"configurable": {"b": 3}, "recursion_limit": 9})
        assert values["steps"] == 6
        assert (run_config["configurable"]["a"], run_config["configurable"]["b"], run_config["recursion_limit"]) == (
            1,
            3,
            9,
        )
        values, run_config = await values_and_config(created["assistant_id"])
        assert values["steps"] == 6
        assert "a" not in run_config["configurable"]


async def test_keep_checkpoints_of_a_graph_overrides_the_setting(load: Load, graphs: Registry) -> None:
    of_settings, of_graphs = KeptByGraph(load(keep_checkpoints=5), graphs), KeptByGraph(load(), graphs)
    names = ("plain", "bounded", "urgent", "a deleted graph")
    assert [of_settings.keep_of(name) for name in names] == [5, 3, None, None]
    assert [of_graphs.keep_of(name) for name in names] == [None, 3, None, None]
    with pytest.raises(
        ConfigError, match=r"slipway\.graphs\.bounded\.keep_checkpoints needs SLIPWAY_CHECKPOINTER=core"
    ):
        KeptByGraph(load(checkpointer="langgraph-redis"), graphs)
    with pytest.raises(ConfigError, match="SLIPWAY_KEEP_CHECKPOINTS needs SLIPWAY_CHECKPOINTER=core"):
        load(checkpointer="langgraph-redis", keep_checkpoints=5)


async def test_max_running_runs_limits_the_runs_of_one_graph(load: Load, graphs: Registry, project: ModuleType) -> None:
    await check_second_run_waits_for_first(load(), graphs, project, assistant_id="one_at_a_time")
