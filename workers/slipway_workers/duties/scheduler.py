"""Creates the runs of crons that are due.

Interval: `INTERVAL_S`.
Who: every worker; the script that creates the run of a due time lets one of them succeed.
Logs: `cron.run_created` for each run; `cron.due_times_missed` if due times passed without a run, such as while no
worker was running; `cron.access_denied`, `cron.skipped` and `cron.auth_failed` when a problem of a cron begins, not
again while it lasts.

A run is created only if the cron's owner is authorized to create it now. If no run can be created, the due time is
skipped and the cron shows the reason in `problem`; a cron whose thread was deleted is disabled. If the auth file fails,
the due time is kept and tried again, so a temporary failure loses no run.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from slipway.access.permissions import all_permissions_of, is_handler_failure
from slipway.crons.record import Cron, cron_from
from slipway.crons.scripts import CronScripts
from slipway.duties import Duty
from slipway.errors import AccessRefused, NotFound, SlipwayError, StoreUnavailable
from slipway.runs.creation import DueTimeTaken
from slipway.runs.run_request import RunIds
from slipway.runs.scripts import DueTime
from slipway.services import Services

log = structlog.get_logger(__name__)

INTERVAL_S: Final = 1.0
_CRONS_PER_ROUND: Final = 100
_CONCURRENCY: Final = 16
"""Runs that are created at the same time. Handlers of the auth file, which are called for each, may be slow."""
_PROBLEM_CHARS: Final = 500
_AUTH_RETRY_MS: Final = 15_000
"""Time until a due time is tried again after the auth file failed."""
_RUN_NOT_CREATED: Final = "The run could not be created. The log of the worker has the details."
_AUTH_FAILED: Final = "The auth file failed, so the operation could not be authorized."


class Scheduler(Duty):
    """One round creates the runs of all crons that are due, at most `_CRONS_PER_ROUND`."""

    name = "scheduler"

    def __init__(self, services: Services) -> None:
        super().__init__(INTERVAL_S)
        self._services, self.scripts = services, CronScripts(services.pipeline, services.keys)
        self._slots = asyncio.Semaphore(_CONCURRENCY)

    async def run_once(self) -> int:
        """Returns how many runs this worker created."""
        now_ms, due = await self.scripts.due(_CRONS_PER_ROUND)
        crons = [cron_from(fields, now_ms) for fields in due]
        due_runs = [self._create_due_run(cron, cron.next_ms, now_ms) for cron in crons if cron.next_ms is not None]
        results = await asyncio.gather(*due_runs, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return sum(result is True for result in results)

    async def _create_due_run(self, cron: Cron, due_ms: int, now_ms: int) -> bool:
        """Returns whether the run was created here. Raises only `StoreUnavailable`, so that a problem of one cron does
        not affect the others."""
        step = DueTime(cron_id=cron.cron_id, incarnation=cron.incarnation, due_ms=due_ms, next_ms=None)
        try:
            step = DueTime(**{**step, "next_ms": cron.schedule.after(now_ms)})
            missed = cron.schedule.count_missed(due_ms, now_ms)
            async with self._slots:
                if not await self.submit_due(cron, step, missed):
                    return False
        except DueTimeTaken:
            return False
        except StoreUnavailable:
            raise
        except Exception as error:
            await (self._retry_later(cron, step, error) if is_handler_failure(error) else self._skip(cron, step, error))
            return False
        if missed:
            log.warning("cron.due_times_missed", cron=cron.cron_id, due_ms=due_ms, missed=missed)
        return True

    async def _retry_later(self, cron: Cron, step: DueTime, error: Exception) -> None:
        if await self.scripts.postpone(step, problem=_AUTH_FAILED, by_ms=_AUTH_RETRY_MS):
            facts = {"due_ms": step["due_ms"], "again_ms": _AUTH_RETRY_MS, "exc_info": error}
            _log_new_problem(cron, _AUTH_FAILED, "cron.auth_failed", **facts)

    async def _skip(self, cron: Cron, step: DueTime, error: Exception) -> None:
        disable = await self._has_lost_its_thread(cron, error)
        problem = str(error)[:_PROBLEM_CHARS] if isinstance(error, SlipwayError) else _RUN_NOT_CREATED
        if await self.scripts.skip(step, problem=problem, disable=disable):
            event = "cron.access_denied" if isinstance(error, AccessRefused) else "cron.skipped"
            raised = error if problem is _RUN_NOT_CREATED else None
            facts = {"due_ms": step["due_ms"], "disabled": disable, "owner": cron.user_id, "exc_info": raised}
            _log_new_problem(cron, problem, event, **facts)

    async def _has_lost_its_thread(self, cron: Cron, error: Exception) -> bool:
        """Whether the thread was deleted. A thread that the owner has no access to was not."""
        if cron.thread_id is None or not isinstance(error, NotFound) or error.kind != "thread":
            return False
        return await self._services.threads.status(cron.thread_id) is None

    async def submit_due(self, cron: Cron, step: DueTime, missed: int) -> bool:
        """Returns False if the run exists already."""
        run_id, own_thread = cron.run_ids(step["due_ms"])
        request = cron.run_request(step["due_ms"], missed)
        owner, *changers = all_permissions_of(self._services.auth, request.user, request.changed_by)
        ids = RunIds(run_id=run_id, thread_id=cron.thread_id or own_thread, due_time=step)
        created = await self._services.submission.submit_due(request, ids, owner, changers)
        if created.is_new:
            log.info("cron.run_created", cron=cron.cron_id, run=run_id, due_ms=step["due_ms"])
        return created.is_new


def _log_new_problem(cron: Cron, problem: str, event: str, **facts: object) -> None:
    """Logs a problem unless the cron showed the same one before."""
    if cron.problem != problem:
        log.error(event, cron=cron.cron_id, problem=problem, **facts)
