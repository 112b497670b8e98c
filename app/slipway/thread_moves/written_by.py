"""Finds the version of the graph that wrote a checkpoint, which may be another one than that of its thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from langgraph.checkpoint.base import CheckpointTuple

from slipway.checkpoints.moved_ids import OF_MOVE
from slipway.errors import NotFound
from slipway.graph_versions.pin import Pin
from slipway.graphs.builds import Build
from slipway.graphs.structure import schema_of
from slipway.runs.record import Run
from slipway.runs.store import RunStore
from slipway.thread_moves.reads import MoveReads


class Builds(Protocol):
    """What runs were made from."""

    async def build(self, build_id: str) -> dict[str, Any] | None:
        """The build, as JSON data. None if it is not known."""
        ...


@dataclass(frozen=True, slots=True)
class CheckpointVersions:
    """The sources, in this order: the move that made the checkpoint; the moves of its thread after it; the run that
    wrote it, which may be one of the thread from which this one was copied; the thread."""

    reads: MoveReads
    runs: RunStore
    builds: Builds

    async def of(self, thread_id: str, graph_id: str, found: CheckpointTuple) -> Pin | None:
        """The version of this graph that wrote this checkpoint of the thread; None if a run of another graph did. Takes
        at most three round trips."""
        thread = await self.reads.moves(thread_id, graph_id)
        metadata: Mapping[str, Any] = found.metadata
        checkpoint_id = found.checkpoint["id"]
        for move in thread.moves:
            if move.get("checkpoint") == checkpoint_id:
                return Pin(move["to"], move.get("to_schema", ""))
            if checkpoint_id <= move.get("newest", ""):
                return Pin(move["from"], move.get("from_schema", ""))
        if OF_MOVE in metadata:
            return Pin(metadata[OF_MOVE]["to"])
        run = await self._run(metadata.get("run_id"))
        if run is None or run.version is None:
            return thread.pin
        return await self._pin_of(run, run.version) if run.graph_id == graph_id else None

    async def _run(self, run_id: object) -> Run | None:
        try:
            return await self.runs.find(run_id) if isinstance(run_id, str) else None
        except NotFound:
            return None

    async def _pin_of(self, run: Run, version: str) -> Pin:
        build = None if run.build is None else await self.builds.build(run.build)
        return Pin(version, "" if build is None else schema_of(Build.from_json(build).fingerprint))
