"""The state of a thread: read at any checkpoint, written from outside a run, and its history.

Reading needs the graph, for only the graph knows its channels and what comes next, but no worker. Writing goes
through a writer that refuses while a run of the thread is active.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot, StateUpdate

from slipway.access.users import User
from slipway.checkpoints.fenced_writers import IdleThreadWriter
from slipway.checkpoints.thread_saver import ThreadSaver
from slipway.errors import Conflict, RefusedRequest
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.threads.graph_opener import ThreadGraphOpener
from slipway.threads.protocol_state import interrupts_of, place_of, shown, status_of
from slipway.threads.record import Thread
from slipway.threads.state_reader import read_history, read_state
from slipway.threads.state_updates import update_error, update_values
from slipway.threads.store import ThreadStore

Place = dict[str, Any]
"""Where in a thread: any of checkpoint_id, checkpoint_ns, checkpoint_map."""

_LATEST: Final[Place] = {}

log = structlog.get_logger(__name__)


class ThreadStateStore:
    """States of all threads, in the protocol's shapes."""

    def __init__(
        self, graphs: ThreadGraphOpener, threads: ThreadStore, checkpointer: ThreadSaver, pipeline: Pipeline, keys: Keys
    ) -> None:
        self._graphs, self._threads, self._checkpointer = graphs, threads, checkpointer
        self._pipeline, self._keys = pipeline, keys

    async def get(
        self, thread_id: str, place: Place = _LATEST, *, subgraphs: bool = False, user: User | None = None
    ) -> dict[str, Any]:
        """The state at `place`. A thread that never ran has an empty one. `user` is who asks: factories are told.
        Raises `NotFound`."""
        thread = await self._threads.get(thread_id)
        if thread.graph_id is None:
            return shown(_never_ran(thread_id))
        async with self._graphs.for_reading(thread, user) as graph:
            return shown(await read_state(graph, _config(thread_id, place), subgraphs=subgraphs))

    async def history(
        self,
        thread_id: str,
        *,
        limit: int = 10,
        before: str | None = None,
        metadata: dict[str, Any] | None = None,
        place: Place = _LATEST,
        user: User | None = None,
    ) -> list[dict[str, Any]]:
        """Past states, newest first, all branches; `before` is a checkpoint id. Raises `NotFound`."""
        thread = await self._threads.get(thread_id)
        if thread.graph_id is None:
            return []
        config = _config(thread_id, place)
        earlier = _config(thread_id, {"checkpoint_id": before}) if before else None
        async with self._graphs.for_reading(thread, user) as graph:
            states = await read_history(graph, config, filter=metadata, before=earlier, limit=limit)
            return [shown(state) for state in states]

    async def update(
        self,
        thread_id: str,
        values: Any,
        *,
        as_node: str | None = None,
        place: Place = _LATEST,
        user: User | None = None,
    ) -> dict[str, Any]:
        """Write `values` as if `as_node` had returned them; the new checkpoint's place. Raises `NotFound`, `Conflict`
        while a run is active, and `RefusedRequest` when the graph does not take it."""
        thread = await self._threads.get(thread_id)
        return await self._write(thread, place, [[StateUpdate(update_values(values), as_node)]], user)

    async def replay(
        self, thread_id: str, supersteps: Sequence[Sequence[StateUpdate]], user: User | None = None
    ) -> None:
        """Write one superstep after the other: how a thread is imported."""
        await self._write(await self._threads.get(thread_id), _LATEST, supersteps, user)

    async def _write(
        self, thread: Thread, place: Place, supersteps: Sequence[Sequence[StateUpdate]], user: User | None
    ) -> dict[str, Any]:
        if thread.graph_id is None:
            raise RefusedRequest(f"thread {thread.thread_id} has no graph yet: run it, or set metadata.graph_id")
        if thread.status == "busy":  # the writer decides; this only saves the work
            raise Conflict(f"thread {thread.thread_id} has a run that is pending or running")
        writer = IdleThreadWriter(self._pipeline, self._keys, thread.thread_id, thread.incarnation)
        saver = self._checkpointer.for_run(writer, max_thread_bytes=self._graphs.max_state_bytes(thread))
        given = await self._graphs.config(thread, user)
        async with self._graphs.for_writing(thread, given, saver) as graph:
            config = _config(thread.thread_id, {**given["configurable"], **place})
            config["metadata"] = _origin(thread)
            try:
                written = await graph.abulk_update_state(config, supersteps)
            except BaseException as error:  # reducers and schemas are the graph's own code
                if (refusal := update_error(thread.graph_id, error)) is None:
                    raise
                raise refusal from error
            latest = await read_state(graph, _config(thread.thread_id, _LATEST))
        place = place_of(written) or {}
        await self._threads.set_state(
            thread.thread_id,
            status=status_of(latest),
            values=cast("dict[str, Any]", latest.values),
            interrupts=interrupts_of(latest),
            checkpoint_id=place.get("checkpoint_id"),
            incarnation=thread.incarnation,
        )
        return place


def _config(thread_id: str, place: Place) -> RunnableConfig:
    configurable = {"checkpoint_ns": "", **place, "thread_id": thread_id}
    return {"configurable": configurable}


def _origin(thread: Thread) -> dict[str, Any]:
    """What a checkpoint written from outside a run says of where it comes from."""
    return {name: thread.metadata[name] for name in ("graph_id", "assistant_id") if name in thread.metadata}


def _never_ran(thread_id: str) -> StateSnapshot:
    return StateSnapshot({}, (), _config(thread_id, _LATEST), None, None, None, (), ())
