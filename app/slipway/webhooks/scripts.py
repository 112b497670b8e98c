"""The script stubs of deliveries. The scripts that end runs create the deliveries."""

from __future__ import annotations

from collections.abc import Sequence

import ormsgpack

from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs
from slipway.runs.delivery_queues import DeliveryQueue

_DELIVERY_CLAIM = load("delivery_claim")
_DELIVERY_SETTLE_TRY = load("delivery_settle_try")


class DeliveryScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def claim(self, queues: Sequence[DeliveryQueue], limit: int, lease_ms: int) -> list[Fields]:
        """Claims due deliveries for `lease_ms`; then another process may claim them."""
        arguments = self._args(queues=list(queues), limit=limit, lease_ms=lease_ms)
        return [fields_of(delivery) for delivery in await self._pipeline.run(_DELIVERY_CLAIM, [], arguments)]

    async def settle_try(
        self,
        delivery_id: str,
        number: int,
        *,
        outcome: str,
        problem: str | None = None,
        retry_ms: int | None = None,
        uncounted: int | None = None,
    ) -> bool:
        """Stores how the try `number` ended: for the last time, or with a next try after `retry_ms`. `uncounted` is the
        number of tries so far that made no call. Returns False if a later try has started."""
        arguments = {
            "delivery_id": delivery_id,
            "try": number,
            "outcome": outcome,
            "problem": problem,
            "retry_ms": retry_ms,
            "uncounted": uncounted,
        }
        return bool(await self._pipeline.run(_DELIVERY_SETTLE_TRY, [], (self._keys.prefix, ormsgpack.packb(arguments))))
