"""The script stubs of deliveries. The scripts that end runs create the deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ormsgpack

from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs
from slipway.runs.delivery_queues import DeliveryQueue

_DELIVERY_CLAIM = load("delivery_claim")
_DELIVERY_SETTLE_TRY = load("delivery_settle_try")


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has accepted the webhook."""


@dataclass(frozen=True, slots=True)
class TriedAgain:
    """The next try starts after `pause_ms`. `uncounted_tries` is the number of tries so far that made no call; None if
    this one made a call."""

    problem: str
    pause_ms: int
    uncounted_tries: int | None = None


@dataclass(frozen=True, slots=True)
class GivenUp:
    """There is no next try."""

    problem: str


TryResult = Delivered | TriedAgain | GivenUp
"""How a try to deliver a webhook ended."""


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """`run_id` is the run that calls the webhook, and `fields` is the record of the delivery."""

    run_id: str
    fields: Fields


class DeliveryScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def claim(self, queues: Sequence[DeliveryQueue], limit: int, lease_ms: int) -> list[ClaimedDelivery]:
        """Claims due deliveries for `lease_ms`; then another process may claim them."""
        arguments = self._args(queues=list(queues), limit=limit, lease_ms=lease_ms)
        records = [fields_of(delivery) for delivery in await self._pipeline.run(_DELIVERY_CLAIM, [], arguments)]
        return [ClaimedDelivery(fields.get("run_id", b"").decode(), fields) for fields in records]

    async def settle_try(self, delivery_id: str, number: int, result: TryResult) -> bool:
        """Stores how the try `number` ended. Returns False if a later try has started."""
        stored: dict[str, str | int | None]
        match result:
            case Delivered():
                stored = {"outcome": "delivered"}
            case TriedAgain(problem, pause_ms, uncounted):
                stored = {"outcome": "pending", "problem": problem, "retry_ms": pause_ms, "uncounted": uncounted}
            case GivenUp(problem):
                stored = {"outcome": "failed", "problem": problem}
        arguments = stored | {"delivery_id": delivery_id, "try": number}
        return bool(await self._pipeline.run(_DELIVERY_SETTLE_TRY, [], (self._keys.prefix, ormsgpack.packb(arguments))))
