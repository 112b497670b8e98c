"""Asks for the verdict about every stored thread and the code of a new release, without changing anything.

A thread that was executed with the same structure needs no comparison, and nothing but its record is read. For others
the position is read, a page of threads at a time. Where migrations are needed, they are called with the stored state,
and their result is validated and not stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from slipway.deploy_checks.new_versions import NewGraph, Target
from slipway.deploy_checks.reads import CheckedThread, DeployCheckReads
from slipway.errors import StoredDataError
from slipway.graph_versions.pin import Pin
from slipway.graph_versions.reads import VersionReads
from slipway.graphs.interface import Graphs
from slipway.graphs.migration_set import NO_MIGRATIONS
from slipway.graphs.structure import GraphStructure
from slipway.graphs.verdict import Reason, Verdict, VerdictKind
from slipway.graphs.verdicts import verdict_of
from slipway.thread_moves.planning import MovePlanner
from slipway.thread_positions.reader import PositionReader

CONTINUES: Final = Verdict(VerdictKind.CONTINUE)

_MIGRATIONS_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class CheckedVerdict:
    """The verdict about one thread. `target` is the name of the version on which it would continue, "" if none."""

    thread: CheckedThread
    target: str
    verdict: Verdict


@dataclass(slots=True)
class DeployCheck:
    """One check of all threads."""

    graphs: Graphs
    new: Mapping[str, NewGraph]
    reads: DeployCheckReads
    versions: VersionReads
    positions: PositionReader
    planner: MovePlanner
    structures: dict[str, GraphStructure | None] = field(default_factory=dict)
    """Those with which threads were executed, by schema; None for one that nobody has registered."""
    _migrating: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MIGRATIONS_AT_ONCE))

    async def pages(self) -> AsyncIterator[tuple[int, list[CheckedVerdict]]]:
        """For each page of threads, how many were read and the verdicts about those that have a graph. Raises
        `StoreUnavailable`."""
        async for page in self.reads.pages():
            threads = [thread for thread in page if thread is not None]
            await self._read_structures({thread.schema for thread in threads})
            yield len(page), list(await asyncio.gather(*map(self._checked, threads)))

    async def _read_structures(self, schemas: set[str]) -> None:
        if unknown := sorted(schemas - self.structures.keys() - {""}):
            found = await self.versions.structures(unknown)
            self.structures |= {schema: found.get(schema) for schema in unknown}

    async def _checked(self, thread: CheckedThread) -> CheckedVerdict:
        graph = self.new.get(thread.graph_id)
        if graph is None:
            text = f"this release has no graph {thread.graph_id!r}: keep it until its threads are not needed any more"
            return CheckedVerdict(thread, "", Verdict(VerdictKind.HOLD, (Reason("graph.removed", text),)))
        target = graph.target_of(thread)
        if isinstance(target, Reason):
            return CheckedVerdict(thread, "", Verdict(VerdictKind.HOLD, (target,)))
        verdict = await self._verdict(thread, target)
        if target.stays and verdict.kind is VerdictKind.HOLD and not _is_stopped(verdict):
            return CheckedVerdict(thread, target.stays, Verdict(VerdictKind.CONTINUE, verdict.reasons))
        return CheckedVerdict(thread, target.version.name, verdict)

    async def _verdict(self, thread: CheckedThread, target: Target) -> Verdict:
        name = target.version.name
        path = self.planner.migrations.get(thread.graph_id, NO_MIGRATIONS).path(thread.version, name)
        if target.same_code and not path:
            return CONTINUES
        if target.structure is None:
            text = "a factory builds this graph for each run, so that it cannot be compared before"
            return Verdict(VerdictKind.CONTINUE, (Reason("structure.unknown", text),))
        old = self.structures.get(thread.schema)
        try:
            position = await self.positions.read(thread.thread_id, old)
        except StoredDataError as error:
            return Verdict(
                VerdictKind.HOLD, (Reason("checkpoint.damaged", f"its newest checkpoint cannot be read: {error}"),)
            )
        verdict = verdict_of(old, target.structure, position.before_input() if target.before_input else position, path)
        goes_back = self.new[thread.graph_id].is_older(name, thread.version)
        if verdict.kind is VerdictKind.MIGRATE or (verdict.kind is VerdictKind.HOLD and goes_back):
            return await self._planned(thread, target)
        return verdict

    async def _planned(self, thread: CheckedThread, target: Target) -> Verdict:
        """The verdict after the migrations were called with the stored state, or of going back to the checkpoint that
        was stored before them."""
        name = target.version.name
        async with (
            self._migrating,
            self.graphs.open(thread.graph_id, {}, "threads.read", version=name) as graph,
        ):
            pin = Pin(thread.version, thread.schema)
            plan = await self.planner.plan(
                thread.thread_id, thread.graph_id, graph, pin, name, before_input=target.before_input
            )
        return plan.verdict


def _is_stopped(verdict: Verdict) -> bool:
    """Whether a run is paused although its version is served: for a migration that fails."""
    return any(reason.code == "migration.failed" for reason in verdict.reasons)
