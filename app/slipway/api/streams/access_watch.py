"""Ends long answers whose client may not read their thread any more.

A stream or a wait may last for hours, and what its client may do can change meanwhile. So the auth file is asked again

- before the first event of each run, where an answer shows several runs (the feeds of threads do that themselves),
- when the run begins that an answer waits for, unless it was asked a moment ago, and
- when the metadata of the thread changes, by which filters judge: the change is published on the channel that readers
  of the thread listen to, so nobody polls for it. What waits to be sent is held back until the answer is there.

Only where there is an auth file. The client gets what the same request would get now, as an event, and the answer ends
properly: no client comes back for more. Where the auth file gives no answer, the client is cut off and comes back.
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
from slipway.api.lifespan_state import services_of
from slipway.api.streams.long_response import SendBuffer, Watch
from slipway.errors import SlipwayError, StoreUnavailable
from slipway.runs.record import Run, RunSpec
from slipway.serialization.json_encoding import dumps
from slipway.sse_frames import encode_block
from slipway.threads.notifications import NotificationKind

log = structlog.get_logger(__name__)

FRESH_S: Final = 1.0
"""A run that begins so soon after the auth file was asked begins with leave."""
_AGAIN_S: Final = 0.5

Check = Callable[[], Awaitable[None]]
LastWord = Callable[[SlipwayError], bytes]
"""What a client is sent that may not read any more."""


def error_event(error: SlipwayError) -> bytes:
    """As an event of a stream, in the shape of a run's errors, with the code that the answer to a request has."""
    shown = {"error": type(error).__name__, "message": str(error), **error.details()}
    return encode_block("error", dumps(shown))


def error_value(error: SlipwayError) -> bytes:
    """As the outcome of a run that is waited for."""
    return dumps({"__error__": {"error": type(error).__name__, "message": str(error), **error.details()}})


def watch_thread(connection: HTTPConnection, thread_id: str, last_word: LastWord = error_event) -> Watch | None:
    """Over a stream of all runs of a thread, which asks by `ThreadAccess` before each of them."""
    if access_check_of(connection).auth is None:
        return None
    return _Watch(ThreadAccess(connection, read_value(thread_id)), last_word, begins=False).over


def watch_run(
    connection: HTTPConnection,
    run: Run,
    last_word: LastWord = error_event,
    value: ThreadsRead | RunCancel | None = None,
) -> Watch | None:
    """Over an answer about a run that exists. `value` is what was asked for; None for leave to read the run."""
    if access_check_of(connection).auth is None:
        return None
    access = ThreadAccess(connection, value or read_value(run.thread_id, run.run_id))
    return _Watch(access, last_word).over


def watch_new_run(connection: HTTPConnection, spec: RunSpec, last_word: LastWord = error_event) -> Watch | None:
    """Over the answer to the request that makes a run. The filter of `threads:read` need not fit a thread that is made
    for the run: it counts from the first change of the thread's metadata on."""
    if access_check_of(connection).auth is None:
        return None
    access = ThreadAccess(connection, read_value(spec.identity.thread_id, spec.identity.run_id))
    return _Watch(access, last_word, since=spec.behaviour.access_filter, own_thread=spec.behaviour.create_thread).over


async def judge(check: Check, buffer: SendBuffer, last_word: LastWord = error_event) -> bool:
    """Whether the answer goes on, as `check` decides; else it is ended here. Waits while Redis is away."""
    while True:
        try:
            await check()
            return True
        except StoreUnavailable:
            await asyncio.sleep(_AGAIN_S)
        except Exception as error:
            if not isinstance(error, SlipwayError) or is_handler_failure(error):
                log.exception("access.unknown")
                buffer.drop(b"")
            else:
                buffer.refuse(last_word(error))
            return False


class ThreadAccess:
    """Whether the caller of a connection may do something to a thread now, asked as often as that is wanted."""

    def __init__(self, connection: HTTPConnection, value: ThreadsRead | RunCancel) -> None:
        self._connection, self._thread_id, self._value = connection, str(value.thread_id), value

    @property
    def thread_id(self) -> str:
        """The thread's id."""
        return self._thread_id

    @property
    def connection(self) -> HTTPConnection:
        """Who asks."""
        return self._connection

    async def check(self) -> None:
        """Raise `NotFound` when the thread is hidden from the caller, `AccessRefused` and `AuthBroken`. A thread that
        does not exist is not hidden."""
        await self.fits(await self.ask())

    async def ask(self) -> AccessFilter:
        """The filter that the authorize handler answers with now. Raises `AccessRefused` and `AuthBroken`."""
        _, only = await authorize(self._connection, self._value)
        return only

    async def fits(self, only: AccessFilter) -> None:
        """Raise `NotFound` when the thread exists and is not among `only` those."""
        await services_of(self._connection).threads.check_access(self._thread_id, only, may_be_new=True)


class _Watch:
    """Asks again when the thread is woken. `since` is the filter by which the answer was allowed; without it that is
    found out. `begins` says whether a run that begins is a reason to ask."""

    def __init__(
        self,
        access: ThreadAccess,
        last_word: LastWord,
        *,
        since: AccessFilter | None = None,
        own_thread: bool = False,
        begins: bool = True,
    ) -> None:
        self._access, self._last_word, self._begins = access, last_word, begins
        self._since, self._own_thread = since, own_thread
        self._asked_at = asyncio.get_running_loop().time()

    @contextmanager
    def over(self, buffer: SendBuffer) -> Iterator[None]:
        """Watch over this answer until the block is left."""
        wakes = services_of(self._access.connection).thread_notifications
        checking = _Checking(self._check, buffer, self._last_word)
        with wakes.listening(self._access.thread_id, lambda wake: self._woken(wake, checking)) as subscribed:
            checking.first(subscribed, self._unchanged)
            try:
                yield
            finally:
                checking.stop()

    def _woken(self, wake: NotificationKind, checking: _Checking) -> None:
        if wake is NotificationKind.EVENT:
            fresh = asyncio.get_running_loop().time() - self._asked_at < FRESH_S
            if not self._begins or (fresh and self._since is not None):
                return
        elif wake is NotificationKind.METADATA:
            self._own_thread = False
        checking.again()

    async def _check(self) -> None:
        self._asked_at = asyncio.get_running_loop().time()
        only = await self._access.ask()
        await self._access.fits(MATCH_ALL if self._own_thread else only)

    async def _unchanged(self) -> None:
        """Once the thread is listened to: its metadata may have changed since the answer was allowed."""
        if self._since is None:
            await self._check()
        elif not self._own_thread:
            await self._access.fits(self._since)


class _Checking:
    """At most one check at a time, and what becomes of the answer then."""

    def __init__(self, check: Check, buffer: SendBuffer, last_word: LastWord) -> None:
        self._check, self._buffer, self._last_word = check, buffer, last_word
        self._task: asyncio.Task[None] | None = None
        self._due = False

    def first(self, subscribed: asyncio.Future[None], check: Check) -> None:
        """Check once the subscription stands; nothing is held back meanwhile."""

        async def later() -> None:
            await subscribed
            await judge(check, self._buffer, self._last_word)
            await self._go_on()

        self._task = asyncio.create_task(later(), name="access")

    def again(self) -> None:
        """Hold back what waits to be sent until it is known whether it may be."""
        self._buffer.hold()
        self._due = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._go_on(), name="access")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _go_on(self) -> None:
        while self._due and not self._buffer.over:
            self._due = False
            await judge(self._check, self._buffer, self._last_word)
        self._buffer.release()
