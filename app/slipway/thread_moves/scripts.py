"""The script stub of moves, and the writer that stores a move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NotRequired, TypedDict

from slipway.checkpoints.fenced_writers import UndividedWriter
from slipway.redis.redis_commands import RedisCommand, packed
from slipway.redis.script_source import load
from slipway.redis.script_stubs import RecordScriptStubs, arguments_for

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
    graph_id: str
    version: str
    schema: str
    move: str
    expected: Mapping[str, str]
    owner: NotRequired[Owner]
    incarnation: NotRequired[str]
    original: NotRequired[str]
    value_terms: NotRequired[str]


@dataclass(frozen=True, slots=True)
class MovedFields:
    """Fields of the thread's record in their stored form. Empty: the field stays as it is."""

    values: bytes = b""
    questions_before: bytes = b""
    """The interrupts that it must have, so that none is lost that was stored meanwhile."""
    questions: bytes = b""


class MoveScripts(RecordScriptStubs):
    """Each method takes one round trip."""

    async def move(self, arguments: ThreadMove, fields: MovedFields, commands: Sequence[RedisCommand]) -> MoveResult:
        """Stores a move."""
        args = [
            *arguments_for(self._shards.of_thread(arguments["thread_id"]), arguments),
            fields.values,
            fields.questions_before,
            fields.questions,
            *packed(commands),
        ]
        return MoveResult((await self._pipeline.run(_THREAD_MOVE, [], args)).decode())


class MoveWriter(UndividedWriter):
    """Stores what a checkpointer writes together with a move, at once. Then `result` is the outcome."""

    def __init__(self, scripts: MoveScripts, arguments: ThreadMove, fields: MovedFields) -> None:
        super().__init__()
        self._scripts, self._arguments, self._fields = scripts, arguments, fields
        self.result: MoveResult | None = None

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        self.result = await self._scripts.move(self._arguments, self._fields, commands)

    async def flush(self) -> None:
        """Nothing is buffered."""
