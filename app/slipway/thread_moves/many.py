"""Moves many threads of a graph to one version, for an operator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Literal

from slipway.graph_versions.pin import Pin
from slipway.graphs.interface import Graph
from slipway.graphs.served_version import ServedVersion
from slipway.graphs.verdict import Reason, Verdict
from slipway.thread_moves.mover import ThreadMover
from slipway.thread_moves.reads import IdleThread, MoveReads
from slipway.thread_moves.scripts import MoveResult

Outcome = Literal["moved", "continue", "migrate", "hold", "busy", "unchanged"]
"""What became of a thread. `continue` and `migrate`: it would be moved, in a dry run. `busy`: a run of it executes, or
it has changed meanwhile. `unchanged`: it has the version already, or is not pinned to the version from which
threads are moved."""

_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class MovedThread:
    """The outcome for one thread."""

    thread_id: str
    old: str
    """The version to which it was pinned; empty if that is not known."""
    outcome: Outcome
    reasons: Sequence[Reason] = ()
    migrations: Sequence[tuple[str, str]] = ()
    """The versions from and to which each migration leads that converts its state, in order."""

    @property
    def sentence(self) -> str:
        """Its reasons in words. Those of a thread that is migrated say what the migrations are for."""
        reasons = "; ".join(reason.text for reason in self.reasons)
        if not self.migrations:
            return reasons
        versions = " → ".join([self.migrations[0][0], *(new for _, new in self.migrations)])
        return f"migration {versions}, because {reasons}" if reasons else f"migration {versions}"


@dataclass(frozen=True, slots=True)
class ManyMoves:
    """Moves threads to `target`. `open_graph` opens the graph of that version for a thread."""

    mover: ThreadMover
    reads: MoveReads
    target: ServedVersion
    open_graph: Callable[[str], Awaitable[AbstractAsyncContextManager[Graph]]]
    by: str
    from_version: str | None = None
    dry_run: bool = False

    async def move(self, thread_ids: Sequence[str]) -> list[MovedThread]:
        """Moves these threads, several at a time. The result has their order. Raises `StoreUnavailable`."""
        permits = asyncio.Semaphore(_AT_ONCE)

        async def one(thread_id: str) -> MovedThread:
            async with permits:
                return await self._move(thread_id)

        return list(await asyncio.gather(*map(one, thread_ids)))

    async def _move(self, thread_id: str) -> MovedThread:
        thread = await self.reads.idle_thread(thread_id, self.target.graph_id)
        if thread is None:
            return MovedThread(thread_id, "", "busy")
        old, new = thread.pin, Pin(self.target.name, self.target.schema)
        is_other = self.from_version is not None and old.version != self.from_version
        if is_other or (old.version == new.version and old.schema in ("", new.schema)):
            return MovedThread(thread_id, old.version, "unchanged")
        async with await self.open_graph(thread_id) as graph:
            return await self._planned(thread, graph, new)

    async def _planned(self, thread: IdleThread, graph: Graph, new: Pin) -> MovedThread:
        old = thread.pin
        plan = await self.mover.planner.plan(thread.thread_id, thread.graph_id, graph, old, new.version)
        if plan.holds or self.dry_run:
            return _moved(thread, _outcome_of(plan.verdict), plan.verdict)
        result = await self.mover.move_idle(thread, new, plan, by=self.by)
        outcome: Outcome = "moved" if result is MoveResult.MOVED else "busy"
        return _moved(thread, outcome, plan.verdict)


def _moved(thread: IdleThread, outcome: Outcome, verdict: Verdict) -> MovedThread:
    return MovedThread(thread.thread_id, thread.pin.version, outcome, verdict.reasons, verdict.migrations)


def _outcome_of(verdict: Verdict) -> Outcome:
    outcome: Outcome = verdict.kind.value
    return outcome
