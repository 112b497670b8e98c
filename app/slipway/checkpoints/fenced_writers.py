"""Who carries a group of commands to Redis, and what must be true for them to count.

The checkpointer says what it wants written as plain Redis commands; a writer takes them there atomically, under its
own guard: an attempt's writer under its fencing token, the API's only while no run is active on the thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from slipway.errors import Conflict, NotFound
from slipway.redis.commands import Command, packed
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import load

_APPLY_FREE = load("apply_unfenced")
_APPLY_IDLE = load("apply_if_idle")


class CheckpointWriter(Protocol):
    """All of `commands` in order, or none."""

    async def write(self, commands: Sequence[Command]) -> None:
        """Return once they are sure to count before anything written later. Raises `Fenced`, `Conflict` or
        `StoreUnavailable`."""
        ...

    async def flush(self) -> None:
        """Return once Redis has everything written so far: a reader must see it."""
        ...


class UnfencedWriter:
    """Writes without a guard: for tests, tools and threads that nobody runs."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def write(self, commands: Sequence[Command]) -> None:
        if commands:
            await self._pipeline.run(_APPLY_FREE, [], packed(commands))

    async def flush(self) -> None:
        """Nothing waits."""


class IdleThreadWriter:
    """Writes only while no run of the thread is pending or running, otherwise `Conflict`; and only to the thread that
    was created at `incarnation` ("" is one without a record), otherwise `NotFound`."""

    def __init__(self, pipeline: Pipeline, keys: Keys, thread_id: str, incarnation: str) -> None:
        self._pipeline, self._key, self._thread_id = pipeline, keys.thread(thread_id), thread_id
        self._incarnation = incarnation

    async def write(self, commands: Sequence[Command]) -> None:
        if not commands:
            return
        answer = await self._pipeline.run(_APPLY_IDLE, [self._key], [self._incarnation, *packed(commands)])
        if answer == b"gone":
            raise NotFound("thread", self._thread_id)
        if answer == b"busy":
            raise Conflict(f"thread {self._thread_id} has a run that is pending or running")

    async def flush(self) -> None:
        """Nothing waits."""
