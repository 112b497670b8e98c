"""The one door by which the API executes a graph itself.

A short graph (`"execution": "inline"` in langgraph.json) runs in the web process with the same record, events,
ceilings and checkpoints as in a worker. When it outlives its budget it stops at a superstep boundary and goes to the
queue as it is; a worker continues it, and whoever follows the log notices nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Final

import structlog

from slipway.checkpoints.thread_saver import ThreadSaver
from slipway.execution.execution import Execution
from slipway.graphs.served_graphs import Graphs
from slipway.redis.keys import Keys
from slipway.runs.attempt import Attempt
from slipway.runs.leases import LeaseRenewer
from slipway.runs.record import NewRun, Phase, Run
from slipway.runs.scripts import RunScripts
from slipway.runs.store import RunStore
from slipway.settings import Settings
from slipway.store.store import RedisStore

log = structlog.get_logger(__name__)

MAX_INLINE_RUNS: Final = 64
"""Runs executed at once in one web process; further ones go to the workers."""

_STOP_TIMEOUT_S: Final = 5.0


class InlineExecutor:
    """Executes short graphs in this process."""

    def __init__(
        self,
        runs: RunStore,
        scripts: RunScripts,
        graphs: Graphs,
        checkpointer: ThreadSaver,
        keys: Keys,
        settings: Settings,
        lease_renewer: LeaseRenewer,
        store: RedisStore,
    ) -> None:
        self._runs, self._scripts, self._graphs, self._checkpointer = runs, scripts, graphs, checkpointer
        self._keys, self._settings, self._lease_renewer, self._store = keys, settings, lease_renewer, store
        self._executions: dict[asyncio.Task[None], Execution] = {}
        self._accepting: set[asyncio.Task[Run]] = set()
        self._closing = False

    async def create(self, new: NewRun) -> Run:
        """Accept a run and begin it at once, unless its thread is busy, or this process stops or executes
        `MAX_INLINE_RUNS` runs.

        A caller that is cancelled cancels nothing: the server may have given this process the run's lease already."""
        if self._closing or len(self._accepting) + len(self._executions) >= MAX_INLINE_RUNS:
            return await self._runs.create(new)
        accepting = asyncio.create_task(self._accept(new), name=f"accept {new.run_id}")
        self._accepting.add(accepting)
        accepting.add_done_callback(self._accepting.discard)
        return await asyncio.shield(accepting)

    async def _accept(self, new: NewRun) -> Run:
        run, is_new = await self._runs.accept(new, inline_worker=self._lease_renewer.worker)
        if is_new and run.phase is Phase.RUNNING:
            self._start(run)
        return run

    def _start(self, run: Run) -> None:
        attempt = Attempt(self._scripts, run)
        execution = Execution(
            attempt,
            self._graphs,
            self._checkpointer,
            self._keys,
            event_ttl_s=self._settings.event_ttl_s,
            store=self._store,
        )
        self._lease_renewer.add(attempt)
        task = asyncio.create_task(execution.execute(), name=f"inline {run.run_id}")
        self._executions[task] = execution
        budget_s = self._graphs.spec(run.graph_id).inline_budget_s or self._settings.inline_budget_s
        timer = asyncio.get_running_loop().call_later(budget_s, execution.drain)
        task.add_done_callback(lambda done: self._on_end(done, attempt, timer))

    def _on_end(self, task: asyncio.Task[None], attempt: Attempt, timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        self._lease_renewer.remove(attempt)
        del self._executions[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("inline.broke", run=attempt.run.run_id, exc_info=error)

    async def close(self) -> None:
        """Hand every run back to the workers: at its next superstep, or where it stands when that takes too long."""
        self._closing = True
        await _wait(self._accepting, self._settings.redis_patience_web_s)
        for execution in self._executions.values():
            execution.drain()
        await _wait(self._executions, self._settings.drain_s)
        for execution in self._executions.values():
            execution.stop_now()
        await _wait(self._executions, _STOP_TIMEOUT_S)


async def _wait(tasks: Collection[asyncio.Task[Any]], within_s: float) -> None:
    if tasks:
        await asyncio.wait(list(tasks), timeout=within_s)
