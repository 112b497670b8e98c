"""Several writes of a checkpointer as one, so that a killed process leaves all of them or none."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.checkpoints.fenced_writers import CollectingWriter, UndividedWriter
from slipway.redis.redis_commands import RedisCommand


class Sent(UndividedWriter):
    """A writer that stores what it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[list[RedisCommand]] = []

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        self.writes.append(list(commands))

    async def flush(self) -> None:
        """Nothing is buffered."""


async def test_several_writes_are_executed_together() -> None:
    sent = Sent()
    writer = CollectingWriter(sent, [("XADD", "trail")])
    await writer.write([("SET", "a", "1")])
    await writer.write([("SET", "b", "2"), ("SET", "c", "3")])
    assert sent.writes == []
    await writer.flush()
    assert sent.writes == [[("XADD", "trail"), ("SET", "a", "1"), ("SET", "b", "2"), ("SET", "c", "3")]]


async def test_a_read_in_between_executes_what_was_written_before() -> None:
    sent = Sent()
    writer = CollectingWriter(sent, [("XADD", "trail")])
    await writer.flush()
    for name in "ab":
        await writer.write([("SET", name, "1")])
        await writer.flush()
    assert sent.writes == [[("XADD", "trail"), ("SET", "a", "1")], [("SET", "b", "1")]]
