"""Moves threads to another version of their graph, each with one script."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from slipway import failpoints
from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.fenced_writers import CollectingWriter
from slipway.checkpoints.moved_ids import OF_MOVE
from slipway.clock import Clock
from slipway.errors import Fenced
from slipway.graph_versions.pin import Pin
from slipway.graphs.interface import Graph, Graphs
from slipway.graphs.migration_set import MigrationSet, load_migrations
from slipway.graphs.verdict import Reason, Verdict, VerdictKind
from slipway.indexes.terms import value_terms
from slipway.runs.record import Run
from slipway.serialization.at_rest import sealed
from slipway.serialization.json_encoding import dumps
from slipway.serialization.places import THREAD
from slipway.thread_moves.planning import MovePlanner
from slipway.thread_moves.questions import moved_questions
from slipway.thread_moves.reads import IdleThread, MoveReads
from slipway.thread_moves.record import MovePlan, move_entry
from slipway.thread_moves.rewriting import Rewritten
from slipway.thread_moves.scripts import MovedFields, MoveResult, MoveScripts, MoveWriter, Owner, ThreadMove
from slipway.thread_moves.storing import store
from slipway.thread_moves.written_by import CheckpointVersions

log = structlog.get_logger(__name__)


async def migrations_of(graphs: Graphs) -> dict[str, MigrationSet]:
    """The migrations of all graphs that have some. Raises `ConfigError` as `load_migrations` does."""
    found: dict[str, MigrationSet] = {}
    for graph_id in graphs.names():
        if graphs.spec(graph_id).migrations is not None:
            found[graph_id] = await asyncio.to_thread(load_migrations, graphs, graph_id)
    return found


_DELETED: Final = "the checkpoint from which the run starts was deleted"
_OF_SUBGRAPH: Final = "the run starts from a checkpoint of a subgraph, which only the version that wrote it continues"


@dataclass(frozen=True, slots=True)
class Fork:
    """What becomes of a run that starts from an earlier checkpoint."""

    verdict: Verdict
    old: Pin
    """The version that wrote the checkpoint; that of the thread if a run of another graph did."""
    start: str | None = None
    """The id of the checkpoint from which the run starts instead, because it was rewritten or stored again."""


@dataclass(frozen=True, slots=True)
class ThreadMover:
    """Moves threads. A move that meets another one, or a run, changes nothing."""

    planner: MovePlanner
    scripts: MoveScripts
    reads: MoveReads
    checkpointer: BaseCheckpointer
    clock: Clock
    written_by: CheckpointVersions

    async def move_for_attempt(self, run: Run, graph: Graph, new: Pin, *, before_input: bool) -> Verdict:
        """Moves the thread of a run that this process has claimed for another version than that of the thread, or for
        changed code of the same version, before its graph executes. `graph` is that of `new`. Nothing changes if the
        verdict is `hold`. Raises `Fenced`."""
        old = Pin(run.pinned_version or "", run.pinned_schema or "")
        plan = await self.planner.plan(run.thread_id, run.graph_id, graph, old, new.version, before_input=before_input)
        if not plan.holds:
            await self._move_for_attempt(run, old, new, plan)
        return plan.verdict

    async def fork_for_attempt(
        self, run: Run, graph: Graph, new: Pin, checkpoint: Mapping[str, Any], *, before_input: bool, replays: bool
    ) -> Fork:
        """The same for a run that starts from the earlier `checkpoint` of its thread: the verdict is about this one,
        and the version that wrote it. `replays`: the tasks of the checkpoint are executed again, and get no
        answers."""
        found = await self.checkpointer.aget_tuple({"configurable": {**checkpoint, "thread_id": run.thread_id}})
        pin = new if run.pinned_version is None else Pin(run.pinned_version, run.pinned_schema or "")
        if found is None:  # it was deleted since the run was created
            return Fork(Verdict(VerdictKind.HOLD, (Reason("checkpoint.deleted", _DELETED),)), pin)
        old = await self.written_by.of(run.thread_id, run.graph_id, found)
        if old is None:
            return Fork(Verdict(VerdictKind.CONTINUE), pin)
        if checkpoint.get("checkpoint_ns"):
            if old == new == pin:
                return Fork(Verdict(VerdictKind.CONTINUE), old)
            return Fork(Verdict(VerdictKind.HOLD, (Reason("checkpoint.of_subgraph", _OF_SUBGRAPH),)), old)
        moved = None if run.attempt == 1 else await self._moved_before(run, new, found.checkpoint["id"])
        if moved is not None:
            return Fork(Verdict(VerdictKind.CONTINUE), old, moved)
        plan = await self.planner.plan_at(
            found,
            run.graph_id,
            graph,
            old,
            new,
            before_input=before_input,
            replays=replays,
            becomes_newest=pin != new,
        )
        if not plan.holds and (pin != new or plan.rewritten is not None):
            await self._move_for_attempt(run, pin, new, plan)
        rewritten = plan.rewritten
        return Fork(plan.verdict, old, None if rewritten is None else rewritten.checkpoints[0].checkpoint["id"])

    async def verdict_of_targets(self, run: Run, missing: Sequence[str], problem: str) -> Verdict | None:
        """The verdict about a run whose command goes to the nodes `missing`, which its version lacks: `hold` if that of
        its thread is another one and has them, else None. `problem` says what is missing."""
        if run.pinned_version in (None, run.version):
            return None
        nodes = await self.planner.nodes_of(run.pinned_schema or "")
        if nodes is None or not nodes.issuperset(missing):
            return None
        text = f"command.goto: {problem}, so only version {run.pinned_version} can execute it"
        return Verdict(VerdictKind.HOLD, (Reason("command.node_missing", text),))

    async def _moved_before(self, run: Run, new: Pin, checkpoint_id: str) -> str | None:
        """The newest checkpoint, if an earlier attempt of the run has made it of this one."""
        newest = await self.checkpointer.latest(run.thread_id)
        move: Mapping[str, Any] = {} if newest is None else newest.metadata.get(OF_MOVE) or {}  # type: ignore[assignment]
        is_moved = move.get("of") == checkpoint_id and move.get("to") == new.version and run.pinned_version is None
        return newest.checkpoint["id"] if newest is not None and is_moved else None

    async def _move_for_attempt(self, run: Run, old: Pin, new: Pin, plan: MovePlan) -> None:
        owner: Owner = {"run_id": run.run_id, "attempt": run.attempt, "incarnation": run.incarnation}
        expected = {"version": old.version}
        arguments = self._arguments(run, old, new, plan, by="slipway", expected=expected)
        arguments["owner"] = owner
        if await self._store(arguments, plan, MovedFields()) is not MoveResult.MOVED:
            raise Fenced(f"attempt {run.attempt} of run {run.run_id} no longer owns its run")
        log.info(
            "thread.moved",
            thread=run.thread_id,
            from_version=old.version,
            to_version=new.version,
            verdict=plan.verdict.kind,
        )

    async def move_idle(self, thread: IdleThread, new: Pin, plan: MovePlan, *, by: str) -> MoveResult:
        """Moves a thread that no run executes, as `plan` says, which must not hold."""
        arguments = self._arguments(thread, thread.pin, new, plan, by=by, expected=thread.expected)
        arguments["incarnation"] = thread.incarnation
        fields = MovedFields()
        if plan.values is not None:
            values = dumps(plan.values)
            arguments["value_terms"] = value_terms(plan.values, values)
            fields = MovedFields(values=sealed(values, THREAD))
        return await self._store(arguments, plan, fields)

    def _arguments(
        self, moved: Run | IdleThread, old: Pin, new: Pin, plan: MovePlan, *, by: str, expected: Mapping[str, str]
    ) -> ThreadMove:
        arguments: ThreadMove = {
            "thread_id": moved.thread_id,
            "graph_id": moved.graph_id,
            "version": new.version,
            "schema": new.schema,
            "move": move_entry(old, new, plan, at=self.clock.now().isoformat(timespec="seconds"), by=by),
            "expected": expected,
        }
        if plan.original is not None:
            arguments["original"] = plan.original
        return arguments

    async def _store(self, arguments: ThreadMove, plan: MovePlan, fields: MovedFields) -> MoveResult:
        if plan.rewritten is None:
            failpoints.reach("thread_move")
            result = await self.scripts.move(arguments, fields, ())
        else:
            result = await self._store_rewritten(arguments, plan.rewritten, fields)
        failpoints.reach("thread_moved")
        return result

    async def _store_rewritten(self, arguments: ThreadMove, rewritten: Rewritten, fields: MovedFields) -> MoveResult:
        questions = await self.reads.questions(arguments["thread_id"])
        if questions:
            moved = moved_questions(questions, rewritten.tasks)
            fields = replace(fields, questions_before=questions, questions=moved)
        writer = MoveWriter(self.scripts, arguments, fields)
        collector = CollectingWriter(writer)
        checkpointer: Any = self.checkpointer.for_run(collector)
        await store(checkpointer, arguments["thread_id"], rewritten.checkpoints)
        failpoints.reach("thread_move")
        await collector.flush()
        assert writer.result is not None
        return writer.result
