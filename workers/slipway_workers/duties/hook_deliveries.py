"""Finishes deliveries to hooks that were stored and not answered, because the web process has died in between. Senders
that do not repeat a delivery, such as GitHub, would lose it otherwise.

Interval: `reconcile_every_s`.
Who: every worker; one script gives a delivery to one worker at a time, for `hooks.handling.FINISH_AFTER_MS`.
Logs: `hook.accepted`, `hook.ignored` and `hook.rejected` of each, as the web process does; `hook.not_finished` if a
delivery cannot be finished now, or the project has its hook no more.
"""

from __future__ import annotations

from typing import Final

import structlog

from slipway.duties.duty import Duty
from slipway.errors import NotFound, SlipwayError, Unavailable
from slipway.hooks.record import HookDelivery
from slipway.services import Services

log = structlog.get_logger(__name__)

MOST_TRIES: Final = 10
_AT_ONCE: Final = 20
_NO_RESPONSE: Final = 0
"""The status of errors: nobody receives them."""


class HookDeliveries(Duty):
    """One round finishes some of these deliveries."""

    name = "hook_deliveries"

    def __init__(self, services: Services) -> None:
        super().__init__(services.settings.reconcile_every_s)
        self._scripts, self._reads, self._hooks = services.hook_scripts, services.hook_reads, services.config.hooks
        self._handler = services.hook_handler(services.auth, lambda error: _NO_RESPONSE)

    async def run_once(self) -> int:
        """Returns how many deliveries it has finished or tried to."""
        claimed = await self._scripts.claim_unanswered(_AT_ONCE)
        for delivery in claimed:
            record = await self._reads.any_delivery(delivery)
            if record is not None:
                await self._finish(record)
        return len(claimed)

    async def _finish(self, record: HookDelivery) -> None:
        try:
            config = self._hooks.get(record.hook)
            if config is None:
                raise NotFound("hook", record.hook, why="langgraph.json does not have it any more")
            await self._handler.finish(config, record)
        except SlipwayError as error:
            log.warning("hook.not_finished", hook=record.hook, delivery=record.delivery, problem=str(error))
            if not isinstance(error, Unavailable) or record.tries >= MOST_TRIES:
                await self._handler.give_up(record, error)
