"""Makes the runs of crons that are due. Every worker looks; the script that makes a run lets one of them through."""

from __future__ import annotations

from typing import Final

import structlog

from app.crons import Cron, cron_from
from app.duties import repeat
from app.errors import NotFound, StoreUnavailable
from app.keyspace.cron_scripts import CronScripts
from app.keyspace.scripts import CronStep
from app.run_making import run_of
from app.runs.runs import Fired
from app.services import Services

log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 1.0
_AT_ONCE: Final = 100
_PROBLEM_CHARS: Final = 500


class Scheduler:
    """Looks every second. A due time that cannot make a run is passed over, and the cron says why; one whose
    thread is gone rests."""

    def __init__(self, services: Services) -> None:
        self._services, self._scripts = services, CronScripts(services.wire, services.keys)

    async def run(self) -> None:
        """Until cancelled."""
        await repeat("scheduler", _LOOK_EVERY_S, self.look)

    async def look(self) -> int:
        """Make the runs that are due now; how many this worker made."""
        now_ms, due = await self._scripts.due(_AT_ONCE)
        made = 0
        for held in due:
            cron = cron_from(held, now_ms)
            if cron.next_ms is not None:
                made += await self._fire(cron, cron.next_ms, now_ms)
        return made

    async def _fire(self, cron: Cron, due_ms: int, now_ms: int) -> bool:
        """Whether its run was made here. Whatever is wrong with one cron, the others go on."""
        next_ms = None
        try:
            next_ms = cron.schedule.after(now_ms)
            missed = cron.schedule.passed(due_ms, now_ms)
            step = CronStep(cron_id=cron.cron_id, due_ms=due_ms, next_ms=next_ms)
            if not await self._make(cron, step, missed):
                return False
        except Fired:
            return False
        except StoreUnavailable:
            raise
        except Exception as error:
            disable = isinstance(error, NotFound) and error.kind == "thread"
            problem = str(error)[:_PROBLEM_CHARS]
            if await self._scripts.skip(cron.cron_id, due_ms, next_ms, problem=problem, disable=disable):
                log.error("cron.skipped", cron=cron.cron_id, due_ms=due_ms, rests=disable, problem=problem)
            return False
        if missed:
            log.warning("cron.late", cron=cron.cron_id, due_ms=due_ms, missed=missed)
        return True

    async def _make(self, cron: Cron, step: CronStep, missed: int) -> bool:
        """Whether the run is new."""
        run_id, own_thread = cron.run_ids(step["due_ms"])
        new = await run_of(
            self._services,
            cron.asked(step["due_ms"], missed),
            run_id=run_id,
            thread_id=cron.thread_id or own_thread,
            configurable={"cron_id": cron.cron_id},
            cron=step,
        )
        _, is_new = await self._services.runs.accept(new)
        if is_new:
            log.info("cron.fired", cron=cron.cron_id, run=run_id, due_ms=step["due_ms"])
        return is_new
