"""Writers send a checkpointer's commands to Redis, atomically and under a condition.

The checkpointer passes plain Redis commands. The writer of an attempt executes them only if its fencing token is
current, the writer of the API only if no run of the thread is active.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from slipway.errors import Conflict, NotFound
from slipway.redis.checkpoint_keys import thread_record
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.redis_commands import RedisCommand, packed
from slipway.redis.script_source import load

_APPLY_FREE = load("apply_unfenced")
_APPLY_IDLE = load("apply_if_idle")


class CheckpointWriter(Protocol):
    """Executes all commands of a group in order, or none."""

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        """Returns when the commands are certain to be executed before all later ones. Raises `Fenced`, `Conflict` or
        `StoreUnavailable`."""
        ...

    async def flush(self) -> None:
        """Returns when Redis has executed everything written so far, so that a read returns it."""
        ...


class UnfencedWriter:
    """Writes without a condition: for tests and tools."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        if commands:
            await self._pipeline.run(_APPLY_FREE, [], packed(commands))

    async def flush(self) -> None:
        """Nothing is buffered."""


class IdleThreadWriter:
    """Writes only while no run of the thread is pending or running, otherwise raises `Conflict`; and only if the thread
    was created at `incarnation` ("" is a thread without a record), otherwise raises `NotFound`."""

    def __init__(self, pipeline: Pipeline, keys: Keys, thread_id: str, incarnation: str) -> None:
        self._pipeline, self._key, self._thread_id = pipeline, thread_record(keys, thread_id), thread_id
        self._incarnation = incarnation

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        if not commands:
            return
        answer = await self._pipeline.run(_APPLY_IDLE, [self._key], [self._incarnation, *packed(commands)])
        if answer == b"deleted":
            raise NotFound("thread", self._thread_id)
        if answer == b"busy":
            raise Conflict(f"thread {self._thread_id} has a run that is pending or running")

    async def flush(self) -> None:
        """Nothing is buffered."""
