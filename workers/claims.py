"""How a worker gets its work: arq's Worker, with the three things replaced that arq does badly.

*Latency*: arq polls. Here whoever queues a job pushes a token, and a waiting worker's blocking pop wakes exactly one.
*Claims*: arq spends three round trips on a job and never looks past the first entries. Here one script claims as many
due runs as there is room for, and takes them out of the way.
*Crash*: arq retries after the job's timeout. Here the lease is the only liveness (`leases`, `reaper`).

arq's retries, results and pickles are not used: a job is its id, `run:attempt`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import structlog
from arq.connections import ArqRedis
from arq.worker import Worker, func

from app import failpoints
from app.errors import StoreUnavailable
from app.keyspace.names import Keys
from app.keyspace.scripts import Scripts
from app.runs import Run, run_from
from app.wire import Wire

log = structlog.get_logger(__name__)

LONGEST_WAIT_S: Final = 1.0
"""A lost token costs at most this."""

Perform = Callable[[dict[str, Any], Run], Awaitable[None]]


class ClaimingWorker(Worker):
    """Claims runs and performs each in a task. `wake` is a wire of its own, for the blocking pop."""

    def __init__(
        self,
        perform: Perform,
        scripts: Scripts,
        keys: Keys,
        wake: Wire,
        worker: str,
        *,
        lease_ms: int,
        max_runs: int,
    ) -> None:
        super().__init__(
            functions=[func(perform, name="attempt", keep_result=0, max_tries=1)],  # type: ignore[arg-type]
            queue_name=keys.queue,
            redis_pool=ArqRedis(),
            handle_signals=False,
            max_jobs=max_runs,
            keep_result=0,
            max_tries=1,
            retry_jobs=False,
        )
        self._perform, self._scripts, self._keys, self._wake = perform, scripts, keys, wake
        self._worker_id, self._lease_ms = worker, lease_ms
        self._room = asyncio.Event()
        self._stopped = asyncio.Event()

    async def main(self) -> None:
        """Claim and perform until `stop_claiming`, then wait for what is in progress."""
        while self.allow_pick_jobs:
            try:
                wait_s = await self._claim()
            except StoreUnavailable as error:
                log.warning("claim.failed", problem=str(error))
                wait_s = LONGEST_WAIT_S
            await self._either(self._next(wait_s))
        if self.tasks:
            await asyncio.wait(list(self.tasks.values()))

    def stop_claiming(self) -> None:
        """Take no more work."""
        self.allow_pick_jobs = False
        self._stopped.set()

    async def _claim(self) -> float:
        """Fill the free places. Returns the seconds until it is worth looking again, unless a token comes first."""
        free = self.max_jobs - len(self.tasks)
        if free <= 0:
            self._room.clear()
            return LONGEST_WAIT_S
        due_in_ms, claimed = await self._scripts.run_claim(self._worker_id, free, self._lease_ms)
        if claimed:
            failpoints.reach("claim")
        for held in claimed:
            self._begin(run_from(held))
        return LONGEST_WAIT_S if due_in_ms is None else min(LONGEST_WAIT_S, due_in_ms / 1000)

    def _begin(self, run: Run) -> None:
        job_id = f"{run.run_id}:{run.attempt}"
        task = self.loop.create_task(self.run_job(job_id, 0, run), name=f"job {job_id}")
        self.tasks[job_id] = task
        task.add_done_callback(lambda _: self._ended(job_id))

    async def run_job(self, job_id: str, score: int, run: Run | None = None) -> None:
        """One attempt. What it raises is logged and costs the run an attempt: its lease is no longer renewed."""
        assert run is not None
        try:
            await self._perform(self.ctx, run)
            self.jobs_complete += 1
        except Exception:
            log.exception("attempt.broke", job=job_id)
            self.jobs_failed += 1

    def _ended(self, job_id: str) -> None:
        del self.tasks[job_id]
        self._room.set()

    async def _next(self, wait_s: float) -> None:
        """Return when there may be work and room for it."""
        if len(self.tasks) >= self.max_jobs:
            await self._room.wait()
        elif wait_s > 0:
            with suppress(StoreUnavailable):
                await self._wake.send("BLPOP", self._keys.queue_wake, wait_s)
                return
            await asyncio.sleep(LONGEST_WAIT_S)

    async def _either(self, waiting: Any) -> None:
        """Until `waiting` is done, or nothing more is to be claimed."""
        tasks = {asyncio.ensure_future(waiting), asyncio.ensure_future(self._stopped.wait())}
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
