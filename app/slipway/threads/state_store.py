"""Reads the state of a thread at any checkpoint and its history, and writes states from outside a run.

Reading needs the thread's graph, which defines the channels and the next nodes. It needs no worker. A write is stored
only if no run of the thread is active.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol, cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot, StateUpdate

from slipway.access.users import User
from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.fenced_writers import CheckpointWriter, CollectingWriter, IdleThreadWriter, PausedRunWriter
from slipway.errors import Conflict, RefusedRequest
from slipway.graphs.interface import Graph
from slipway.graphs.served_version import ServedVersion
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.runs.audit import AuditEntry
from slipway.runs.record import Phase, Run
from slipway.runs.write_commands import append_audit
from slipway.threads.graph_opener import ThreadGraphOpener
from slipway.threads.protocol_state import CheckpointRef, checkpoint_ref, interrupts_of, public_state, status_of
from slipway.threads.record import Thread
from slipway.threads.state_reader import read_history, read_state
from slipway.threads.state_updates import require_targets, update_error, update_values
from slipway.threads.store import ThreadStore

_LATEST: Final[CheckpointRef] = {}
NO_METADATA: Final[Mapping[str, Any]] = MappingProxyType({})


class VersionCheck(Protocol):
    """Checks which version wrote a state (`thread_moves/state_write_check.py`)."""

    async def check(self, thread: Thread, graph: Graph, version: ServedVersion, checkpoint: CheckpointRef, /) -> None:
        """Raises `VersionHeld` if the version must not continue this checkpoint of the thread."""


class ThreadStateStore:
    """The states of all threads, as the objects of the protocol."""

    def __init__(
        self,
        graphs: ThreadGraphOpener,
        threads: ThreadStore,
        checkpointer: BaseCheckpointer,
        versions: VersionCheck,
        pipeline: Pipeline,
        shards: Shards,
    ) -> None:
        self._graphs, self._threads, self._checkpointer, self._versions = graphs, threads, checkpointer, versions
        self._pipeline, self._shards = pipeline, shards

    async def get(
        self, thread_id: str, checkpoint: CheckpointRef = _LATEST, *, subgraphs: bool = False, user: User | None = None
    ) -> dict[str, Any]:
        """The state at a checkpoint. It is empty for a thread without a graph. A factory receives `user`. Raises
        `NotFound`."""
        thread = await self._threads.get(thread_id)
        if thread.graph_id is None:
            return public_state(_empty_state(thread_id))
        async with self._graphs.for_reading(thread, user) as graph:
            return public_state(await read_state(graph, _config(thread_id, checkpoint), subgraphs=subgraphs))

    async def history(
        self,
        thread_id: str,
        *,
        limit: int = 10,
        before: str | None = None,
        metadata: dict[str, Any] | None = None,
        checkpoint: CheckpointRef = _LATEST,
        user: User | None = None,
    ) -> list[dict[str, Any]]:
        """Past states of all branches, newest first. `before` is a checkpoint id. Raises `NotFound`."""
        thread = await self._threads.get(thread_id)
        if thread.graph_id is None:
            return []
        config = _config(thread_id, checkpoint)
        earlier = _config(thread_id, {"checkpoint_id": before}) if before else None
        async with self._graphs.for_reading(thread, user) as graph:
            states = await read_history(graph, config, filter=metadata, before=earlier, limit=limit)
            return [public_state(state) for state in states]

    async def update(
        self,
        thread_id: str,
        values: Any,
        *,
        as_node: str | None = None,
        checkpoint: CheckpointRef = _LATEST,
        user: User | None = None,
    ) -> dict[str, Any]:
        """Writes `values` as if the node `as_node` had returned them. Returns the new checkpoint. Raises `NotFound`,
        `Conflict` while a run is active, `VersionHeld` if another version of the graph wrote the checkpoint and that of
        the thread cannot continue it, and `RefusedRequest` when the graph rejects the values."""
        thread = await self._threads.get(thread_id)
        writer = CollectingWriter(self._idle_writer(thread))
        return await self._write(thread, writer, checkpoint, [[StateUpdate(update_values(values), as_node)]], user)

    async def edit(
        self,
        run: Run,
        values: Any,
        *,
        as_node: str | None,
        metadata: Mapping[str, Any],
        audit: AuditEntry,
    ) -> dict[str, Any]:
        """Does the same as `update` at the latest checkpoint, for the operator of a run: while that run is paused, or
        if it has ended, while the thread is idle. `metadata` are members of the checkpoint's metadata; `audit` is
        stored in the run's trail with the write."""
        entry = append_audit(
            self._shards.of_thread(run.thread_id),
            run.run_id,
            audit.action,
            audit.actor,
            audit.stored_details(run.run_id),
        )
        thread = await self._threads.get(run.thread_id)
        if run.phase is Phase.PAUSED:
            writer: CheckpointWriter = PausedRunWriter(
                self._pipeline, self._shards, run.run_id, run.incarnation, thread.thread_id, _pin_of(thread)
            )
        else:
            writer = self._idle_writer(thread)
        updates = [[StateUpdate(update_values(values), as_node)]]
        return await self._write(thread, CollectingWriter(writer, [entry]), _LATEST, updates, None, metadata)

    async def replay(
        self, thread_id: str, supersteps: Sequence[Sequence[StateUpdate]], user: User | None = None
    ) -> None:
        """Writes supersteps in order: this is how a client imports a thread. Raises as `update`."""
        thread = await self._threads.get(thread_id)
        await self._write(thread, self._idle_writer(thread), _LATEST, supersteps, user)

    def _idle_writer(self, thread: Thread) -> IdleThreadWriter:
        if thread.status == "busy":  # the writer checks it again, atomically
            raise Conflict(f"thread {thread.thread_id} has a run that is pending, running or paused")
        return IdleThreadWriter(self._pipeline, self._shards, thread.thread_id, thread.incarnation, _pin_of(thread))

    async def _write(
        self,
        thread: Thread,
        writer: CheckpointWriter,
        checkpoint: CheckpointRef,
        supersteps: Sequence[Sequence[StateUpdate]],
        user: User | None,
        metadata: Mapping[str, Any] = NO_METADATA,
    ) -> dict[str, Any]:
        if thread.graph_id is None:
            raise RefusedRequest(f"thread {thread.thread_id} has no graph yet: run it, or set metadata.graph_id")
        checkpointer = self._checkpointer.for_run(writer, max_thread_bytes=self._graphs.max_state_bytes(thread))
        base_config = await self._graphs.config(thread, user)
        async with self._graphs.for_writing(thread, base_config, checkpointer) as graph:
            version = self._graphs.version(thread)
            await self._versions.check(thread, graph, version, checkpoint)
            require_targets(supersteps, version, graph.nodes)
            config = _config(thread.thread_id, {**base_config["configurable"], **checkpoint})
            config["metadata"] = {**_checkpoint_metadata(thread), **metadata}
            try:
                written = await graph.abulk_update_state(config, supersteps)
            except BaseException as error:  # reducers and schemas are code of the project
                if (client_error := update_error(thread.graph_id, error)) is None:
                    raise
                raise client_error from error
            await writer.flush()
            latest = await read_state(graph, _config(thread.thread_id, _LATEST))
        checkpoint = checkpoint_ref(written) or {}
        await self._threads.set_state(
            thread.thread_id,
            status=status_of(latest),
            values=cast("dict[str, Any]", latest.values),
            interrupts=interrupts_of(latest),
            checkpoint_id=checkpoint.get("checkpoint_id"),
            incarnation=thread.incarnation,
        )
        return checkpoint


def _pin_of(thread: Thread) -> tuple[str, str]:
    """The graph of the thread, and the version of it to which it is pinned."""
    return thread.graph_id or "", thread.version or ""


def _config(thread_id: str, checkpoint: CheckpointRef) -> RunnableConfig:
    configurable = {"checkpoint_ns": "", **checkpoint, "thread_id": thread_id}
    return {"configurable": configurable}


def _checkpoint_metadata(thread: Thread) -> dict[str, Any]:
    """The metadata of a checkpoint that no run created."""
    return {name: thread.metadata[name] for name in ("graph_id", "assistant_id") if name in thread.metadata}


def _empty_state(thread_id: str) -> StateSnapshot:
    return StateSnapshot({}, (), _config(thread_id, _LATEST), None, None, None, (), ())
