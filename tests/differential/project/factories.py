"""Factories that use the config, the runtime or a context manager; the functional API; a graph that is not compiled."""

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


class Log(TypedDict, total=False):
    """The state of the graphs that factories return."""

    log: list[str]


def _node(name: str, interrupts: bool) -> Any:
    def work(state: Log) -> Log:
        answers = [interrupt(f"{name}?")] if interrupts else []
        return {"log": [*state.get("log", []), name, *answers]}

    return work


def _sequence(names: list[str], interrupts: bool = False) -> Any:
    graph: Any = StateGraph(Log)
    for name in names:
        graph.add_node(name, _node(name, interrupts))
    graph.add_edge(START, names[0])
    for earlier, later in pairwise(names):
        graph.add_edge(earlier, later)
    return graph.compile()


def by_config(config: RunnableConfig) -> Any:
    """Returns a graph with the nodes that `configurable.nodes` names. With `interrupts`, each node interrupts."""
    configurable = config.get("configurable", {})
    return _sequence(configurable.get("nodes") or ["plain"], bool(configurable.get("interrupts")))


async def by_runtime(runtime: ServerRuntime[Any]) -> Any:
    """Returns a graph with a node that is named after the purpose of the call."""
    return _sequence(["created", str(runtime.access_context).replace(".", "_")])


@asynccontextmanager
async def by_context_manager(config: RunnableConfig) -> AsyncIterator[Any]:
    """Log for a block."""
    yield _sequence([*(config.get("configurable", {}).get("nodes") or ["managed"])])


@task
async def double(number: int) -> int:
    return number * 2


@entrypoint()
async def functional(numbers: list[int]) -> dict[str, Any]:
    """Doubles all numbers, then interrupts."""
    doubled = [await double(number) for number in numbers]
    return {"doubled": doubled, "answer": interrupt("enough?")}


@entrypoint()
async def functional_plain(numbers: list[int], *, previous: Any = None) -> Any:
    """Doubles all numbers, and returns the numbers that the previous run saved."""
    doubled = [await double(number) for number in numbers]
    return entrypoint.final(value={"doubled": doubled, "previous": previous}, save=doubled)


_uncompiled_node = _node("uncompiled_node", interrupts=False)
uncompiled: Any = StateGraph(Log).add_node("uncompiled_node", _uncompiled_node).add_edge(START, "uncompiled_node")
