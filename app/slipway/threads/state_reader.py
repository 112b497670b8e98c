"""Reads the state of a thread through its graph, or from its checkpoint alone if the graph raises.

A graph's state class may reject stored values: the input of a run is stored before the first node validates it. Such a
thread must stay readable, so that its users can find the cause.
"""

from __future__ import annotations

from typing import Any

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import StateSnapshot

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.errors import SlipwayError, StoredDataError, StoreUnavailable
from slipway.exception_text import class_name
from slipway.graphs.interface import Graph
from slipway.threads.subgraph_states import with_subgraphs

log = structlog.get_logger(__name__)


async def read_state(graph: Graph, config: RunnableConfig, *, subgraphs: bool = False) -> StateSnapshot:
    """The state at `config`. With `subgraphs`, the task of a subgraph includes the subgraph's state if that can be
    read. `graph` has a checkpointer."""
    if not subgraphs:
        return await _read(graph, config)
    try:
        return await graph.aget_state(config, subgraphs=True)
    except StoreUnavailable:
        raise
    except (Exception, SystemExit):  # the error does not name the subgraph
        return await with_subgraphs(graph, await _read(graph, config))


async def _read(graph: Graph, config: RunnableConfig) -> StateSnapshot:
    try:
        return await graph.aget_state(config)
    except (SlipwayError, ConnectionError):
        raise
    except (Exception, SystemExit) as error:
        stored = await _checkpointer_of(graph).aget_tuple(config)
        if stored is None:
            raise
        log.warning("state.unreadable", error=class_name(error))  # its text may contain values of the state
        return state_without_graph(graph, stored)


async def read_history(
    graph: Graph, config: RunnableConfig, *, filter: dict[str, Any] | None, before: RunnableConfig | None, limit: int
) -> list[StateSnapshot]:
    """Returns up to `limit` states of the thread before `before` whose metadata matches `filter`, newest first. A state
    that the graph rejects is read from its checkpoint alone. A damaged checkpoint is skipped and logged; raises
    `StoredDataError` if no other checkpoint matches."""
    try:
        return [state async for state in graph.aget_state_history(config, filter=filter, before=before, limit=limit)]
    except StoredDataError as error:
        readable = await _readable_history(graph, config, filter or {}, before, limit)
        if not readable:
            raise error
        return readable
    except (SlipwayError, ConnectionError):
        raise
    except (Exception, SystemExit):
        checkpoints = _checkpointer_of(graph).alist(config, filter=filter, before=before, limit=limit)
        past = [stored async for stored in checkpoints]
        if not past:
            raise
        return [await read_state(graph, stored.config) for stored in past]


async def _readable_history(
    graph: Graph, config: RunnableConfig, filter: dict[str, Any], before: RunnableConfig | None, limit: int
) -> list[StateSnapshot]:
    """Reads the history one checkpoint at a time. This is slower, and used only if a checkpoint is damaged."""
    checkpointer, target = _checkpointer_of(graph), config["configurable"]
    assert isinstance(checkpointer, BaseCheckpointer)
    earliest, only_id = before["configurable"]["checkpoint_id"] if before else None, target.get("checkpoint_id")
    states: list[StateSnapshot] = []
    for checkpoint_id in await checkpointer.checkpoint_ids(str(target["thread_id"]), target.get("checkpoint_ns", "")):
        if (earliest and checkpoint_id >= earliest) or (only_id and checkpoint_id != only_id):
            continue
        if len(states) == limit:
            break
        past: RunnableConfig = {**config, "configurable": {**target, "checkpoint_id": checkpoint_id}}
        try:
            state = await read_state(graph, past)
        except StoredDataError as error:
            log.error("checkpoint.damaged", thread=target["thread_id"], checkpoint=checkpoint_id, problem=str(error))
            continue
        metadata = state.metadata or {}
        if state.created_at is not None and all(metadata.get(name) == value for name, value in filter.items()):
            states.append(state)
    return states


def state_without_graph(graph: Graph, stored: CheckpointTuple) -> StateSnapshot:
    """The state of a checkpoint without using the graph's classes: values, but no tasks and no next nodes."""
    channels = graph.stream_channels_list
    values = {name: value for name, value in stored.checkpoint["channel_values"].items() if name in channels}
    created_at = stored.checkpoint["ts"]
    return StateSnapshot(values, (), stored.config, stored.metadata, created_at, stored.parent_config, (), ())


def _checkpointer_of(graph: Graph) -> BaseCheckpointSaver[Any]:
    checkpointer = graph.checkpointer
    assert isinstance(checkpointer, BaseCheckpointSaver)
    return checkpointer
