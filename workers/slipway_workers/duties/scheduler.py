"""Makes the runs of crons that are due. Every worker looks; the script that makes a run lets one of them through."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from slipway.access.permissions import all_permissions_of, gives_no_answer
from slipway.crons.permits import check_firing, permitted_firing
from slipway.crons.record import Cron, cron_from
from slipway.crons.scripts import CronScripts
from slipway.duties import repeat
from slipway.errors import AccessRefused, NotFound, SlipwayError, StoreUnavailable
from slipway.runs.permits import permit_use
from slipway.runs.run_making import run_of
from slipway.runs.scripts import CronStep
from slipway.runs.store import Fired
from slipway.services import Services

log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 1.0
_AT_ONCE: Final = 100
_SIDE_BY_SIDE: Final = 16
"""Crons whose runs are made at the same time: a handler of the auth file may take long."""
_PROBLEM_CHARS: Final = 500
_AGAIN_MS: Final = 15_000
"""When a cron is tried again about which the auth file gave no answer."""
_BROKEN: Final = "its run could not be made; the worker's log says why"
_NO_ANSWER: Final = "the server could not find out whether this is allowed (the auth file failed)"


class Scheduler:
    """Looks every second. A due time that cannot make a run is passed over, and the cron says why; one whose
    thread is gone rests. What is wrong is logged when it begins, not each time that the cron is due again.

    A run is made if its owner may make it now. Where the auth file gives no answer, the due time is kept and tried
    again, so that nothing is lost by a failure that passes."""

    def __init__(self, services: Services) -> None:
        self._services, self._scripts = services, CronScripts(services.pipeline, services.keys)
        self._room = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def run(self) -> None:
        """Until cancelled."""
        await repeat("scheduler", _LOOK_EVERY_S, self.look)

    async def look(self) -> int:
        """Make the runs that are due now; how many this worker made."""
        now_ms, due = await self._scripts.due(_AT_ONCE)
        crons = [cron_from(held, now_ms) for held in due]
        looks = [self._fire(cron, cron.next_ms, now_ms) for cron in crons if cron.next_ms is not None]
        made = await asyncio.gather(*looks, return_exceptions=True)
        for each in made:
            if isinstance(each, BaseException):
                raise each
        return sum(each is True for each in made)

    async def _fire(self, cron: Cron, due_ms: int, now_ms: int) -> bool:
        """Whether its run was made here. Whatever is wrong with one cron, the others go on."""
        step = CronStep(cron_id=cron.cron_id, incarnation=cron.incarnation, due_ms=due_ms, next_ms=None)
        try:
            step["next_ms"] = cron.schedule.after(now_ms)
            missed = cron.schedule.passed(due_ms, now_ms)
            async with self._room:
                if not await self._make(cron, step, missed):
                    return False
        except Fired:
            return False
        except StoreUnavailable:
            raise
        except Exception as error:
            if gives_no_answer(error):
                if await self._scripts.postpone(step, problem=_NO_ANSWER, by_ms=_AGAIN_MS):
                    self._say(cron, _NO_ANSWER, "cron.auth_broken", due_ms=due_ms, again_ms=_AGAIN_MS, exc_info=error)
                return False
            disable = await self._has_lost_its_thread(cron, error)
            problem = str(error)[:_PROBLEM_CHARS] if isinstance(error, SlipwayError) else _BROKEN
            if await self._scripts.skip(step, problem=problem, disable=disable):
                what = "cron.refused" if isinstance(error, AccessRefused) else "cron.skipped"
                raised = error if problem is _BROKEN else None
                self._say(cron, problem, what, due_ms=due_ms, rests=disable, owner=cron.user_id, exc_info=raised)
            return False
        if missed:
            log.warning("cron.late", cron=cron.cron_id, due_ms=due_ms, missed=missed)
        return True

    async def _has_lost_its_thread(self, cron: Cron, error: Exception) -> bool:
        """Whether its thread is gone; one that is hidden from its owner is not."""
        if cron.thread_id is None or not isinstance(error, NotFound) or error.kind != "thread":
            return False
        return await self._services.threads.status(cron.thread_id) is None

    @staticmethod
    def _say(cron: Cron, problem: str, what: str, **facts: object) -> None:
        if cron.problem != problem:
            log.error(what, cron=cron.cron_id, problem=problem, **facts)

    async def _make(self, cron: Cron, step: CronStep, missed: int) -> bool:
        """Whether the run is new."""
        run_id, own_thread = cron.run_ids(step["due_ms"])
        asked = cron.asked(step["due_ms"], missed)
        permissions, *others = all_permissions_of(self._services.auth, asked.user, asked.changed_by)
        await permit_use(self._services, permissions, asked.assistant_id)
        new = await run_of(
            self._services,
            asked,
            run_id=run_id,
            thread_id=cron.thread_id or own_thread,
            configurable={"cron_id": cron.cron_id},
            cron=step,
        )
        for changer in others:
            await check_firing(self._services, changer, new, on_thread=cron.thread_id is not None)
        new = await permitted_firing(self._services, permissions, new, on_thread=cron.thread_id is not None)
        _, is_new = await self._services.runs.accept(new)
        if is_new:
            log.info("cron.fired", cron=cron.cron_id, run=run_id, due_ms=step["due_ms"])
        return is_new
