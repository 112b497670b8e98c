"""The script stub of moves, and the writer that stores a move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NotRequired, TypedDict

from slipway.checkpoints.fenced_writers import UndividedWriter
from slipway.redis.redis_commands import RedisCommand, packed
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_THREAD_MOVE = load("thread_move")


class MoveResult(StrEnum):
    """The outcome. Only `MOVED` has changed something."""

    MOVED = "ok"
    FENCED = "fenced"
    """The attempt no longer owns its run."""
    DELETED = "deleted"
    """The thread was deleted, or deleted and created again."""
    BUSY = "busy"
    """A run of the thread executes."""
    CHANGED = "changed"
    """The thread was moved, had a run, or its state was written since it was read."""


class Owner(TypedDict):
    """The attempt that moves the thread of its run."""

    run_id: str
    attempt: int
    incarnation: str


class ThreadMove(TypedDict):
    """The arguments of `thread_move.lua`."""

    thread_id: str
    version: str
    schema: str
    move: str
    expected: Mapping[str, str]
    owner: NotRequired[Owner]
    incarnation: NotRequired[str]
    original: NotRequired[str]
    value_terms: NotRequired[str]


class MoveScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def move(self, arguments: ThreadMove, values: bytes, commands: Sequence[RedisCommand]) -> MoveResult:
        """Stores a move. `values` are the new values of the thread's record in their stored form, empty if they
        stay."""
        args = [*self._args(**arguments), values, *packed(commands)]
        return MoveResult((await self._pipeline.run(_THREAD_MOVE, [], args)).decode())


class MoveWriter(UndividedWriter):
    """Stores what a checkpointer writes together with a move, at once. Then `result` is the outcome."""

    def __init__(self, scripts: MoveScripts, arguments: ThreadMove, values: bytes = b"") -> None:
        super().__init__()
        self._scripts, self._arguments, self._values = scripts, arguments, values
        self.result: MoveResult | None = None

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        self.result = await self._scripts.move(self._arguments, self._values, commands)

    async def flush(self) -> None:
        """Nothing is buffered."""
