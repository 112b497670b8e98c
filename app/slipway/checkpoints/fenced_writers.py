"""Writers send a checkpointer's commands to Redis, atomically and under a condition.

The checkpointer passes plain Redis commands. The writer of an attempt executes them only if its fencing token is
current, the writer of the API only if no run of the thread is active.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from slipway.checkpoints.scripts import CheckpointScripts, StateWriteResult
from slipway.errors import Conflict, NotFound
from slipway.redis.pipeline import Pipeline
from slipway.redis.redis_commands import RedisCommand
from slipway.redis.shards import Shards


class EncodingLock:
    """A lock that is given to those who wait for it in order. `on_free` is called when nobody uses it any more."""

    def __init__(self, on_free: Callable[[], None] = lambda: None) -> None:
        self._lock, self._on_free = asyncio.Lock(), on_free
        self._users = 0

    async def __aenter__(self) -> None:
        self._users += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self._users -= 1
            raise

    async def __aexit__(self, *exception: object) -> None:
        self._users -= 1
        self._lock.release()
        if not self._users:
            self._on_free()

    async def wait(self) -> None:
        """Returns when everybody who came before has released the lock."""
        if self._users:
            async with self:
                pass

    @property
    def in_use(self) -> bool:
        """Whether somebody holds the lock or waits for it."""
        return self._users > 0


class CheckpointWriter(Protocol):
    """Executes all commands of one write in order, or none."""

    encoding: EncodingLock
    """Held while a large value is encoded in slices. Each write acquires it first, so that the order of writes
    remains."""

    def may_divide(self, namespace: str, task_path: str | None) -> bool:
        """Whether a value may be encoded in slices, because no code of the graph can change it before `encoding` is
        released. It is part of a checkpoint of `namespace`, or a write of the task at `task_path`."""
        ...

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        """Returns when the commands are certain to be executed before all later ones. Raises `Fenced`, `Conflict` or
        `StoreUnavailable`."""
        ...

    async def flush(self) -> None:
        """Returns when Redis has executed everything written so far, so that a read returns it."""
        ...


class UndividedWriter:
    """The base of writers of values that other code may use while they are encoded: they are encoded at once."""

    def __init__(self) -> None:
        self.encoding = EncodingLock()

    def may_divide(self, namespace: str, task_path: str | None) -> bool:
        return False


class UnfencedWriter(UndividedWriter):
    """Writes without a condition: for tests and tools."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        super().__init__()
        self._scripts = CheckpointScripts(pipeline, shards)

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        if commands:
            await self._scripts.apply_unfenced(commands)

    async def flush(self) -> None:
        """Nothing is buffered."""


class IdleThreadWriter:
    """Writes only while no run of the thread is pending or running, and while it is pinned as `pin` says (a graph, and
    a version of it or ""), otherwise raises `Conflict`; and only if the thread was created at `incarnation` ("" is a
    thread without a record), otherwise raises `NotFound`. Without a `pin` the version does not matter."""

    def __init__(
        self, pipeline: Pipeline, shards: Shards, thread_id: str, incarnation: str, pin: tuple[str, str] | None = None
    ) -> None:
        self.encoding = EncodingLock()
        self._scripts = CheckpointScripts(pipeline, shards)
        self._thread_id, self._incarnation, self._pin = thread_id, incarnation, pin

    def may_divide(self, namespace: str, task_path: str | None) -> bool:
        """A state write executes one step after the other."""
        return True

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        if not commands:
            return
        result = await self._scripts.apply_if_idle(self._thread_id, self._incarnation, commands, self._pin)
        if result is StateWriteResult.THREAD_DELETED:
            raise NotFound("thread", self._thread_id)
        if result is StateWriteResult.BUSY:
            raise Conflict(f"thread {self._thread_id} has a run that is pending or running")
        if result is StateWriteResult.MOVED:
            raise _moved(self._thread_id)

    async def flush(self) -> None:
        """Nothing is buffered."""


class PausedRunWriter(UndividedWriter):
    """Writes only while the run, which was created at `incarnation`, is paused, and its thread is pinned as `pin` says
    (a graph, and a version of it or ""), otherwise raises `Conflict`."""

    def __init__(
        self, pipeline: Pipeline, shards: Shards, run_id: str, incarnation: str, thread_id: str, pin: tuple[str, str]
    ) -> None:
        super().__init__()
        self._scripts = CheckpointScripts(pipeline, shards)
        self._run_id, self._incarnation = run_id, incarnation
        self._thread_id, self._pin = thread_id, pin

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        if not commands:
            return
        result = await self._scripts.apply_if_paused(
            self._run_id, self._incarnation, commands, self._thread_id, self._pin
        )
        if result is StateWriteResult.BUSY:
            raise Conflict(f"run {self._run_id} is not paused any more, so its state was not changed")
        if result is StateWriteResult.MOVED:
            raise _moved(self._thread_id)

    async def flush(self) -> None:
        """Nothing is buffered."""


def _moved(thread_id: str) -> Conflict:
    return Conflict(
        f"thread {thread_id} was moved to another version of its graph at the same time, so its state was not changed: "
        "read it, and try again"
    )


class CollectingWriter:
    """Collects the commands of several writes, beginning with `first`, and executes them together: all or none. A read
    executes what was collected before. The caller calls `flush` at the end, which raises what a write raises."""

    def __init__(self, writer: CheckpointWriter, first: Sequence[RedisCommand] = ()) -> None:
        self.encoding = writer.encoding
        self._writer, self._first = writer, first
        self._commands: list[RedisCommand] = []

    def may_divide(self, namespace: str, task_path: str | None) -> bool:
        return self._writer.may_divide(namespace, task_path)

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        self._commands += commands

    async def flush(self) -> None:
        if not self._commands:
            return
        commands, self._commands, self._first = [*self._first, *self._commands], [], ()
        await self._writer.write(commands)
        await self._writer.flush()
