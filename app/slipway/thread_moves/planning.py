"""Decides whether and how a thread moves to another version of its graph. Nothing here writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from langgraph.checkpoint.base import CheckpointTuple

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.graph_versions.pin import Pin
from slipway.graphs.interface import Graph, Graphs
from slipway.graphs.migration_set import NO_MIGRATIONS, MigrationSet
from slipway.graphs.read_structure import structure_of
from slipway.graphs.structure import GraphStructure
from slipway.graphs.verdict import Position, Reason, Verdict, VerdictKind
from slipway.graphs.verdicts import verdict_of
from slipway.thread_moves.errors import CannotMove
from slipway.thread_moves.record import MovePlan
from slipway.thread_moves.rewriting import Rewriting, Rewritten
from slipway.thread_moves.stored_thread import StoredCheckpoint, StoredThread, read_thread
from slipway.thread_positions.reader import PositionReader

CONTINUES: Final = MovePlan(Verdict(VerdictKind.CONTINUE))


class Structures(Protocol):
    """The structures of versions, also of those that this process does not have."""

    async def structures(self, schemas: Iterator[str]) -> Mapping[str, GraphStructure]:
        """Those of these schemas that are known."""
        ...


@dataclass(frozen=True, slots=True)
class MovePlanner:
    """Plans moves. `checkpointer` only reads. `migrations` are those of the graphs that have some."""

    graphs: Graphs
    checkpointer: BaseCheckpointer
    structures: Structures
    migrations: Mapping[str, MigrationSet]

    async def plan(
        self, thread_id: str, graph_id: str, graph: Graph, old: Pin, version: str, *, before_input: bool = False
    ) -> MovePlan:
        """The verdict about a thread that is pinned to `old` and is to continue on `version`, whose opened graph is
        `graph`; for `migrate` with the rewritten checkpoints. `before_input`: a run with an input of its own follows,
        so what was under way is dropped."""
        thread = await read_thread(self.checkpointer, thread_id)
        if thread is None:
            return CONTINUES
        goes_back = thread.move.get("from") == version and thread.move.get("to") == old.version
        if goes_back and not thread.move.get("restored"):
            plan = await self._restored(thread, graph_id, graph, old, version, before_input)
        else:
            plan = await self._planned(thread, graph_id, graph, old, version, before_input)
        return replace(plan, newest=thread.root.id)

    async def plan_at(
        self,
        found: CheckpointTuple,
        graph_id: str,
        graph: Graph,
        old: Pin,
        new: Pin,
        *,
        before_input: bool,
        replays: bool,
        becomes_newest: bool,
    ) -> MovePlan:
        """The same for a run that starts from this checkpoint of its thread, which version `old` wrote. `replays`: its
        tasks are executed again, and get no answers. `becomes_newest`: it is stored again as the newest checkpoint also
        if it is continued as it is."""
        thread_id = str(found.config["configurable"]["thread_id"])
        newest = await read_thread(self.checkpointer, thread_id)
        thread = await read_thread(self.checkpointer, thread_id, found)
        assert newest is not None
        assert thread is not None
        after = None if newest.root.id == thread.root.id else newest.root
        plan = CONTINUES
        if old.version != new.version or (old.schema and new.schema and old.schema != new.schema):
            position = await PositionReader(self.checkpointer).read_at(
                found, await self._known(old.schema), replays=replays
            )
            plan = await self._planned(thread, graph_id, graph, old, new.version, before_input, position, after)
        if becomes_newest and after is not None and not plan.holds and plan.rewritten is None:
            calls = sorted(set(_calls(await self._known(old.schema))))
            versions = (old.version, new.version)
            rewriting = Rewriting(
                thread, graph, self.checkpointer, versions, calls, drops_tasks=before_input, after=after
            )
            plan = await _rewritten(rewriting, plan.verdict, None)
        return replace(plan, newest=newest.root.id)

    async def verdict_at(self, found: CheckpointTuple, graph_id: str, graph: Graph, old: Pin, version: str) -> Verdict:
        """Whether this version can continue the state of a checkpoint that `old` wrote. Subgraphs that keep a state of
        their own do not count."""
        before = await self._known(old.schema)
        position = replace(await PositionReader(self.checkpointer).read_at(found, before), subgraphs={})
        path = self.migrations.get(graph_id, NO_MIGRATIONS).path(old.version, version)
        return verdict_of(before, await self._structure(graph_id, graph, version), position, path)

    async def nodes_of(self, schema: str) -> frozenset[str] | None:
        """The nodes of a version, also of one that this process does not have. None if they are not known."""
        known = await self._known(schema)
        return None if known is None else frozenset(known.nodes)

    async def _planned(
        self,
        thread: StoredThread,
        graph_id: str,
        graph: Graph,
        old: Pin,
        version: str,
        before_input: bool,
        position: Position | None = None,
        newest: StoredCheckpoint | None = None,
    ) -> MovePlan:
        """`position` is that of the newest checkpoint unless it is given."""
        before = await self._known(old.schema)
        after = await self._structure(graph_id, graph, version)
        if position is None:
            position = await PositionReader(self.checkpointer).read(thread.thread_id, before)
        if before_input:
            position = position.before_input()
        migrations = self.migrations.get(graph_id, NO_MIGRATIONS)
        path = migrations.path(old.version, version)
        verdict = verdict_of(before, after, position, path)
        if verdict.kind is not VerdictKind.MIGRATE:
            return MovePlan(verdict)
        calls = sorted({*_calls(before), *_calls(after)})
        rewriting = Rewriting(
            thread,
            graph,
            self.checkpointer,
            (old.version, version),
            calls,
            migrations,
            path,
            drops_tasks=before_input,
            after=newest,
            schema=old.schema,
        )
        return await _rewritten(rewriting, verdict, None if before_input else position)

    async def _restored(
        self, thread: StoredThread, graph_id: str, graph: Graph, old: Pin, version: str, before_input: bool
    ) -> MovePlan:
        """The plan for a thread that goes back, and has not continued since the migration: its original is stored
        again as the newest checkpoint, if the code of that version can still continue it."""
        reason = Reason("original.restored", f"the checkpoint from before the migration to {old.version} is continued")
        if not _is_untouched(thread):
            text = f"it has continued on version {old.version} since the migration, and there is no migration back"
            return MovePlan(Verdict(VerdictKind.HOLD, (Reason("original.passed", text),)))
        target = {"thread_id": thread.thread_id, "checkpoint_ns": "", "checkpoint_id": str(thread.move["of"])}
        found = await self.checkpointer.aget_tuple({"configurable": target})
        original = None if found is None else await read_thread(self.checkpointer, thread.thread_id, found)
        if found is None or original is None:
            text = "the checkpoint from before the migration was deleted"
            return MovePlan(Verdict(VerdictKind.HOLD, (Reason("original.deleted", text),)))
        before = await self._known(str(thread.move.get("schema") or ""))
        position = await PositionReader(self.checkpointer).read_at(found, before)
        if before_input:
            position = position.before_input()
        verdict = verdict_of(before, await self._structure(graph_id, graph, version), position)
        if verdict.kind is VerdictKind.HOLD:
            return MovePlan(verdict)
        calls = sorted(set(_calls(await self._known(old.schema))))
        rewriting = Rewriting(
            original,
            graph,
            self.checkpointer,
            (old.version, version),
            calls,
            drops_tasks=before_input,
            after=thread.root,
        )
        return await _rewritten(rewriting, Verdict(VerdictKind.CONTINUE, (reason,)), None)

    async def _structure(self, graph_id: str, graph: Graph, version: str) -> GraphStructure:
        """That of a version of this process, whose opened graph is `graph`."""
        known = await self.graphs.structure(graph_id, version)
        spec = self.graphs.spec(graph_id)
        return structure_of(graph, spec.behaviour, spec.removed_channels) if known is None else known

    async def _known(self, schema: str) -> GraphStructure | None:
        return (await self.structures.structures(iter([schema]))).get(schema) if schema else None


async def _rewritten(rewriting: Rewriting, verdict: Verdict, position: Position | None) -> MovePlan:
    try:
        rewritten = await rewriting.rewritten()
        if position is not None:
            _require_same_tasks(position, rewritten)
    except CannotMove as error:
        return MovePlan(
            replace(verdict, kind=VerdictKind.HOLD, reasons=(error.reason, *verdict.reasons), migrations=())
        )
    return MovePlan(verdict, rewritten, rewritten.values)


def _require_same_tasks(position: Position, rewritten: Rewritten) -> None:
    """The new checkpoint must start what the old one would have started. Raises `CannotMove`."""
    expected = Counter(rewritten.nodes.get(task.node, task.node) for task in position.tasks if not task.follows)
    found = Counter(task.name for task in rewritten.pending)
    lost, added = sorted((expected - found).elements()), sorted((found - expected).elements())
    if lost:
        raise CannotMove(
            "node.pending_lost",
            f"{', '.join(lost)} would be next, and the new version would not start it: rename it in the migration",
        )
    if added:
        raise CannotMove("node.pending_added", f"the new version would also start {', '.join(added)}")


def _is_untouched(thread: StoredThread) -> bool:
    """Whether nothing was stored beside the checkpoint of a move since the move."""
    inside = sorted(f"{each.namespace} {each.id} {len(each.writes)}" for each in thread.inside)
    return thread.move.get("stored") == [len(thread.root.writes), *inside]


def _calls(structure: GraphStructure | None) -> Iterator[str]:
    """The functions with `@task` that the code of nodes calls."""
    for node in () if structure is None else structure.nodes.values():
        yield from (pause.removeprefix("task ") for pause in node.pauses if pause.startswith("task "))
        yield from _calls(node.subgraph)
