"""Claims runs with a subclass of arq's `Worker`.

It has the life cycle of arq: `async_run` executes `main`, `close` ends it, `ctx` is passed to each attempt, and its
health is recorded in Redis, where `arq --check` reads it. It replaces how arq takes and executes jobs:

- *Latency*: arq polls the queue. Here, a script that queues a job, due or not, pushes a token to a list. The token
  wakes exactly one of the workers that wait for the list with a blocking pop.
- *Claims*: arq needs three round trips for a job, and checks only the first jobs of the queue. Here, one script claims
  as many due runs as the worker has free slots.
- *Crash*: arq retries a job after its timeout. Here, a run is reclaimed when its lease is no longer renewed (`leases`,
  `duties.reaper`).
- *Connections*: arq uses a pool of redis-py. Here, commands are sent on the two pipelines of the process.

arq's retries, results and pickled arguments are not used: a job is its id, `<run id>:<attempt>`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from signal import Signals
from typing import Any, Final, cast

import hiredis
import structlog
from arq.connections import ArqRedis
from arq.worker import Worker, func

from slipway import failpoints
from slipway.errors import StoredDataError, StoreUnavailable
from slipway.graph_versions.served_graphs import ServedGraphs
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.runs.crash_suspects import CrashSuspects
from slipway.runs.queue_scripts import QueueScripts
from slipway.runs.record import Run, has_large_options, run_from, run_in_turns
from slipway.runs.scripts import RunScripts
from slipway.runs.worker_health import WorkerHealth
from slipway.runs.worker_wake import WorkerWake

log = structlog.get_logger(__name__)

MAX_WAIT_S: Final = 1.0
"""Seconds after which a worker claims without a token. A lost token delays a run by at most this time."""

_FIRST_PAUSE_S: Final = 0.05
"""The pause after a failed claim doubles with each that follows, up to `MAX_WAIT_S`. It is short at first, because a
claim waits for a connection: after a restart of Redis the next one succeeds."""

HEALTH_EVERY_S: Final = 2.0
"""Interval at which the claim loop records that it works."""

HEALTH_LIFETIME_S: Final = 5.0
"""Seconds after which a worker that records nothing counts as dead. It is longer than two intervals, so that a short
pause of a busy machine is not taken for a dead worker."""

MEMORY_UNCHECKED_S: Final = 0.05
"""Seconds for which a worker claims without checking memory again, after memory was far from the high-water mark."""

_ADDED_BY_ARQ_S: Final = 1.0
"""arq stores a record of health for `health_check_interval` and one second."""

UNREADABLE_PAUSE_MS: Final = 5000
"""Milliseconds after which a run is due again whose record a worker could not read."""

RunHandler = Callable[[dict[str, Any], Run, float], Awaitable[None]]
"""Executes one attempt at a run. The last argument is when the claim of the run was sent (`time.monotonic`)."""


class ClaimingWorker(Worker):
    """Claims runs of the versions in `served`, and calls `handler` for each in a task. `wake` is a separate pipeline,
    because the blocking pop blocks it."""

    def __init__(
        self,
        handler: RunHandler,
        shards: Shards,
        wake: Pipeline,
        worker: str,
        health: WorkerHealth,
        served: ServedGraphs,
        *,
        lease_ms: int,
        max_runs: int,
        high_water: float,
    ) -> None:
        self._tokens = WorkerWake(wake, shards.only)
        super().__init__(
            functions=[func(handler, name="attempt", keep_result=0, max_tries=1)],  # type: ignore[arg-type]
            queue_name=self._tokens.queue_name,
            redis_pool=cast(ArqRedis, health),
            handle_signals=False,
            max_jobs=max_runs,
            keep_result=0,
            max_tries=1,
            retry_jobs=False,
            health_check_key=health.key,
            health_check_interval=HEALTH_LIFETIME_S - _ADDED_BY_ARQ_S,
        )
        self._run_attempt, self._scripts = handler, RunScripts(wake, shards)
        self._queue_scripts = QueueScripts(wake, shards.only)
        self._worker_id, self._lease_ms, self._served = worker, lease_ms, served
        self._high_water, self._check_memory_at = high_water, 0.0
        self._slot_free, self._claims_ended = asyncio.Event(), asyncio.Event()
        self._recording: asyncio.Task[None] | None = None
        self._record_at = 0.0
        self.suspects = CrashSuspects()

    async def main(self) -> None:
        """Claims and executes runs until `stop_claiming` is called. Records its health until it is cancelled, so that a
        worker that drains is healthy."""
        try:
            await self._claim_until_stopped()
        finally:
            self._claims_ended.set()
        while True:
            self._record_health_if_due()
            await asyncio.sleep(MAX_WAIT_S)

    async def _claim_until_stopped(self) -> None:
        wait_s, pause_s = 0.0, _FIRST_PAUSE_S
        while self.allow_pick_jobs:
            self._record_health_if_due()
            if len(self.tasks) >= self.max_jobs:
                await self._wait_for_slot()
                continue
            try:
                wait_s, pause_s = await self._claim(wait_s), _FIRST_PAUSE_S
            except StoreUnavailable as error:
                log.warning("claim.failed", problem=str(error), retry_in_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, MAX_WAIT_S)

    def stop_claiming(self) -> None:
        """Stops claiming. Runs that a claim in progress returns are started and released at once
        (`OpenExecutions.drain`)."""
        self.allow_pick_jobs = False
        self._slot_free.set()

    def handle_sig(self, signum: Signals) -> None:
        """Called by `close`, with no signal: stops the attempts that are left after the drain, and does not wait for
        them."""
        if self._recording is not None:
            self._recording.cancel()
        for task in self.tasks.values():
            task.cancel()
        self.tasks.clear()

    async def record_health(self) -> None:
        """Records the health as arq does, whenever it is called, and does not log the counts. A failure is only logged,
        because claims do not depend on it."""
        self._last_health_check, self._last_health_check_log = 0.0, None
        try:
            await super().record_health()
        except (StoreUnavailable, hiredis.ReplyError) as error:
            log.warning("health.not_recorded", problem=str(error))

    def _record_health_if_due(self) -> None:
        """Starts to record the health in a task, for which the claim loop does not wait. While Redis is unavailable,
        that task waits for it."""
        if self.loop.time() < self._record_at or not (self._recording is None or self._recording.done()):
            return
        self._record_at = self.loop.time() + HEALTH_EVERY_S
        self._recording = self.loop.create_task(self.record_health(), name="record health")

    async def _wait_for_slot(self) -> None:
        self._slot_free.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_WAIT_S):
                await self._slot_free.wait()

    async def wait_until_idle(self, within_s: float) -> bool:
        """Waits until the last claim has returned and no run executes. Returns whether that was within this time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._claims_ended.wait()
                if self.tasks:
                    await asyncio.wait(list(self.tasks.values()))
                return True
        return False

    async def _claim(self, wait_s: float) -> float:
        """Waits at most `wait_s` seconds for a token, and claims runs for the free slots. Returns the seconds to wait
        the next time.

        The pop and the claim are sent together: Redis executes the claim as soon as a token ends the pop, so both need
        one round trip."""
        if wait_s > 0:
            self._tokens.wait(wait_s, self._served.group).add_done_callback(ignore_reply)
        free = self.max_jobs - len(self.tasks)
        sent_at = time.monotonic()
        claimed = await self._queue_scripts.run_claim(
            self._worker_id,
            free,
            self._lease_ms,
            self.suspects.free_slots(),
            mark=self._high_water if sent_at >= self._check_memory_at else None,
            serves=self._served.packed,
            group=self._served.group,
        )
        if sent_at >= self._check_memory_at and not claimed.near_mark:
            self._check_memory_at = sent_at + MEMORY_UNCHECKED_S
        for stranded in claimed.stranded:
            log.warning(
                "run.stranded", waits_for=stranded.waits_for, reason=stranded.reason, **stranded.run.log_fields()
            )
        if claimed.runs:
            failpoints.reach("claim")
        for fields in sorted(claimed.runs, key=has_large_options):  # the others do not wait for large ones
            try:
                run = await run_in_turns(fields) if has_large_options(fields) else run_from(fields)
            except StoredDataError as error:
                run_id = await self._scripts.give_back(fields, f"a worker cannot read it: {error}", UNREADABLE_PAUSE_MS)
                log.error("run.unreadable", run=run_id, problem=str(error), retry_in_s=UNREADABLE_PAUSE_MS / 1000)
            else:
                self._start(run, sent_at)
        due_in_s = MAX_WAIT_S if claimed.due_in_ms is None else claimed.due_in_ms / 1000
        return min(MAX_WAIT_S, due_in_s, self.suspects.next_slot_in_s())

    def _start(self, run: Run, claim_sent_at: float) -> None:
        job_id = f"{run.run_id}:{run.attempt}"
        task = self.loop.create_task(self.run_job(job_id, 0, run, claim_sent_at), name=f"job {job_id}")
        self.tasks[job_id] = task
        self.suspects.add(run)
        task.add_done_callback(lambda _: self._on_end(job_id, run))

    async def run_job(self, job_id: str, score: int, run: Run | None = None, claim_sent_at: float = 0.0) -> None:
        """Executes one attempt. An unexpected exception is logged. It counts as an attempt, because the lease is no
        longer renewed."""
        assert run is not None
        try:
            await self._run_attempt(self.ctx, run, claim_sent_at)
            self.jobs_complete += 1
        except Exception:
            log.exception("attempt.crashed", run=run.run_id, attempt=run.attempt)
            self.jobs_failed += 1

    def _on_end(self, job_id: str, run: Run) -> None:
        self.tasks.pop(job_id, None)
        self.suspects.remove(run)
        self._slot_free.set()


def ignore_reply(reply: asyncio.Future[Any]) -> None:
    """The callback for a command whose reply is not needed. If it failed, the claim that follows raises the same
    error."""
    if not reply.cancelled():
        reply.exception()
