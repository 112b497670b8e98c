"""The stub of the position of an interrupted repair of indexes. Each method takes one round trip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slipway.redis.pipeline import Pipeline
from slipway.redis.scan_cursors import FIRST
from slipway.redis.shards import Shards

_REMEMBERED_S: Final = 3600


@dataclass(frozen=True, slots=True)
class CheckPosition:
    """`cursor` is that of a scan of keys, or of ZSCAN. `started_us` is when the check began, in µs on the clock of
    Redis: records that changed since then may be out of date again, also if the check was interrupted."""

    cursor: str
    started_us: int


class CheckPositions:
    """The position in the records of one kind. It is forgotten after an hour."""

    def __init__(self, pipeline: Pipeline, shards: Shards, kind: str) -> None:
        self._pipeline, self._at = pipeline, shards.processes.prefix
        self._key = shards.processes.check_position(kind)

    async def start(self) -> CheckPosition:
        """The position before all records."""
        seconds, microseconds = await self._pipeline.send("TIME", repeatable=True, at=self._at)
        return CheckPosition(FIRST, int(seconds) * 1_000_000 + int(microseconds))

    async def stored(self) -> CheckPosition | None:
        stored = await self._pipeline.send("GET", self._key, repeatable=True)
        if stored is None:
            return None
        cursor, _, started_us = stored.decode().rpartition(":")
        return CheckPosition(cursor, int(started_us))

    async def store(self, position: CheckPosition | None) -> None:
        """None at the end."""
        if position is None:
            await self._pipeline.send("DEL", self._key, repeatable=True)
            return
        text = f"{position.cursor}:{position.started_us}"
        await self._pipeline.send("SET", self._key, text, "EX", _REMEMBERED_S, repeatable=True)
