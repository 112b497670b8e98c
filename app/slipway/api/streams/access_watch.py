"""Ends long responses when their client is no longer authorized.

A stream or a waiting response can last for hours, and the permissions of its user can change in this time. So the auth
file authorizes the response again

- before the first event of each run, where a response contains several runs (`stream_response` calls `recheck`),
- when the run of the response starts, unless it was authorized less than `RECHECK_AFTER_S` before, and
- when the metadata of the thread changes, because access filters read it. The change is published on the channel of the
  thread, so nothing is polled. Sending is paused until the result is known.

Without an auth file nothing is authorized again. If the client is no longer authorized, it receives an event with the
error that a new request would receive, and the response ends properly, so that the client does not reconnect. If the
auth file fails, the client is disconnected without an event and reconnects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from starlette.requests import HTTPConnection

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.access.handler_values.threads import RunCancel, ThreadsRead
from slipway.access.permissions import is_handler_failure
from slipway.api.auth.access_check import access_check_of, authorize
from slipway.api.auth.authorization import read_value
from slipway.api.shared_objects import services_of
from slipway.api.streams.response_control import ResponseControl, Watch
from slipway.errors import NotFound, SlipwayError, StoreUnavailable
from slipway.runs.record import Run, RunSpec
from slipway.serialization.json_encoding import dumps
from slipway.sse_frames import encode_block
from slipway.threads.notifications import NotificationKind

log = structlog.get_logger(__name__)

RECHECK_AFTER_S: Final = 1.0
"""When a run starts less than this time after the last authorization, the response is not authorized again."""
_RETRY_PAUSE_S: Final = 0.5

Check = Callable[[], Awaitable[None]]
FinalEvent = Callable[[SlipwayError], bytes]
"""Builds the last bytes for a client that is no longer authorized."""


def error_event(error: SlipwayError) -> bytes:
    """The error as an event with the members of a run's error, and with the code of the HTTP error."""
    data = {"error": type(error).__name__, "message": str(error), **error.details()}
    return encode_block("error", dumps(data))


def no_event(error: SlipwayError) -> bytes:
    """For a stream of a page: it ends without an event, and the page learns the error when it reconnects."""
    return b""


def error_value(error: SlipwayError) -> bytes:
    """The error as the result of a run, for a waiting response."""
    return dumps({"__error__": {"error": type(error).__name__, "message": str(error), **error.details()}})


def watch_thread(connection: HTTPConnection, thread_id: str, final_event: FinalEvent = error_event) -> Watch | None:
    """Watches a stream of all runs of a thread. Such a stream is also authorized before each run (`recheck`)."""
    if access_check_of(connection).auth is None:
        return None
    return AccessWatch(ThreadAuthorizer(connection, read_value(thread_id)), final_event, at_run_start=False).watching


def watch_run(
    connection: HTTPConnection,
    run: Run,
    final_event: FinalEvent = error_event,
    value: ThreadsRead | RunCancel | None = None,
) -> Watch | None:
    """Watches a response about a run that exists. `value` is the operation that was authorized, by default reading the
    run."""
    if access_check_of(connection).auth is None:
        return None
    authorizer = ThreadAuthorizer(connection, value or read_value(run.thread_id, run.run_id))
    return AccessWatch(authorizer, final_event).watching


def watch_new_run(connection: HTTPConnection, spec: RunSpec, final_event: FinalEvent = error_event) -> Watch | None:
    """Watches the response to the request that creates a run. If the request also creates the thread, the
    thread need not match the access filter of `threads:read` until its metadata changes."""
    if access_check_of(connection).auth is None:
        return None
    authorizer = ThreadAuthorizer(connection, read_value(spec.identity.thread_id, spec.identity.run_id))
    behaviour = spec.behaviour
    watch = AccessWatch(
        authorizer, final_event, access_filter=behaviour.access_filter, thread_is_new=behaviour.create_thread
    )
    return watch.watching


async def recheck(check: Check, control: ResponseControl, final_event: FinalEvent = error_event) -> bool:
    """Returns whether the client is still authorized: `check` does not raise. If it raises, ends the response. Waits
    while Redis is unavailable."""
    while True:
        try:
            await check()
            return True
        except StoreUnavailable:
            await asyncio.sleep(_RETRY_PAUSE_S)
        except Exception as error:
            if not isinstance(error, SlipwayError) or is_handler_failure(error):
                log.exception("access.unknown")
                control.end()
            else:
                control.revoke(final_event(error))
            return False


class ThreadAuthorizer:
    """Authorizes one operation on a thread for the user of a connection, as often as needed. With `may_be_new` the
    thread need not exist."""

    def __init__(self, connection: HTTPConnection, value: ThreadsRead | RunCancel, *, may_be_new: bool = True) -> None:
        self._connection, self._thread_id, self._value = connection, str(value.thread_id), value
        self._may_be_new = may_be_new

    @property
    def thread_id(self) -> str:
        return self._thread_id

    @property
    def connection(self) -> HTTPConnection:
        return self._connection

    async def check(self) -> None:
        """Raises `NotFound` when the thread does not match the access filter, `AccessRefused` and `AuthBroken`. A
        thread that does not exist matches if it may be new."""
        await self.require_match(await self.authorize())

    async def authorize(self) -> AccessFilter:
        """Returns the current access filter. Raises `AccessRefused` and `AuthBroken`."""
        _, access_filter = await authorize(self._connection, self._value)
        return access_filter

    async def require_match(self, access_filter: AccessFilter) -> None:
        """Raises `NotFound` when the thread exists and does not match the filter, or must exist and does not."""
        threads = services_of(self._connection).threads
        if self._may_be_new:
            await threads.check_access(self._thread_id, access_filter, may_be_new=True)
        elif await threads.status(self._thread_id, access_filter) is None:
            raise NotFound("thread", self._thread_id)


class AccessWatch:
    """Authorizes a response again after notifications of its thread.

    `access_filter` is the filter with which the response was authorized; None if the caller does not have it. With
    `thread_is_new` the thread need not match until its metadata changes. With `at_run_start` the response is authorized
    again when a run starts.
    """

    def __init__(
        self,
        authorizer: ThreadAuthorizer,
        final_event: FinalEvent,
        *,
        access_filter: AccessFilter | None = None,
        thread_is_new: bool = False,
        at_run_start: bool = True,
    ) -> None:
        self._authorizer, self._final_event, self._at_run_start = authorizer, final_event, at_run_start
        self._access_filter, self._thread_is_new = access_filter, thread_is_new
        self._checked_at = asyncio.get_running_loop().time()

    @contextmanager
    def watching(self, control: ResponseControl) -> Iterator[None]:
        """Watches the response with this control until the block is left."""
        authorizer = self._authorizer
        notifications = services_of(authorizer.connection).thread_notifications
        pending = _PendingCheck(self._check, control, self._final_event)
        with notifications.subscribed(authorizer.thread_id, lambda kind: self._notified(kind, pending)) as subscribed:
            pending.start_when_subscribed(subscribed, self._check_after_subscribing)
            try:
                yield
            finally:
                pending.stop()

    def _notified(self, kind: NotificationKind, pending: _PendingCheck) -> None:
        if kind is NotificationKind.EVENT:
            recent = asyncio.get_running_loop().time() - self._checked_at < RECHECK_AFTER_S
            if not self._at_run_start or (recent and self._access_filter is not None):
                return
        elif kind is NotificationKind.METADATA:
            self._thread_is_new = False
        pending.request()

    async def _check(self) -> None:
        self._checked_at = asyncio.get_running_loop().time()
        access_filter = await self._authorizer.authorize()
        await self._authorizer.require_match(MATCH_ALL if self._thread_is_new else access_filter)

    async def _check_after_subscribing(self) -> None:
        """Checks once more, because the metadata may have changed after the response was authorized and before the
        subscription was active."""
        if self._access_filter is None:
            await self._check()
        elif not self._thread_is_new:
            await self._authorizer.require_match(self._access_filter)


class _PendingCheck:
    """Runs at most one check at a time. A failed check ends the response."""

    def __init__(self, check: Check, control: ResponseControl, final_event: FinalEvent) -> None:
        self._check, self._control, self._final_event = check, control, final_event
        self._task: asyncio.Task[None] | None = None
        self._due = False

    def start_when_subscribed(self, subscribed: asyncio.Future[None], check: Check) -> None:
        """Runs `check` as soon as the subscription is active. Sending is not paused for it."""

        async def check_when_subscribed() -> None:
            await subscribed
            await recheck(check, self._control, self._final_event)
            await self._run_due_checks()

        self._task = asyncio.create_task(check_when_subscribed(), name="access")

    def request(self) -> None:
        """Pauses sending until a check has succeeded."""
        self._control.pause()
        self._due = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run_due_checks(), name="access")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run_due_checks(self) -> None:
        while self._due and not self._control.is_ending:
            self._due = False
            await recheck(self._check, self._control, self._final_event)
        self._control.resume()
