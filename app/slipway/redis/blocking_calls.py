"""Calls of Redis by code that does not await: in any thread, also in the one whose event loop it blocks.

The replies to the pipeline of a process arrive on its event loop. Code that blocks this event loop would wait for
itself, and so would a thread for which it waits. So these calls have an event loop and a connection of their own, in a
thread that the first of them starts.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Final, TypeVar

from slipway.errors import StoreUnavailable
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.pipeline import Pipeline

T = TypeVar("T")

_CONNECT_AGAIN_S: Final = 0.1
_CLOSE_WITHIN_S: Final = 1.0
_CLOSED: Final = "Redis: the connection for calls that block was closed"


@dataclass(frozen=True, slots=True)
class _Running:
    """The thread of one process."""

    pid: int
    """A forked process has the object, and not the thread."""
    thread: threading.Thread
    loop: asyncio.AbstractEventLoop
    stopping: asyncio.Event


class BlockingCalls:
    """Executes work with a pipeline on the event loop of its thread, while the caller blocks. `patience_s` is the
    timeout of a command while Redis is unavailable, and of the connect."""

    def __init__(self, address: Address, name: str, *, patience_s: float) -> None:
        self._address, self._name, self._patience_s = address, name, patience_s
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._opening: asyncio.Task[Pipeline] | None = None
        self._closed = False

    def call(self, work: Callable[[Pipeline], Awaitable[T]]) -> T:
        """What `work` returns, which gets the pipeline. Blocks the thread until then. Raises what `work` raises, and
        `StoreUnavailable`."""

        async def perform() -> T:
            return await work(await self._pipeline())

        with self._lock:  # so that `close` ends the event loop after it has begun this call
            loop = self._started().loop
            future = asyncio.run_coroutine_threadsafe(perform(), loop)
        try:
            return future.result()
        except CancelledError:
            raise StoreUnavailable(_CLOSED) from None

    async def close(self) -> None:
        """Disconnects and ends the thread, if there is one. Calls that have not ended, and later ones, raise
        `StoreUnavailable`."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
            if running is None or running.pid != os.getpid():
                return
            running.loop.call_soon_threadsafe(running.stopping.set)
        await asyncio.to_thread(running.thread.join, _CLOSE_WITHIN_S)

    def _started(self) -> _Running:
        if self._closed:
            raise StoreUnavailable(_CLOSED)
        if self._running is None or self._running.pid != os.getpid():
            self._opening = None
            self._running = self._start()
        return self._running

    def _start(self) -> _Running:
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), name="blocking calls", daemon=True)
        thread.start()
        return _Running(os.getpid(), thread, *started.result())

    # in the thread

    async def _serve(self, started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
        stopping = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), stopping))
        await stopping.wait()
        if self._opening is not None and self._opening.done() and self._opening.exception() is None:
            await self._opening.result().close()

    async def _pipeline(self) -> Pipeline:
        """The pipeline, which the first call opens. After a failure the next one tries again."""
        if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
            self._opening = asyncio.create_task(self._open(), name=f"open {self._name}")
        return await asyncio.shield(self._opening)

    async def _open(self) -> Pipeline:
        pipeline = pipeline_to(self._address, self._name, patience_s=self._patience_s)
        ends_at = asyncio.get_running_loop().time() + self._patience_s
        while True:
            try:
                await pipeline.open()
            except StoreUnavailable:
                if asyncio.get_running_loop().time() > ends_at:
                    raise
                await asyncio.sleep(_CONNECT_AGAIN_S)
            else:
                return pipeline
