"""Creates the runs of crons that are due.

Interval: `INTERVAL_S`.
Who: every worker; the script that creates the run of a due time succeeds for one of them.
Logs: `cron.run_created` for each run; `cron.due_times_missed` if due times passed without a run, such as while no
worker was running; `cron.access_denied`, `cron.skipped`, `cron.auth_failed` and `cron.no_memory` when a problem of a
cron starts, and not again until it changes; `cron.deleted_without_thread` for a cron whose thread was deleted.

A run is created only if the cron's owner is authorized to create it now. If no run can be created, the due time is
skipped and the cron shows the reason in `problem`; a cron whose thread was deleted is deleted. If the auth file fails,
or memory is short, the due time is retried later, so a temporary problem loses no run.

A worker that dies between the creation of the run and the advance of the cron leaves the cron due. The next worker
then finds that the due time was handled, creates no run, and advances the cron.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from slipway import failpoints
from slipway.access.permissions import all_permissions_of, is_handler_failure
from slipway.crons.crons_of_deleted_threads import CronsOfDeletedThreads
from slipway.crons.due_time_scripts import DueTimeScripts, ToldProblem
from slipway.crons.record import Cron, cron_from
from slipway.crons.scripts import CronScripts
from slipway.duties.duty import Duty
from slipway.errors import AccessRefused, NotFound, Overloaded, SlipwayError, StoreUnavailable
from slipway.runs.creation import DueTimeTaken
from slipway.runs.run_request import RunIds
from slipway.runs.scripts import DueTime
from slipway.serialization.json_encoding import dumps
from slipway.services import Services

log = structlog.get_logger(__name__)

INTERVAL_S: Final = 1.0
_CRONS_PER_ROUND: Final = 100
_CONCURRENCY: Final = 16
"""The most runs that are created at the same time. Handlers of the auth file, which are called for each, may be
slow."""
_PROBLEM_CHARS: Final = 500
_AUTH_RETRY_MS: Final = 15_000
"""Milliseconds after which a due time is retried when the auth file has failed."""
_RUN_NOT_CREATED: Final = "The run could not be created. The log of the worker has the details."
_NO_MEMORY: Final = "Redis is short of memory. The due time is retried."
_AUTH_FAILED: Final = "The auth file failed, so the operation could not be authorized."


class Scheduler(Duty):
    """One round creates the runs of all crons that are due, at most `_CRONS_PER_ROUND`."""

    name = "scheduler"

    def __init__(self, services: Services) -> None:
        super().__init__(INTERVAL_S)
        self._services, self.scripts = services, CronScripts(services.pipeline, services.shards.crons)
        self._due_times = DueTimeScripts(services.pipeline, services.shards)
        self._crons_of_deleted_threads = CronsOfDeletedThreads(services.pipeline, services.shards)
        self._slots = asyncio.Semaphore(_CONCURRENCY)

    async def run_once(self) -> int:
        """Returns how many runs this worker created."""
        now_ms, due = await self.scripts.due(_CRONS_PER_ROUND)
        crons = [cron_from(fields, now_ms) for fields in due]
        due_runs = [self._handle(cron, cron.next_ms, now_ms) for cron in crons if cron.next_ms is not None]
        results = await asyncio.gather(*due_runs, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return sum(result is True for result in results)

    async def _handle(self, cron: Cron, due_ms: int, now_ms: int) -> bool:
        """Returns whether the run was created here. Raises only `StoreUnavailable`, so that a problem of one cron does
        not affect the others."""
        due_time = DueTime(
            cron_id=cron.cron_id,
            incarnation=cron.incarnation,
            due_ms=due_ms,
            next_ms=None,
            thread_created_us=cron.thread_created_us,
        )
        try:
            due_time = _with_next(due_time, cron.schedule.after(now_ms))
            missed = cron.schedule.count_missed(due_ms, now_ms)
            async with self._slots:
                is_new = await self.create_run(cron, due_time, missed)
        except StoreUnavailable:
            raise
        except Exception as error:
            await self._handle_error(cron, due_time, error)
            return False
        if is_new and missed:
            log.warning("cron.due_times_missed", cron=cron.cron_id, due_ms=due_ms, missed=missed)
        return is_new

    async def create_run(self, cron: Cron, due_time: DueTime, missed: int) -> bool:
        """Creates the run of a due time, and advances the cron. Returns whether the run was created here."""
        run_id, thread_id = cron.run_ids(due_time["due_ms"], self._services.shards)
        request = cron.run_request(due_time["due_ms"], missed)
        owner, *changers = all_permissions_of(self._services.auth, request.user, request.changed_by)
        ids = RunIds(run_id=run_id, thread_id=thread_id, due_time=due_time)
        try:
            created = await self._services.submission.submit_due(request, ids, owner, changers)
        except DueTimeTaken as taken:
            await self._advance_handled(due_time, run_id, taken)
            return False
        if created.is_new:
            log.info(
                "cron.run_created", cron=cron.cron_id, due_ms=due_time["due_ms"], **created.run.logged.log_fields()
            )
        failpoints.reach("due_run_created")
        await self.scripts.advance(due_time, run_id)
        return created.is_new

    async def _advance_handled(self, due_time: DueTime, run_id: str, error: DueTimeTaken) -> None:
        """Advances a cron whose due time another process has handled; that process may have died. The next due time is
        the one that process decided on, because its run counts the due times missed until then."""
        if error.handled.has_run:
            await self.scripts.advance(_with_next(due_time, error.handled.next_ms), run_id)
        else:
            await self.scripts.advance(due_time, None)

    async def _handle_error(self, cron: Cron, due_time: DueTime, error: Exception) -> None:
        if isinstance(error, Overloaded):
            by_ms = error.retry_after_s * 1000
            if await self._retry_later(cron, due_time, _NO_MEMORY, by_ms=by_ms):
                log.error(
                    "cron.no_memory",
                    cron=cron.cron_id,
                    problem=_NO_MEMORY,
                    due_ms=due_time["due_ms"],
                    retry_in_s=by_ms / 1000,
                )
        elif is_handler_failure(error):
            if await self._retry_later(cron, due_time, _AUTH_FAILED, by_ms=_AUTH_RETRY_MS):
                log.error(
                    "cron.auth_failed",
                    cron=cron.cron_id,
                    problem=_AUTH_FAILED,
                    due_ms=due_time["due_ms"],
                    retry_in_s=_AUTH_RETRY_MS / 1000,
                    exc_info=error,
                )
        elif not await self._delete_if_thread_is_deleted(cron, error):
            await self._skip(cron, due_time, error)

    async def _retry_later(self, cron: Cron, due_time: DueTime, problem: str, *, by_ms: int) -> bool:
        """Whether the cron did not show this problem already."""
        await self._tell(cron, due_time, problem)
        return await self.scripts.postpone(due_time, problem=problem, by_ms=by_ms) and cron.problem != problem

    async def _delete_if_thread_is_deleted(self, cron: Cron, error: Exception) -> bool:
        """Deletes the cron if its thread was deleted, and returns whether it was. A thread that the owner may no longer
        read was not deleted."""
        if not isinstance(error, NotFound) or error.kind != "thread":
            return False
        crons = await self._crons_of_deleted_threads.find([cron.cron_id])
        for each in crons:
            if await self._crons_of_deleted_threads.delete(each):
                log.info(
                    "cron.deleted_without_thread",
                    cron=each.cron_id,
                    thread=each.thread_id,
                )
        return bool(crons)

    async def _skip(self, cron: Cron, due_time: DueTime, error: Exception) -> None:
        problem = str(error)[:_PROBLEM_CHARS] if isinstance(error, SlipwayError) else _RUN_NOT_CREATED
        await self._tell(cron, due_time, problem)
        if not await self.scripts.skip(due_time, problem=problem) or cron.problem == problem:
            return
        fields = {"cron": cron.cron_id, "problem": problem, "due_ms": due_time["due_ms"], "owner": cron.user_id}
        if isinstance(error, AccessRefused):
            log.error("cron.access_denied", **fields)
        else:
            log.error("cron.skipped", exc_info=error if problem is _RUN_NOT_CREATED else None, **fields)

    async def _tell(self, cron: Cron, due_time: DueTime, problem: str) -> None:
        """Tells webhook endpoints of a problem before the cron shows it: a worker that dies in between leaves the cron
        due, and the next one finds that they were told."""
        owner = cron.metadata.get("owner")
        owner_json = None if owner is None else dumps(owner).decode()
        told = ToldProblem(problem, cron.assistant_id, await self._graph_of(cron), owner_json, cron.thread_id)
        await self._due_times.tell_problem(due_time, told)
        failpoints.reach("cron_problem_told")

    async def _graph_of(self, cron: Cron) -> str | None:
        try:
            return (await self._services.assistants.get(cron.assistant_id)).graph_id
        except NotFound:
            return None


def _with_next(due_time: DueTime, next_ms: int | None) -> DueTime:
    return DueTime(**{**due_time, "next_ms": next_ms})
