"""Calls the webhooks of runs that have ended, except internal ones, which web processes call
(`slipway.api.host_app.internal_webhooks`). Addresses that `webhooks.url` of langgraph.json does not allow are never
called.

Deletes deliveries that were kept long enough, once in `SWEEP_EVERY_S`.

Interval: `slipway.webhooks.delivery_tries.INTERVAL_S`; at once when a run with a webhook has ended in this process.
Who: every worker; a script assigns each delivery to one process at a time, with a lease. With several shards each
worker looks at a part of them in each round (`slipway.webhooks.claim_shards`).
Logs: `webhook.delivered`, `webhook.failed`, `webhook.rejected` for each try (`slipway.webhooks.delivery_tries`).
"""

from __future__ import annotations

from typing import Final

from slipway.duties.duty import Duty
from slipway.runs.delivery_queues import EXTERNAL, INTERNAL
from slipway.services import Services
from slipway.webhooks.delivery_tries import INTERVAL_S, DeliveryTries
from slipway.webhooks.external_receivers import ExternalReceivers

SWEEP_EVERY_S: Final = 60.0
_SWEEP_BATCH: Final = 100


class Deliveries(Duty):
    """One round starts a try of each delivery that is due, and does not wait until the tries end.

    If internal webhooks are not allowed at all, no web process claims their deliveries. Then they are claimed here, and
    fail with the reason.
    """

    name = "deliveries"

    def __init__(self, services: Services) -> None:
        super().__init__(INTERVAL_S)
        # internal webhooks come first: each of them fails at once
        queues = (EXTERNAL,) if services.webhook_urls.allows_internal else (INTERNAL, EXTERNAL)
        self._receivers = ExternalReceivers(services.webhook_urls)
        self.tries = DeliveryTries(services, queues, self._receivers, services.auth, on_try_ended=self.run_soon)
        self._clock, self._sweep_at = services.clock, 0.0
        self.run_soon()  # the first round does not wait

    async def run_once(self) -> int:
        """Returns the number of tries that were started."""
        started = await self.tries.start_due()
        if self._clock.monotonic() >= self._sweep_at:
            while await self.tries.scripts.sweep(_SWEEP_BATCH) == _SWEEP_BATCH:
                pass
            self._sweep_at = self._clock.monotonic() + SWEEP_EVERY_S
        return started

    def webhook_is_due(self, run_id: str) -> None:
        """A run with a webhook has ended: the next round starts at once, and looks for it."""
        self.tries.scripts.may_be_due(run_id)
        self.run_soon()

    async def close(self) -> None:
        try:
            await self.tries.close()
        finally:
            await self._receivers.close()
