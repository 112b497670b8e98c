"""Circuit breakers: a model or a tool whose calls fail again and again is not called for a while.

A breaker is shared by all processes of a deployment. Each transition is one script, on the clock of Redis:

    closed      calls are made. So many failures in a row within the window open it; a success in between clears them.
    open        no call is made: `call` raises `BreakerOpen` at once.
    half open   it has been open long enough. Exactly one call in the fleet is made, the probe. If it succeeds the
                breaker closes, if it fails the breaker opens again, and if it ends without either, or its process is
                killed, another call becomes the probe.

A call costs one round trip when it begins, and one more when it ends only if there is something to record.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import wait
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import structlog
from langgraph.errors import GraphBubbleUp

from slipway.circuit_breakers.scripts import BreakerList, BreakerScripts, Outcome, Permitted, Rejected
from slipway.errors import BreakerOpen, StoreUnavailable
from slipway.exception_text import class_name
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline

log = structlog.get_logger(__name__)

Kind = Literal["model", "tool"]

PROBE_S: Final = 60.0
"""Seconds after which another call may be the probe, if the first has not ended."""

LOOP_REPLIES_WITHIN_S: Final = 2.0
"""Seconds that a thread waits for the event loop and Redis."""

Judge = Callable[[BaseException], Outcome]
"""What an exception says about the service that was called."""


def judge(error: BaseException) -> Outcome:
    """An exception is a failure of the service. A cancelled call and an interrupt say nothing about it."""
    return "failed" if isinstance(error, Exception) and not isinstance(error, GraphBubbleUp) else "unknown"


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When breakers open, and for how long."""

    failures: int = 5
    """So many failures in a row open a breaker."""
    window_s: float = 60.0
    """Seconds within which they must happen."""
    open_s: float = 30.0
    """Seconds until an open breaker permits the probe."""


class Breakers:
    """The breakers of a deployment, in one process."""

    def __init__(self, pipeline: Pipeline, keys: Keys, limits: BreakerLimits) -> None:
        self._scripts, self._limits = BreakerScripts(pipeline, keys), limits
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def call(
        self, kind: Kind, name: str, *, judge: Judge = judge, probe_s: float = PROBE_S
    ) -> AsyncIterator[None]:
        """Wraps one call. Raises `BreakerOpen` before the call if the breaker is open. An exception of the block counts
        as `judge` says. `probe_s` must be longer than a call takes: see `PROBE_S`."""
        breaker, call = f"{kind}:{name}", secrets.token_hex(6)
        permitted = await self.enter(breaker, call, probe_s)
        try:
            yield
        except BaseException as error:
            leaving = self.leave(breaker, call, permitted, judge(error), class_name(error))
            if isinstance(error, Exception):
                await leaving
            else:
                self._leave_in_background(leaving)  # a task that is cancelled must not wait
            raise
        await self.leave(breaker, call, permitted, "succeeded")

    async def enter(self, breaker: str, call: str, probe_s: float) -> Permitted:
        """Raises `BreakerOpen` if the call must not be made."""
        entered = await self._scripts.enter(breaker, call, probe_ms=int(probe_s * 1000))
        if isinstance(entered, Rejected):
            kind, _, name = breaker.partition(":")
            raise BreakerOpen(kind, name, entered.failures, entered.problem, entered.retry_in_ms / 1000)
        return entered

    async def leave(self, breaker: str, call: str, permitted: Permitted, outcome: Outcome, problem: str = "") -> None:
        """Records how a call ended. Never raises: the result of the call matters more."""
        recorded = permitted.probe or outcome == "failed" or (outcome == "succeeded" and permitted.failures > 0)
        if not recorded:
            return
        limits = self._limits
        try:
            transition = await self._scripts.leave(
                breaker,
                call,
                outcome,
                problem,
                most=limits.failures,
                window_ms=int(limits.window_s * 1000),
                open_ms=int(limits.open_s * 1000),
            )
        except StoreUnavailable as error:
            log.warning("breaker.not_recorded", breaker=breaker, outcome=outcome, problem=str(error))
            return
        if transition == "opened":
            log.warning("breaker.opened", breaker=breaker, problem=problem, for_s=limits.open_s)
        elif transition == "closed":
            log.info("breaker.closed", breaker=breaker)

    async def list_all(self) -> BreakerList:
        """All breakers that are open or have failures on record."""
        return await self._scripts.list_all()

    def _leave_in_background(self, leaving: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(leaving)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


@dataclass(frozen=True, slots=True, eq=False)
class OpenBreakers:
    """The breakers of open services, and the event loop that they belong to."""

    breakers: Breakers
    loop: asyncio.AbstractEventLoop


_OPEN: Final[list[OpenBreakers]] = []
"""Those of the services that are open in this process, the newest last: one, except in tests."""


@contextmanager
def provide_breakers(breakers: Breakers) -> Iterator[None]:
    """Inside the block, `BREAKERS` uses these."""
    opened = OpenBreakers(breakers, asyncio.get_running_loop())
    _OPEN.append(opened)
    try:
        yield
    finally:
        _OPEN.remove(opened)


class CurrentBreakers:
    """The breakers of this process. Outside of a process of Slipway there are none, and every call is made."""

    @asynccontextmanager
    async def call(
        self, kind: Kind, name: str, *, judge: Judge = judge, probe_s: float = PROBE_S
    ) -> AsyncIterator[None]:
        """See `Breakers.call`."""
        if not _OPEN or _OPEN[-1].loop is not asyncio.get_running_loop():
            yield
            return
        async with _OPEN[-1].breakers.call(kind, name, judge=judge, probe_s=probe_s):
            yield

    @contextmanager
    def call_sync(self, kind: Kind, name: str, *, judge: Judge = judge, probe_s: float = PROBE_S) -> Iterator[None]:
        """The same for a thread, such as that of a node that is a plain function. The call is made without a breaker in
        a thread that runs an event loop, which must not wait for Redis, and while the event loop of the process is
        blocked, perhaps by code that waits for this thread."""
        if not _OPEN or _runs_event_loop():
            yield
            return
        opened, breaker, call = _OPEN[-1], f"{kind}:{name}", secrets.token_hex(6)
        entering = asyncio.run_coroutine_threadsafe(opened.breakers.enter(breaker, call, probe_s), opened.loop)
        if not wait([entering], LOOP_REPLIES_WITHIN_S).done:
            entering.cancel()
            log.warning("breaker.skipped", breaker=breaker, problem=f"no reply within {LOOP_REPLIES_WITHIN_S:g} s")
            yield
            return
        permitted = entering.result()
        outcome: Outcome = "succeeded"
        problem = ""
        try:
            yield
        except BaseException as error:
            outcome, problem = judge(error), class_name(error)
            raise
        finally:  # the next call of this thread is sent after it, so nobody has to wait
            leaving = opened.breakers.leave(breaker, call, permitted, outcome, problem)
            asyncio.run_coroutine_threadsafe(leaving, opened.loop)


def _runs_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


BREAKERS: Final = CurrentBreakers()
