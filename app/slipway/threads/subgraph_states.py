"""Reads the state of each subgraph separately.

LangGraph reads the states of all subgraphs or of none. Here a state that cannot be read (a `RemoteGraph` whose server
is unavailable, for example) is missing in its own task only.
"""

from __future__ import annotations

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.types import PregelTask, StateSnapshot

from slipway.errors import StoreUnavailable
from slipway.exception_text import class_name
from slipway.graphs.interface import Graph

log = structlog.get_logger(__name__)


async def with_subgraphs(graph: Graph, state: StateSnapshot) -> StateSnapshot:
    """Returns `state`, with the states of the subgraphs in its tasks instead of their configs. A task whose subgraph's
    state cannot be read still has the config. `graph` is the root graph of the thread and has a checkpointer."""
    return state._replace(tasks=tuple([await _with_state(graph, task) for task in state.tasks]))


async def _with_state(graph: Graph, task: PregelTask) -> PregelTask:
    if not isinstance(task.state, dict):
        return task
    config = task.state
    complete = await _state_of(graph, task.name, config, subgraphs=True)
    if complete is not None:
        return task._replace(state=complete)
    own_state = await _state_of(graph, task.name, config, subgraphs=False)
    return task if own_state is None else task._replace(state=await with_subgraphs(graph, own_state))


async def _state_of(graph: Graph, node: str, config: RunnableConfig, *, subgraphs: bool) -> StateSnapshot | None:
    """None when the state, or with `subgraphs` a state inside it, cannot be read."""
    try:
        return await graph.aget_state(config, subgraphs=subgraphs)
    except StoreUnavailable:
        raise
    except (Exception, SystemExit) as error:
        log.warning("state.subgraph_unreadable", node=node, inside=subgraphs, error=class_name(error))
        return None
