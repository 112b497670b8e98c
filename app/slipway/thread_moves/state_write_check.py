"""Refuses to write a state on a checkpoint that another version of the graph wrote and that the version which would
continue it cannot: LangGraph would drop the values of channels that the graph does not have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.errors import VersionHeld
from slipway.graph_versions.pin import Pin
from slipway.graphs.interface import Graph
from slipway.graphs.served_version import ServedVersion
from slipway.graphs.verdict import Reason, Verdict, VerdictKind
from slipway.thread_moves.planning import MovePlanner
from slipway.thread_moves.record import sentence_of
from slipway.thread_moves.written_by import CheckpointVersions
from slipway.threads.record import Thread

_OF_SUBGRAPH: Final = "it is a checkpoint of a subgraph, which only the version that wrote it continues"


@dataclass(frozen=True, slots=True)
class StateWriteCheck:
    """Checks writes of states from outside runs."""

    planner: MovePlanner
    written_by: CheckpointVersions
    checkpointer: BaseCheckpointer

    async def check(self, thread: Thread, graph: Graph, version: ServedVersion, checkpoint: Mapping[str, Any]) -> None:
        """Raises `VersionHeld` if this version, whose opened graph is `graph`, must not continue the `checkpoint`; an
        empty one is the newest of the thread. Takes no round trip for the newest checkpoint of a thread that is pinned
        to this version."""
        old, new = Pin(thread.version or "", thread.schema or ""), Pin(version.name, version.schema)
        named = checkpoint.get("checkpoint_id")
        namespace = checkpoint.get("checkpoint_ns") if named else ""
        if not named and self._is_same(thread.graph_id, old, new):
            return
        target = {"thread_id": thread.thread_id, "checkpoint_ns": namespace or "", "checkpoint_id": named}
        found = await self.checkpointer.aget_tuple({"configurable": target})
        if found is None:
            return
        if named:
            writer = await self.written_by.of(thread.thread_id, version.graph_id, found)
            if writer is None or self._is_same(thread.graph_id, writer, new):
                return
            old = writer
        if namespace:
            verdict = Verdict(VerdictKind.HOLD, (Reason("checkpoint.of_subgraph", _OF_SUBGRAPH),))
        else:
            verdict = await self.planner.verdict_at(found, version.graph_id, graph, old, new.version)
        if verdict.kind is not VerdictKind.CONTINUE:
            raise _held(thread.thread_id, found.checkpoint["id"], old, version, verdict)

    def _is_same(self, graph_id: str | None, old: Pin, new: Pin) -> bool:
        """Whether nothing has to be compared. An unknown version is that of a thread from before versions."""
        if not old.version:
            return True
        if old.version == new.version:
            return not (old.schema and new.schema) or old.schema == new.schema
        return bool(old.schema) and old.schema == new.schema and graph_id not in self.planner.migrations


def _held(thread_id: str, checkpoint_id: str, old: Pin, version: ServedVersion, verdict: Verdict) -> VersionHeld:
    writer = f"{version.graph_id}@{old.version}"
    if verdict.kind is VerdictKind.MIGRATE:
        problem = f"{version} needs a migration to continue it, which only a run makes"
        fix = "start a run from this checkpoint, then write the newest state"
    else:
        problem = f"{version} must not continue it: {sentence_of(verdict)}"
        fix = "write the newest state instead, or add a migration and start a run from this checkpoint"
    return VersionHeld(
        f"the state of thread {thread_id} at checkpoint {checkpoint_id} was written by {writer}, and {problem}. "
        f"Nothing was changed: {fix}",
        version=version.name,
        checkpoint_version=old.version,
        reasons=[{"code": each.code, "text": each.text} for each in verdict.reasons],
    )
