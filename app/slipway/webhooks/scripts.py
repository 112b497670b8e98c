"""The scripts of outgoing webhooks. The records they work on are put aside by the scripts that end runs."""

from __future__ import annotations

from collections.abc import Sequence

import ormsgpack

from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs
from slipway.runs.delivery_queues import DeliveryQueue

_TAKE = load("delivery_claim")
_END = load("delivery_settle_try")


class DeliveryScripts(ScriptStubs):
    """On one pipeline, under one prefix; one round trip a call."""

    async def take(self, queues: Sequence[DeliveryQueue], limit: int, lease_ms: int) -> list[Fields]:
        """What is to be delivered now, by us, within `lease_ms`."""
        arguments = self._args(queues=list(queues), limit=limit, lease_ms=lease_ms)
        return [fields_of(held) for held in await self._pipeline.run(_TAKE, [], arguments)]

    async def end(
        self,
        delivery_id: str,
        number: int,
        *,
        outcome: str,
        problem: str | None = None,
        retry_ms: int | None = None,
        uncounted: int | None = None,
    ) -> bool:
        """How try `number` ended: for good, or to be tried again after `retry_ms`. `uncounted` is how many tries have
        made no call by now, this one included. False when it was overtaken."""
        arguments = {
            "delivery_id": delivery_id,
            "try": number,
            "outcome": outcome,
            "problem": problem,
            "retry_ms": retry_ms,
            "uncounted": uncounted,
        }
        return bool(await self._pipeline.run(_END, [], (self._keys.prefix, ormsgpack.packb(arguments))))
