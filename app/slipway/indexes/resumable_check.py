"""The pages of a check that reads all records of one kind. A repair that is interrupted continues where it was."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from slipway import failpoints
from slipway.indexes.check_positions import CheckPosition, CheckPositions
from slipway.redis.key_scan import IdsInShard, ScannedPage
from slipway.redis.pipeline import Pipeline
from slipway.redis.scan_cursors import share_read
from slipway.redis.shards import Shards


@dataclass(frozen=True, slots=True)
class IdsToCheck:
    """`share_read` is how much of everything has been read with this page, from 0 to 1."""

    found: list[IdsInShard]
    share_read: float


class ResumableCheck:
    """`kind` is that of the records. With `resumes`, the position is stored after each page has been checked."""

    started_us = 0
    """When the check began, before all its interruptions, in µs on the clock of Redis."""

    def __init__(self, pipeline: Pipeline, shards: Shards, kind: str, *, resumes: bool) -> None:
        self._positions, self._resumes = CheckPositions(pipeline, shards, kind), resumes

    async def pages(self, read: Callable[[str], Awaitable[ScannedPage]]) -> AsyncGenerator[IdsToCheck, None]:
        """All pages, or those after the stored position. `read` reads the page at a cursor. A page is checked when the
        next one is requested."""
        stored = await self._positions.stored() if self._resumes else None
        position = stored or await self._positions.start()
        self.started_us = position.started_us
        while True:
            page = await read(position.cursor)
            yield IdsToCheck(page.found, share_read(page.cursor))
            following = None if page.cursor is None else CheckPosition(page.cursor, position.started_us)
            if self._resumes:
                await self._positions.store(following)
            if following is None:
                return
            position = following
            failpoints.reach("index_page_checked")
