"""Whether a run that had to wait may still begin.

The auth file allowed a run when it was made. One that begins much later (it was delayed, waited for another run of its
thread, or for a worker that lives) is asked for again, for the user whose run it is and with the filters as they are
now, and so is one that a worker takes up again. A run that is refused ends without having executed, and leaves its
thread as it was. One about which the auth file gives no answer goes back into the queue for a while.
"""

from __future__ import annotations

from typing import Final

import structlog

from slipway.access.permissions import all_permissions_of, is_handler_failure
from slipway.errors import AccessRefused, AuthBroken, NotFound
from slipway.execution.failures import Failure, failure_of
from slipway.runs.attempt import Attempt
from slipway.runs.permits import check_still_permitted
from slipway.runs.record import Phase, Run, status_of
from slipway.runs.script_results import CancelRequested
from slipway.runs.scripts import RunSettle
from slipway.serialization.json_encoding import dumps
from slipway.services import Services
from slipway.sse_frames import encode_frame

log = structlog.get_logger(__name__)

AUTHORIZED_FOR_S: Final = 10.0
"""How long what the auth file allowed counts, so that a run that begins at once costs no second question."""
_AGAIN_MS: Final = 15_000
_REASON: Final = "the auth file gave no answer"
_FORBIDDEN: Final = 403


class StartPermission:
    """Of the runs that one worker begins."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._unanswered: set[str] = set()

    async def check(self, attempt: Attempt) -> bool:
        """Whether to execute it. If not, it has ended or is in the queue again."""
        run, auth = attempt.run, self._services.auth
        nobody = run.user is None and not run.changed_by
        if auth is None or nobody or run.permitted_ago_s < AUTHORIZED_FOR_S or attempt.cancel is not None:
            return True
        try:
            for permissions in all_permissions_of(auth, run.user, run.changed_by):
                await check_still_permitted(self._services, permissions, run)
        except (AccessRefused, AuthBroken, NotFound) as error:
            if is_handler_failure(error):
                await self._release(attempt, error)
                return False
            self._unanswered.discard(run.run_id)
            return not await self._fail(attempt, error)
        self._unanswered.discard(run.run_id)
        return not attempt.is_fenced

    async def _release(self, attempt: Attempt, error: Exception) -> None:
        """Logged when it begins, not each time."""
        run = attempt.run
        if run.run_id not in self._unanswered:
            self._unanswered.add(run.run_id)
            log.error("run.auth_broken", run=run.run_id, again_ms=_AGAIN_MS, exc_info=error)
        await attempt.release(
            {
                "run_id": run.run_id,
                "attempt": attempt.number,
                "incarnation": run.incarnation,
                "seq": 0,
                "counted": False,
                "announce": False,
                "reason": _REASON,
                "delay_ms": _AGAIN_MS,
                "usage": dumps(run.usage).decode(),
                "entries": [],
            }
        )

    async def _fail(self, attempt: Attempt, error: Exception) -> bool:
        """Whether it has ended. It has not when it is to be cancelled: an execution does that."""
        run = attempt.run
        refusal = AccessRefused(_FORBIDDEN, f"the user whose run this is may not run it any more: {error}")
        failure = failure_of(refusal, ceiling_hit=None, node=None, node_completed=False)
        log.warning("run.refused", run=run.run_id, thread=run.thread_id, problem=str(error))
        settled = await attempt.settle(_refused(run, failure, attempt.number, self._services.settings.event_ttl_s))
        if isinstance(settled, CancelRequested):
            attempt.cancel = settled.action
            return False
        return True


def _refused(run: Run, failure: Failure, number: int, event_ttl_s: int) -> RunSettle:
    """The end of a run that did nothing."""
    shown = dumps(failure.public()).decode()
    return {
        "run_id": run.run_id,
        "attempt": number,
        "incarnation": run.incarnation,
        "seq": 0,
        "phase": Phase.FAILED.value,
        "status": status_of(Phase.FAILED, failure.code),
        "reason": failure.code,
        "error": dumps(failure.record(number)).decode(),
        "usage": dumps(run.usage).decode(),
        "entries": [("error", encode_frame("error", shown.encode()).decode(), "")],
        "result": f'{{"__error__":{shown}}}',
        "values": None,
        "interrupts": None,
        "thread_status": None,
        "thread_error": None,
        "rollback": False,
        "event_ttl_s": event_ttl_s,
    }
