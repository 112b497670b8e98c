"""Writers send a checkpointer's commands to Redis, atomically and under a condition.

The checkpointer passes plain Redis commands. The writer of an attempt executes them only if its fencing token is
current, the writer of the API only if no run of the thread is active.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from slipway.checkpoints.scripts import CheckpointScripts, StateWriteResult
from slipway.errors import Conflict, NotFound
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.redis_commands import RedisCommand


class CheckpointWriter(Protocol):
    """Executes all commands of one write in order, or none."""

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        """Returns when the commands are certain to be executed before all later ones. Raises `Fenced`, `Conflict` or
        `StoreUnavailable`."""
        ...

    async def flush(self) -> None:
        """Returns when Redis has executed everything written so far, so that a read returns it."""
        ...


class UnfencedWriter:
    """Writes without a condition: for tests and tools."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._scripts = CheckpointScripts(pipeline, keys)

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        if commands:
            await self._scripts.apply_unfenced(commands)

    async def flush(self) -> None:
        """Nothing is buffered."""


class IdleThreadWriter:
    """Writes only while no run of the thread is pending or running, otherwise raises `Conflict`; and only if the thread
    was created at `incarnation` ("" is a thread without a record), otherwise raises `NotFound`."""

    def __init__(self, pipeline: Pipeline, keys: Keys, thread_id: str, incarnation: str) -> None:
        self._scripts = CheckpointScripts(pipeline, keys)
        self._thread_id, self._incarnation = thread_id, incarnation

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        if not commands:
            return
        result = await self._scripts.apply_if_idle(self._thread_id, self._incarnation, commands)
        if result is StateWriteResult.THREAD_DELETED:
            raise NotFound("thread", self._thread_id)
        if result is StateWriteResult.BUSY:
            raise Conflict(f"thread {self._thread_id} has a run that is pending or running")

    async def flush(self) -> None:
        """Nothing is buffered."""
