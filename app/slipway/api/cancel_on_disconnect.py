"""Cancels a run when the client that follows it disconnects, if the request contains this option."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import structlog
from starlette.requests import Request

from slipway.api.auth.access_check import requires
from slipway.api.auth.authorization import authorize_cancel
from slipway.api.bodies.runs import RunBody
from slipway.api.endpoints import bool_param
from slipway.api.request_parsing import query_flag
from slipway.api.shared_objects import services_of
from slipway.api.streams.response_lifetime import OnDisconnect
from slipway.browser_access.page_sessions import SESSION_KEY, PageSession, check_csrf_token
from slipway.errors import AccessRefused, AuthBroken, NotFound
from slipway.runs.cancel_reasons import BY_DISCONNECT, Action
from slipway.runs.record import Run

log = structlog.get_logger(__name__)

FOLLOW_ACCESS: Final = requires("threads:read", optional=("threads:update",))
CANCEL_PARAM: Final = bool_param("cancel_on_disconnect", "Cancel the run when this client disconnects")


def canceller(request: Request, run: Run) -> OnDisconnect:
    """Returns a function that cancels `run`, unless the run has ended or the user is not authorized to cancel it when
    the client disconnects."""

    async def cancel() -> None:
        with suppress(NotFound):
            try:
                action = await authorize_cancel(request, run.thread_id, run.run_id, Action.INTERRUPT)
            except (AccessRefused, AuthBroken) as error:
                log.warning("run.not_cancelled", run=run.run_id, problem=str(error))
                return
            await services_of(request).runs.cancel(run.thread_id, run.run_id, action, BY_DISCONNECT)

    return cancel


def canceller_from_body(request: Request, run: Run, body: RunBody) -> OnDisconnect | None:
    """None unless the body has `"on_disconnect": "cancel"`."""
    return canceller(request, run) if body.on_disconnect == "cancel" else None


def canceller_from_query(request: Request, run: Run) -> OnDisconnect | None:
    """None unless the query has `cancel_on_disconnect=true`. The request is a GET, but may change the run: in a session
    of the pages it needs the CSRF token. Raises `AccessRefused`."""
    if not query_flag(request, "cancel_on_disconnect"):
        return None
    session: PageSession | None = request.scope.get(SESSION_KEY)
    if session is not None:
        check_csrf_token(session, dict(request.scope["headers"]))
    return canceller(request, run)
