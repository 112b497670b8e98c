"""Deletes stored spans: those of runs whose first span is older than `trace_retention_s`, and, while all together have
more than `trace_max_bytes` or a tenth of the memory of Redis, those of the oldest runs.

Interval: `reap_every_s`.
Who: every worker; deleting the same spans twice changes nothing.
Logs: `traces.trimmed` with the number of runs, if there were any.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Final

import structlog

from slipway.duties.duty import Duty
from slipway.health.server_info import read_server_info
from slipway.redis.per_shard import PerShard
from slipway.services import Services
from slipway.tracing.scripts import TraceScripts, Trimmed

log = structlog.get_logger(__name__)

_PART_OF_REDIS: Final = 10
_READ_LIMIT_EVERY_S: Final = 60.0
_PAGE: Final = 100
"""The most runs of one script call."""
_MOST_PAGES: Final = 50
"""Of one round: the next one continues."""


class Traces(Duty):
    """One round deletes the spans that are due."""

    name = "traces"

    def __init__(self, services: Services) -> None:
        settings = services.settings
        super().__init__(settings.reap_every_s)
        self._shards = PerShard(services.shards, partial(TraceScripts, services.pipeline))
        self._pipeline = services.pipeline
        self._retention_ms, self._most_bytes = settings.trace_retention_s * 1000, settings.trace_max_bytes
        self._max_bytes, self._read_limit_at = self._most_bytes, 0.0

    async def run_once(self) -> Trimmed:
        """Returns of how many runs it has deleted the spans."""
        await self._read_limit()
        trimmed = await asyncio.gather(*map(self._trim, self._shards))
        expired, displaced = sum(each.expired for each in trimmed), sum(each.displaced for each in trimmed)
        if expired or displaced:
            log.info("traces.trimmed", expired=expired, displaced=displaced)
        return Trimmed(expired, displaced, any(each.more for each in trimmed))

    async def _trim(self, scripts: TraceScripts) -> Trimmed:
        """Each shard may have its part of all bytes: threads, and so their spans, are spread evenly."""
        max_bytes, expired, displaced, more = self._max_bytes // len(self._shards), 0, 0, True
        for _ in range(_MOST_PAGES):
            page = await scripts.trim(retention_ms=self._retention_ms, max_bytes=max_bytes, limit=_PAGE)
            expired, displaced, more = expired + page.expired, displaced + page.displaced, page.more
            if not more:
                break
        return Trimmed(expired, displaced, more)

    async def _read_limit(self) -> None:
        """A small Redis must not be filled by spans, whatever the setting says."""
        if time.monotonic() < self._read_limit_at:
            return
        self._read_limit_at = time.monotonic() + _READ_LIMIT_EVERY_S
        limit = (await read_server_info(self._pipeline)).max_bytes
        self._max_bytes = min(self._most_bytes, limit // _PART_OF_REDIS) if limit else self._most_bytes
