"""The one door by which the API executes a graph itself.

A short graph (`"execution": "inline"` in langgraph.json) runs in the web process with the same record, events,
ceilings and checkpoints as in a worker. When it outlives its budget it stops at a superstep boundary and goes to the
queue as it is; a worker continues it, and whoever follows the log notices nothing.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from app.checkpointing.thread_saver import ThreadSaver
from app.keyspace.names import Keys
from app.keyspace.scripts import Scripts
from app.project.graphs import Graphs
from app.runs.attempts import Attempt
from app.runs.leases import Heart
from app.runs.runs import NewRun, Phase, Run, RunStore
from app.settings import Settings
from app.store import RedisStore
from workers.execution import Execution

log = structlog.get_logger(__name__)

MOST: Final = 64
"""Runs executed at once in one web process; further ones go to the workers."""


class InlineExecutor:
    """Executes short graphs in this process."""

    def __init__(
        self,
        runs: RunStore,
        scripts: Scripts,
        graphs: Graphs,
        checkpointer: ThreadSaver,
        keys: Keys,
        settings: Settings,
        heart: Heart,
        store: RedisStore,
    ) -> None:
        self._runs, self._scripts, self._graphs, self._checkpointer = runs, scripts, graphs, checkpointer
        self._keys, self._settings, self._heart, self._store = keys, settings, heart, store
        self._executions: dict[asyncio.Task[None], Execution] = {}

    async def create(self, new: NewRun) -> Run:
        """Accept a run and begin it at once, unless its thread is busy or this process has its hands full."""
        worker = self._heart.worker if len(self._executions) < MOST else None
        run, is_new = await self._runs.accept(new, inline_worker=worker)
        if worker is not None and is_new and run.phase is Phase.RUNNING:
            self._begin(run)
        return run

    def _begin(self, run: Run) -> None:
        attempt = Attempt(self._scripts, run)
        execution = Execution(
            attempt,
            self._graphs,
            self._checkpointer,
            self._keys,
            event_ttl_s=self._settings.event_ttl_s,
            store=self._store,
        )
        self._heart.hold(attempt)
        task = asyncio.create_task(execution.execute(), name=f"inline {run.run_id}")
        self._executions[task] = execution
        budget_s = self._graphs.spec(run.graph_id).inline_budget_s or self._settings.inline_budget_s
        timer = asyncio.get_running_loop().call_later(budget_s, execution.drain)
        task.add_done_callback(lambda done: self._ended(done, attempt, timer))

    def _ended(self, task: asyncio.Task[None], attempt: Attempt, timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        self._heart.let_go(attempt)
        del self._executions[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("inline.broke", run=attempt.run.run_id, exc_info=error)

    async def close(self) -> None:
        """Hand every run back to the workers: at its next superstep, or where it stands when that takes too long."""
        for execution in self._executions.values():
            execution.drain()
        await self._wait(self._settings.drain_s)
        for execution in self._executions.values():
            execution.abandon()
        await self._wait(5)

    async def _wait(self, patience_s: float) -> None:
        if self._executions:
            await asyncio.wait(list(self._executions), timeout=patience_s)
