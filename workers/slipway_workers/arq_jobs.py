"""Executes the jobs and cron jobs of the project's arq application in a worker process, beside the runs.

This is arq's `Worker` with the project's settings, so arq's own rules hold for its jobs. It differs in what happens
when something fails, because here it shares a process with runs:

- *A fault of its loop*, such as a Redis that does not reply or an `on_startup` that raises, is logged, and the loop
  continues after a pause. arq would end the process. Jobs that are executing continue.
- *A fault of a job outside its function*, such as an `on_job_start` that raises, is logged. As in arq, its in-progress
  key expires later, and then the job is executed again.
- *`sys.exit()`* in the project's code fails the job, or counts as a fault.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, cast

import structlog
from arq.cron import CronJob
from arq.utils import poll
from arq.worker import Function, JobExecutionFailed, Worker
from redis.exceptions import RedisError

from slipway.current_work import CURRENT_WORK
from slipway.exception_text import repr_of
from slipway.execution.contained_errors import GraphRaised, contain_errors
from slipway.services import OpenArqApplication
from slipway.stop_times import HEALTH_RECORD_WITHIN_S

log = structlog.get_logger(__name__)

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0
"""The pause after a fault doubles with each fault that follows, up to this one."""

CANCELLED_WITHIN_S: Final = 0.5
"""Seconds in which jobs must end after they were cancelled by a drain."""

SHUTDOWN_WITHIN_S: Final = 0.75
"""Seconds that `on_shutdown` has when jobs were cancelled; otherwise it also has what is left of the time of the drain.
The seconds of a drain after `drain_s` are fewer than those that a supervisor waits before it kills the process."""

STALLED_AFTER_S: Final = 30.0
"""Seconds after which a round of polling, which takes milliseconds, is a fault: Redis does not reply."""


class ArqJobs(Worker):
    """`async_run` executes jobs until `drain` was called. It never raises an exception of the project."""

    def __init__(self, opened: OpenArqApplication, on_fault: Callable[[], object]) -> None:
        """`on_fault` is called after each fault of the loop."""
        options = dict(opened.application.worker_options)
        super().__init__(**options, redis_pool=opened.redis, handle_signals=False)
        self.functions = {name: _contained(each) for name, each in self.functions.items()}
        self.cron_jobs = [replace(each) for each in self.cron_jobs]  # their next times belong to this worker
        self._on_fault = on_fault
        self._consecutive_faults = 0
        self._started = self._stopping = False
        self._live: set[asyncio.Task[Any]] = set()
        self._picking = asyncio.Lock()

    async def async_run(self) -> None:
        """Executes jobs. Returns when they have drained."""
        contain_errors()  # in the tasks that are created from here on
        self.main_task = self.loop.create_task(self.main(), name="arq jobs")
        try:
            await asyncio.wait({self.main_task})
        finally:
            self._stop_main()

    async def main(self) -> None:
        """Starts the application and polls its queue, until it is cancelled. A fault only causes a pause."""
        while not await self._attempt(self._start):
            await self._end()
            await self._pause()
        async for _ in poll(self.poll_delay_s):
            if not await self._attempt(self._poll):
                await self._pause()

    async def drain(self, within_s: float) -> None:
        """Picks no further job, and waits `within_s` seconds for those that are executing. Those that remain are
        cancelled: by arq's rules, another worker executes them again. Then `on_shutdown` is called. Takes at most 1.5 s
        longer than `within_s`."""
        self.allow_pick_jobs, self.max_jobs = False, 0  # the second also ends a round of picks that has begun
        log.info("arq.draining", jobs=len(self._live))
        deadline = self.loop.time() + within_s
        if not await _ends(self._wait_until_idle(), within_s):
            for task in self._live:
                task.cancel()
            await _ends(self._wait_until_idle(), CANCELLED_WITHIN_S)
        self._stop_main()
        await self._delete_health_key()
        shutdown_within_s = max(deadline - self.loop.time(), 0) + SHUTDOWN_WITHIN_S
        if not await _ends(self._close(), shutdown_within_s):
            log.warning("arq.shutdown_unfinished", after_s=shutdown_within_s)
        log.info("arq.drained", jobs_left=len(self._live))

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Starts those of these jobs that no other worker executes, while there are free slots. arq does not free the
        slot of a job whose start raises."""
        async with self._picking:
            for job_id in job_ids:
                if self.job_counter >= self.max_jobs:
                    return
                try:
                    await super().start_jobs([job_id])
                except BaseException:
                    if self.job_counter > len(self._live):
                        self._release_sem_dec_counter_on_complete()
                    raise
                self._remember(self.tasks.get(job_id.decode()))

    async def run_job(self, job_id: str, score: int) -> None:
        """Executes one job. An exception of anything but its function is logged."""
        try:
            await super().run_job(job_id, score)
        except BaseException as error:  # arq would end its loop with it
            log.error(
                "arq.job_unfinished",
                job=job_id,
                problem=repr_of(error),
                retry_in_s=self.in_progress_timeout_s,
                exc_info=error,
            )

    def _skip_missed_times(self) -> None:
        """Other workers have executed the cron jobs that became due during a pause. arq prevents a second execution
        only if a job is enqueued in time."""
        now = datetime.now(tz=self.timezone)
        for cron_job in self.cron_jobs:
            if cron_job.next_run is not None and cron_job.next_run < now:
                cron_job.calculate_next(now)

    def _remember(self, task: asyncio.Task[Any] | None) -> None:
        """Adds a job that was just started to `_live`. arq frees the slot of a job in a callback of its task, and the
        next callback removes it from `_live`, so there are as many slots in use as tasks in `_live`."""
        if task is not None and not task.done() and task not in self._live:
            self._live.add(task)
            task.add_done_callback(self._live.discard)

    async def _poll(self) -> None:
        if self._consecutive_faults:
            self._skip_missed_times()
        await _replies(self._poll_iteration())

    async def _start(self) -> None:
        await _replies(self.pool.ping())
        self.ctx["redis"] = self.pool
        self._started = True
        if self.on_startup:
            await self.on_startup(self.ctx)
        log.info("arq.started", queue=self.queue_name, functions=sorted(self.functions))

    async def _end(self) -> None:
        """Calls `on_shutdown` if the application was started."""
        if self._started and self.on_shutdown:
            try:
                await self.on_shutdown(self.ctx)
            except BaseException as error:
                if self._stopping and isinstance(error, asyncio.CancelledError):
                    raise
                log.error("arq.shutdown_failed", problem=repr_of(error), exc_info=error)
        self._started = False

    def _stop_main(self) -> None:
        """From now on a cancellation ends `main`. Before that, it comes from the project's code and is a fault."""
        self._stopping = True
        if self.main_task is not None:
            self.main_task.cancel()

    async def _close(self) -> None:
        if self.main_task is not None:
            await asyncio.wait({self.main_task})
        await self._end()

    async def _delete_health_key(self) -> None:
        with contextlib.suppress(RedisError, TimeoutError):
            async with asyncio.timeout(HEALTH_RECORD_WITHIN_S):
                await self.pool.delete(self.health_check_key)

    async def _attempt(self, step: Callable[[], Awaitable[Any]]) -> bool:
        """Whether a step succeeded. A fault is logged, the first of several with its traceback."""
        try:
            await step()
        except BaseException as error:
            if self._stopping:
                raise
            self._consecutive_faults += 1
            log.error(
                "arq.failed",
                problem=repr_of(error),
                retry_in_s=self._pause_s(),
                jobs=len(self._live),
                exc_info=error if self._consecutive_faults == 1 else None,
            )
            self._on_fault()
            return False
        if self._consecutive_faults:
            self._consecutive_faults = 0
            log.info("arq.recovered")
        return True

    async def _pause(self) -> None:
        await asyncio.sleep(self._pause_s())

    def _pause_s(self) -> float:
        return float(min(FIRST_PAUSE_S * 2.0 ** (min(self._consecutive_faults, 20) - 1), LONGEST_PAUSE_S))

    async def _wait_until_idle(self) -> None:
        async with self._picking:  # a pick that has begun starts its job
            pass
        while self._live:
            await asyncio.wait(set(self._live))


def _contained(function: Function | CronJob) -> Function | CronJob:
    """The function with a telling name for its task, for reports of code that blocks the event loop. `sys.exit()` in
    it, or in a task that it created, fails the job with an exception of arq, which every program that reads the result
    knows."""
    execute = function.coroutine

    async def contained(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> Any:
        CURRENT_WORK.set({"job": ctx["job_id"], "function": function.name})
        if (task := asyncio.current_task()) is not None:
            task.set_name(f"arq job {function.name}:{ctx['job_id']}")
        try:
            return await execute(ctx, *args, **kwargs)
        except (Exception, asyncio.CancelledError) as error:
            if not isinstance(error, GraphRaised):
                raise
            raise JobExecutionFailed(f"{function.name} raised {repr_of(error.raised)}") from error
        except BaseException as error:  # SystemExit, or a class of the project
            raise JobExecutionFailed(f"{function.name} raised {repr_of(error)}") from error

    return replace(function, coroutine=cast(Any, contained))


async def _replies(commands: Awaitable[Any]) -> None:
    """Raises `TimeoutError` when Redis does not reply. redis-py would wait without a limit."""
    try:
        async with asyncio.timeout(STALLED_AFTER_S):
            await commands
    except TimeoutError as error:
        raise TimeoutError(f"Redis has not replied for {STALLED_AFTER_S:g} s") from error


async def _ends(work: Coroutine[Any, Any, None], within_s: float) -> bool:
    """Whether the work ended within this time. Otherwise it is cancelled, and not waited for: the project's code may
    ignore the cancellation."""
    task = asyncio.create_task(work)
    ended, _ = await asyncio.wait({task}, timeout=within_s)
    task.cancel()
    return bool(ended)
