"""Authorizes runs that start long after they were created.

The auth file has authorized a run when it was created. If the run starts more than `AUTHORIZED_FOR_S` seconds later (it
was delayed, waited for another run of its thread or for a live worker, or this is a further attempt), it is authorized
again: for the same user, with the current access filters. A run that is denied fails without having executed, and its
thread remains unchanged. If the auth file fails, the run is released to the queue and claimed again later.
"""

from __future__ import annotations

from typing import Final

import structlog

from slipway.access.permissions import all_permissions_of, is_handler_failure
from slipway.errors import AccessRefused, AuthBroken, NotFound
from slipway.execution.failure_from_exception import failure_of
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.record import Phase
from slipway.runs.script_results import CancelRequested
from slipway.runs.settlement import Release, Settlement
from slipway.serialization.json_encoding import dumps
from slipway.services import Services

log = structlog.get_logger(__name__)

AUTHORIZED_FOR_S: Final = 10.0
"""Seconds for which an authorization is valid. A run that starts at once needs no second one."""
_RETRY_MS: Final = 15_000
"""Milliseconds until a run can be claimed again after the auth file has failed."""
_FORBIDDEN: Final = 403


class StartAuthorization:
    """Authorizes the runs that one worker starts."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._auth_failed: set[str] = set()
        """The runs for which the auth file has failed. The failure is logged once for each run."""

    async def check(self, attempt: AttemptWriter) -> bool:
        """Whether the run may be executed. If not, this method has ended or released it."""
        run, auth = attempt.run, self._services.auth
        has_user = run.user is not None or run.changed_by
        if auth is None or not has_user or run.authorized_s_ago < AUTHORIZED_FOR_S or attempt.cancel is not None:
            return True
        try:
            for permissions in all_permissions_of(auth, run.user, run.changed_by):
                await self._services.submission.authorizer.check_again(permissions, run)
        except (AccessRefused, AuthBroken, NotFound) as error:
            if is_handler_failure(error):
                await self._release(attempt, error)
                return False
            self._auth_failed.discard(run.run_id)
            return not await self._fail(attempt, error)
        self._auth_failed.discard(run.run_id)
        return not attempt.is_fenced

    async def _release(self, attempt: AttemptWriter, error: Exception) -> None:
        run = attempt.run
        if run.run_id not in self._auth_failed:
            self._auth_failed.add(run.run_id)
            log.error("run.auth_failed", run=run.run_id, retry_in_s=_RETRY_MS / 1000, exc_info=error)
        await attempt.release(
            Release(reason="the auth file failed", usage=dumps(run.usage).decode(), delay_ms=_RETRY_MS)
        )

    async def _fail(self, attempt: AttemptWriter, error: Exception) -> bool:
        """Fails the run. Returns False if the run is to be cancelled instead, which the execution does."""
        run = attempt.run
        denial = AccessRefused(_FORBIDDEN, f"the user of this run is not authorized to execute it any more: {error}")
        failure = failure_of(denial, ceiling_hit=None, node=None, node_completed=False)
        log.warning("run.start_denied", run=run.run_id, thread=run.thread_id, problem=str(error))
        result = await attempt.settle(
            Settlement(
                Phase.FAILED,
                usage=dumps(run.usage).decode(),
                event_ttl_s=self._services.settings.event_ttl_s,
                error=failure.run_error(attempt.number),
            )
        )
        if isinstance(result, CancelRequested):
            attempt.cancel = result.action
            return False
        return True
