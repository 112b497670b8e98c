"""Moves threads to another version of their graph, each with one script."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.fenced_writers import CollectingWriter
from slipway.clock import Clock
from slipway.errors import Fenced
from slipway.graphs.interface import Graph, Graphs
from slipway.graphs.migration_set import MigrationSet, load_migrations
from slipway.graphs.verdict import Verdict
from slipway.indexes.terms import value_terms
from slipway.runs.record import Run
from slipway.serialization.compression import compressed
from slipway.serialization.json_encoding import dumps
from slipway.thread_moves.planning import MovePlanner
from slipway.thread_moves.reads import IdleThread
from slipway.thread_moves.record import MovePlan, Pin, move_entry
from slipway.thread_moves.scripts import MoveResult, MoveScripts, MoveWriter, Owner, ThreadMove
from slipway.thread_moves.storing import store

log = structlog.get_logger(__name__)


async def migrations_of(graphs: Graphs) -> dict[str, MigrationSet]:
    """The migrations of all graphs that have some. Raises `ConfigError` as `load_migrations` does."""
    found: dict[str, MigrationSet] = {}
    for graph_id in graphs.names():
        if graphs.spec(graph_id).migrations is not None:
            found[graph_id] = await asyncio.to_thread(load_migrations, graphs, graph_id)
    return found


@dataclass(frozen=True, slots=True)
class ThreadMover:
    """Moves threads. A move that meets another one, or a run, changes nothing."""

    planner: MovePlanner
    scripts: MoveScripts
    checkpointer: BaseCheckpointer
    clock: Clock

    async def move_for_attempt(self, run: Run, graph: Graph, new: Pin, *, before_input: bool) -> Verdict:
        """Moves the thread of a run that this process has claimed for another version than that of the thread, or for
        changed code of the same version, before its graph is opened. `graph` is that of `new`. Nothing changes if the
        verdict is `hold`. Raises `Fenced`."""
        old = Pin(run.pinned_version or "", run.pinned_schema or "")
        plan = await self.planner.plan(run.thread_id, run.graph_id, graph, old, new.version, before_input=before_input)
        if plan.holds:
            return plan.verdict
        owner: Owner = {"run_id": run.run_id, "attempt": run.attempt, "incarnation": run.incarnation}
        arguments = self._arguments(run.thread_id, old, new, plan, by="slipway", expected={})
        arguments["owner"] = owner
        if await self._store(arguments, plan) is not MoveResult.MOVED:
            raise Fenced(f"attempt {run.attempt} of run {run.run_id} no longer owns its run")
        log.info("thread.moved", thread=run.thread_id, old=old.version, new=new.version, verdict=plan.verdict.kind)
        return plan.verdict

    async def move_idle(self, thread: IdleThread, new: Pin, plan: MovePlan, *, by: str) -> MoveResult:
        """Moves a thread that no run executes, as `plan` says, which must not hold."""
        arguments = self._arguments(thread.thread_id, thread.pin, new, plan, by=by, expected=thread.expected)
        arguments["incarnation"] = thread.incarnation
        values = b""
        if plan.values is not None:
            values = dumps(plan.values)
            arguments["value_terms"] = value_terms(plan.values, values)
        return await self._store(arguments, plan, compressed(values) if values else b"")

    def _arguments(
        self, thread_id: str, old: Pin, new: Pin, plan: MovePlan, *, by: str, expected: Mapping[str, str]
    ) -> ThreadMove:
        arguments: ThreadMove = {
            "thread_id": thread_id,
            "version": new.version,
            "schema": new.schema,
            "move": move_entry(old, new, plan, at=self.clock.now().isoformat(timespec="seconds"), by=by),
            "expected": {**expected, "version": old.version},
        }
        if plan.original is not None:
            arguments["original"] = plan.original
        return arguments

    async def _store(self, arguments: ThreadMove, plan: MovePlan, values: bytes = b"") -> MoveResult:
        if plan.rewritten is None:
            return await self.scripts.move(arguments, values, ())
        writer = MoveWriter(self.scripts, arguments, values)
        collector = CollectingWriter(writer)
        checkpointer: Any = self.checkpointer.for_run(collector)
        await store(checkpointer, arguments["thread_id"], plan.rewritten.checkpoints)
        await collector.flush()
        assert writer.result is not None
        return writer.result
