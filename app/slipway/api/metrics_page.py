"""The page of metrics: the figures of the whole deployment, whichever web process answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog

from slipway.errors import StoreUnavailable
from slipway.health.health import HealthMonitor
from slipway.health.health_figures import show_health
from slipway.hooks.reads import HookReads
from slipway.metrics.deployment_figures import deployment_figures
from slipway.metrics.figures import Figures
from slipway.metrics.process_metrics import ProcessMetrics
from slipway.metrics.publication import MetricsPublication
from slipway.metrics.scripts import MetricsScripts, ReadFigures
from slipway.metrics.shard_figures import together
from slipway.redis.per_shard import PerShard
from slipway.telemetry.table.people_metrics import HOOK_DELIVERIES
from slipway.telemetry.table.version_metrics import BREAKER_OPENINGS

log = structlog.get_logger(__name__)

WITHIN_S: Final = 2.0
"""Seconds after which the page has what is known: a scrape must not wait longer for Redis."""
_NOTHING: Final = ReadFigures({}, [], {}, 0, {}, [], 0)


class MetricsPage:
    """Reads the figures, at most once in a second. All web processes show the same ones, and none shows an older figure
    after a newer one, so it does not matter which of them Prometheus reaches."""

    def __init__(
        self,
        shards: PerShard[MetricsScripts],
        publication: MetricsPublication,
        health: HealthMonitor,
        graphs: Sequence[str],
    ) -> None:
        self._shards, self._publication, self._health, self._graphs = shards, publication, health, graphs
        self._read, self._valid_until, self._reading = _NOTHING, 0.0, asyncio.Lock()

    async def figures(self) -> Figures:
        """Never raises for an unavailable Redis: then it has what this process knows."""
        try:
            async with asyncio.timeout(WITHIN_S), self._reading:
                await self._refresh()
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("metrics.not_read", problem=str(error) or f"Redis did not reply within {WITHIN_S:g} s")
        figures = deployment_figures(self._read, self._graphs)
        show_health(figures, self._health.latest)
        return figures

    async def _refresh(self) -> None:
        began = time.monotonic()
        if began < self._valid_until:
            return
        await self._publication.publish()
        asked_at = time.monotonic()
        self._read = together(await asyncio.gather(*(scripts.read() for scripts in self._shards)))
        # counted from before the call, so that these figures are not shown when another process has newer ones
        self._valid_until = asked_at + self._read.left_ms / 1000


def count_openings(metrics: ProcessMetrics, health: HealthMonitor) -> None:
    """Publishes how often circuit breakers were opened, which scripts count."""
    breakers = health.latest.breakers
    for breaker, count in (breakers.openings if breakers else {}).items():
        kind, _, name = breaker.partition(":")
        metrics.raise_to(BREAKER_OPENINGS, count, kind, name)


async def count_hook_deliveries(metrics: ProcessMetrics, reads: HookReads, hooks: Sequence[str]) -> None:
    """Publishes what became of the deliveries to hooks, which scripts count. One round trip."""
    for hook, counts in zip(hooks, await asyncio.gather(*map(reads.counts, hooks)), strict=True):
        for outcome, count in counts.by_outcome.items():
            metrics.raise_to(HOOK_DELIVERIES, count, hook, outcome)
