"""Publishes the metrics of a process every few seconds, and when it stops. Workers of a platform such as Heroku have no
port that could be scraped, so all figures are in Redis, and every web process shows those of the whole deployment.

A publication has a number. The script adds what has the next number once, so one whose reply was lost is sent again
without harm. A process that is killed loses what it has measured since the last one: times of requests and of round
trips. What became of runs is counted by scripts, and is never lost.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from slipway.errors import StoreUnavailable
from slipway.metrics.process_metrics import ProcessMetrics, Publication
from slipway.metrics.scripts import MetricsScripts
from slipway.telemetry.table.deployment_metrics import EVENT_LOOP_LAG_SECONDS, STORE_ROUND_TRIP_SECONDS

log = structlog.get_logger(__name__)

EVERY_S: Final = 5.0
"""Seconds between publications."""
LAG_EVERY_S: Final = 1.0
"""Seconds between measurements of the event loop."""
_LAST_WITHIN_S: Final = 1.0


class MetricsPublication:
    """Publishes what one process has measured."""

    def __init__(self, metrics: ProcessMetrics, scripts: MetricsScripts) -> None:
        self.metrics = metrics
        self._scripts, self._process = scripts, f"{metrics.process}-{secrets.token_hex(8)}"
        self._number, self._pending = 0, Publication({}, {}, {})
        self._is_sent = True
        """Whether the latest publication was acknowledged."""
        self._sending: asyncio.Task[None] | None = None
        self.before_publication: Callable[[], Awaitable[None]] | None = None
        """Called before each publication, for what must be read of Redis."""

    async def run(self) -> None:
        """Measures the event loop and publishes, until it is cancelled."""
        published_at = time.monotonic() - EVERY_S
        while True:
            due_at = time.monotonic() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self.metrics.observe(EVENT_LOOP_LAG_SECONDS, max(time.monotonic() - due_at, 0.0), self.metrics.process)
            if time.monotonic() - published_at >= EVERY_S:
                published_at = time.monotonic()
                with suppress(StoreUnavailable):  # the next one contains it
                    await self.publish()

    async def publish(self) -> None:
        """Publishes now. Calls at the same time share one publication. Raises `StoreUnavailable`; then the next call
        publishes the same again."""
        if not self.metrics.enabled:
            return
        if self._sending is None:
            self._sending = asyncio.create_task(self._read_and_publish(), name="publication of metrics")
            self._sending.add_done_callback(self._sent)
        await asyncio.shield(self._sending)

    async def _read_and_publish(self) -> None:
        if self.before_publication is not None:
            await self.before_publication()
        await self._publish(live=True)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending = None
        if not task.cancelled():
            task.exception()  # whoever waits has it; asyncio need not log it

    async def close(self) -> None:
        """Publishes what is left, and that this process is gone."""
        if not self.metrics.enabled:
            return
        try:
            async with asyncio.timeout(_LAST_WITHIN_S):
                if self._sending is not None:
                    await asyncio.wait([self._sending])
                if not self._is_sent:
                    await self._publish(live=True)
                await self._publish(live=False)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("metrics.not_published", problem=str(error) or "Redis did not reply in time")

    async def _publish(self, *, live: bool) -> None:
        if self._is_sent:
            self._number, self._pending = self._number + 1, self.metrics.publication()
            self._is_sent = False
        began = time.monotonic()
        await self._scripts.publish(self._process, self.metrics.process, self._number, self._pending, live=live)
        self._is_sent = True
        self.metrics.observe(STORE_ROUND_TRIP_SECONDS, time.monotonic() - began, self.metrics.process)
