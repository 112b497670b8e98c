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
from typing import Any, Final

import structlog
from arq.connections import ArqRedis
from arq.worker import Worker, func

from slipway import failpoints
from slipway.errors import StoreUnavailable
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.crash_suspects import CrashSuspects
from slipway.runs.record import Run, run_from
from slipway.runs.scripts import RunScripts

log = structlog.get_logger(__name__)

MAX_WAIT_S: Final = 1.0
"""A lost token costs at most this."""

RunHandler = Callable[[dict[str, Any], Run], Awaitable[None]]


class ClaimingWorker(Worker):
    """Claims runs and performs each in a task. `wake` is a pipeline of its own: it is blocked without work."""

    def __init__(
        self,
        perform: RunHandler,
        keys: Keys,
        wake: Pipeline,
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
        self._run_attempt, self._keys, self._wake = perform, keys, wake
        self._scripts = RunScripts(wake, keys)
        self._worker_id, self._lease_ms = worker, lease_ms
        self._room = asyncio.Event()
        self.suspects = CrashSuspects()

    async def main(self) -> None:
        """Claim and perform until `stop_claiming`, then wait for what is in progress."""
        wait_s = 0.0
        while self.allow_pick_jobs:
            if len(self.tasks) >= self.max_jobs:
                self._room.clear()
                await self._room.wait()
                continue
            try:
                wait_s = await self._claim(wait_s)
            except StoreUnavailable as error:
                log.warning("claim.failed", problem=str(error))
                await asyncio.sleep(MAX_WAIT_S)
        if self.tasks:
            await asyncio.wait(list(self.tasks.values()))

    def stop_claiming(self) -> None:
        """Take no more work. What a claim that is under way brings is begun all the same, and handed back."""
        self.allow_pick_jobs = False
        self._room.set()

    async def _claim(self, wait_s: float) -> float:
        """Fill the free places, after up to `wait_s` for a token. Returns the seconds to wait for one next time.

        The pop and the claim go out together: the server runs the claim in the moment that a token wakes it, and the
        answer to both is one round trip."""
        if wait_s > 0:
            self._wake.send("BLPOP", self._keys.worker_wake, wait_s).add_done_callback(ignore_reply)
        free = self.max_jobs - len(self.tasks)
        due_in_ms, claimed = await self._scripts.run_claim(
            self._worker_id, free, self._lease_ms, suspects=self.suspects.free_slots()
        )
        if claimed:
            failpoints.reach("claim")
        for held in claimed:
            self._start(run_from(held))
        due_in_s = MAX_WAIT_S if due_in_ms is None else due_in_ms / 1000
        return min(MAX_WAIT_S, due_in_s, self.suspects.next_slot_in_s())

    def _start(self, run: Run) -> None:
        job_id = f"{run.run_id}:{run.attempt}"
        task = self.loop.create_task(self.run_job(job_id, 0, run), name=f"job {job_id}")
        self.tasks[job_id] = task
        self.suspects.add(run)
        task.add_done_callback(lambda _: self._ended(job_id, run))

    async def run_job(self, job_id: str, score: int, run: Run | None = None) -> None:
        """One attempt. What it raises is logged and costs the run an attempt: its lease is no longer renewed."""
        assert run is not None
        try:
            await self._run_attempt(self.ctx, run)
            self.jobs_complete += 1
        except Exception:
            log.exception("attempt.broke", job=job_id)
            self.jobs_failed += 1

    def _ended(self, job_id: str, run: Run) -> None:
        del self.tasks[job_id]
        self.suspects.remove(run)
        self._room.set()


def ignore_reply(answer: asyncio.Future[Any]) -> None:
    """For a command whose answer does not matter: what went wrong shows in the claim behind it."""
    if not answer.cancelled():
        answer.exception()
