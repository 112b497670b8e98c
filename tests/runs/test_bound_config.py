"""The config that a graph has from `with_config` applies to its runs; the request and the assistant have precedence."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from slipway.graphs.registry import Registry
from slipway.runs.record import Phase, Run
from tests.runs.conftest import Stores
from tests.runs.executions import execute_next

VARIABLE = "LANGGRAPH_DEFAULT_RECURSION_LIMIT"


async def run_to_end(
    stores: Stores, graphs: Registry, graph_id: str, input: Any, config: dict[str, Any], **limits: float
) -> Run:
    """Executes a run of a graph with this config and these ceilings, and returns its stored record."""
    kwargs = {"input": input, "config": config, "stream_mode": ["values", "events"]}
    await stores.create_run(graph_id=graph_id, options=kwargs, ceilings=limits)
    return await execute_next(stores, graphs)


async def outcome_of_loop(stores: Stores, graphs: Registry, graph_id: str, limit: int | None, **limits: float) -> str:
    """Executes a loop of six supersteps. Returns `completed` or the name of the error."""
    config = {} if limit is None else {"recursion_limit": limit}
    run = await run_to_end(stores, graphs, graph_id, {"value": 0, "until": 6}, config, **limits)
    return run.phase.value if run.error is None else str(run.error["error"])


@pytest.mark.parametrize("graph_id", ["loop_of_four", "made_loop_of_four"])
async def test_the_recursion_limit_of_the_graph_applies_unless_the_run_has_one(
    stores: Stores, graphs: Registry, graph_id: str
) -> None:
    assert await outcome_of_loop(stores, graphs, graph_id, None) == "GraphRecursionError"
    assert await outcome_of_loop(stores, graphs, graph_id, 10) == "completed"


async def test_a_recursion_limit_of_the_graph_is_cut_to_the_ceiling_without_a_notice(
    stores: Stores, graphs: Registry
) -> None:
    run = await run_to_end(stores, graphs, "generous_loop", {"value": 0}, {}, max_steps=5)
    assert run.error is not None
    assert (run.error["code"], run.usage["steps"]) == ("ceiling.steps", 5)
    assert not [event for event in await stores.log_of(run) if event.name == "notice" and b"asked" in event.block]


async def test_langgraphs_environment_variable_limits_runs_without_a_recursion_limit(
    stores: Stores, graphs: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "3")
    assert await outcome_of_loop(stores, graphs, "loop", None) == "GraphRecursionError"
    assert await outcome_of_loop(stores, graphs, "loop", 10) == "completed"
    assert await outcome_of_loop(stores, graphs, "generous_loop", None) == "completed"
    monkeypatch.setenv(VARIABLE, "1000")
    run = await run_to_end(stores, graphs, "loop", {"value": 0}, {}, max_steps=5)
    assert run.error is not None
    assert run.error["code"] == "ceiling.steps"
    assert not [event for event in await stores.log_of(run) if event.name == "notice" and b"asked" in event.block]


async def test_all_other_members_of_the_config_are_merged_as_in_langgraph(stores: Stores, graphs: Registry) -> None:
    config = {"tags": ["mine"], "configurable": {"size": 2}, "max_concurrency": 2}
    node_config, name = await _node_config(stores, graphs, config, {"level": 2})
    assert node_config == {
        "tags": ["bound", "mine"],
        "metadata": {"team": "desk", "level": 2},
        "configurable": {"tone": "dry", "size": 2},
        "max_concurrency": 2,
    }
    assert name == "named"
    node_config, name = await _node_config(stores, graphs, {"run_name": "mine"}, {})
    assert node_config["max_concurrency"] == 3
    assert name == "mine"


async def _node_config(
    stores: Stores, graphs: Registry, config: dict[str, Any], metadata: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """The config that the node of graph `bound` received, and the name of the run in LangChain's events."""
    kwargs = {"input": {}, "config": config, "stream_mode": ["values", "events"]}
    await stores.create_run(graph_id="bound", options=kwargs, metadata=metadata)
    run = await execute_next(stores, graphs)
    assert run.phase is Phase.COMPLETED
    blocks = [event.block for event in await stores.log_of(run) if event.name == "events"]
    first = orjson.loads(blocks[0].split(b"data: ", 1)[1].splitlines()[0])
    values = (await stores.thread_of(run)).values
    assert values is not None
    return values["node_config"], first["name"]
