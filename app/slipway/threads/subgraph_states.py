"""The states of subgraphs inside the state of their parent, each read by itself.

LangGraph reads them all or none. Here one that cannot be read, such as that of a `RemoteGraph` whose server is away,
leaves its own task without a state and nothing else.
"""

from __future__ import annotations

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.types import PregelTask, StateSnapshot

from slipway.errors import StoreUnavailable
from slipway.exception_text import class_name
from slipway.graphs.served_graphs import Graph

log = structlog.get_logger(__name__)


async def with_subgraphs(graph: Graph, state: StateSnapshot) -> StateSnapshot:
    """`state` with those of its subgraphs that can be read. `graph` is the root graph of the thread, with its
    checkpointer with_checkpointer."""
    return state._replace(tasks=tuple([await _with_state(graph, task) for task in state.tasks]))


async def _with_state(graph: Graph, task: PregelTask) -> PregelTask:
    if not isinstance(task.state, dict):
        return task
    place = task.state
    whole = await _state_of(graph, task.name, place, subgraphs=True)
    if whole is not None:
        return task._replace(state=whole)
    own = await _state_of(graph, task.name, place, subgraphs=False)
    return task if own is None else task._replace(state=await with_subgraphs(graph, own))


async def _state_of(graph: Graph, node: str, place: RunnableConfig, *, subgraphs: bool) -> StateSnapshot | None:
    """None when it cannot be read, or one inside it cannot."""
    try:
        return await graph.aget_state(place, subgraphs=subgraphs)
    except StoreUnavailable:
        raise
    except (Exception, SystemExit) as error:
        log.warning("state.subgraph_refused", node=node, inside=subgraphs, error=class_name(error))
        return None
