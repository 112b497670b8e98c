"""Functions that make graphs, by configuration, by runtime, and by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from langgraph_sdk.runtime import ServerRuntime


class Made(TypedDict, total=False):
    """What made graphs write."""

    log: list[str]


def _node(name: str, asks: bool) -> Any:
    def work(state: Made) -> Made:
        said = [interrupt(f"{name}?")] if asks else []
        return {"log": [*state.get("log", []), name, *said]}

    return work


def _graph(names: list[str], asks: bool = False) -> Any:
    graph: Any = StateGraph(Made)
    for name in names:
        graph.add_node(name, _node(name, asks))
    graph.add_edge(START, names[0])
    for one, other in pairwise(names):
        graph.add_edge(one, other)
    return graph.compile()


def by_config(config: RunnableConfig) -> Any:
    """The nodes that `configurable.nodes` names; they ask when `asks` is set."""
    chosen = config.get("configurable", {})
    return _graph(chosen.get("nodes") or ["plain"], bool(chosen.get("asks")))


async def by_runtime(runtime: ServerRuntime[Any]) -> Any:
    """One node named by why the graph is made."""
    return _graph(["made", str(runtime.access_context).replace(".", "_")])


@asynccontextmanager
async def by_context_manager(config: RunnableConfig) -> AsyncIterator[Any]:
    """Made for a block."""
    yield _graph([*(config.get("configurable", {}).get("nodes") or ["managed"])])


@task
async def double(number: int) -> int:
    """Twice as much."""
    return number * 2


@entrypoint()
async def functional(numbers: list[int]) -> dict[str, Any]:
    """Doubles them all, and asks."""
    doubled = [await double(number) for number in numbers]
    return {"doubled": doubled, "said": interrupt("enough?")}


@entrypoint()
async def functional_plain(numbers: list[int], *, previous: Any = None) -> Any:
    """Doubles them all."""
    doubled = [await double(number) for number in numbers]
    return entrypoint.final(value={"doubled": doubled, "before": previous}, save=doubled)


builder: Any = StateGraph(Made).add_node("built", _node("built", False)).add_edge(START, "built")
