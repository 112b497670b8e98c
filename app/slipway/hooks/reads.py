"""The reads of deliveries to hooks."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from slipway.errors import NotFound
from slipway.hooks.record import DeliveryState, HookCounts, HookDelivery, counts_from, delivery_from
from slipway.redis.hash_fields import Fields
from slipway.redis.read_stubs import ReadStubs


@dataclass(frozen=True, slots=True)
class Position:
    """Where a list continues: after this delivery."""

    received_us: int
    delivery: str

    @property
    def cursor(self) -> str:
        return f"{self.received_us}-{self.delivery}"


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Some deliveries, the newest first, and the cursor of the next page; None at the end."""

    deliveries: list[HookDelivery]
    next: str | None


class HookReads(ReadStubs):
    """Reads of the deliveries of all hooks."""

    async def delivery(self, hook: str, delivery: str) -> HookDelivery:
        """One round trip. Raises `NotFound`, also for a delivery of another hook."""
        fields = await self._hash(self._keys.hook_delivery(delivery))
        if "received_us" not in fields or fields["hook"].decode() != hook:
            raise NotFound("delivery", delivery)
        return delivery_from(delivery, fields)

    async def any_delivery(self, delivery: str) -> HookDelivery | None:
        """One round trip. None if its retention has ended."""
        fields = await self._hash(self._keys.hook_delivery(delivery))
        return delivery_from(delivery, fields) if "received_us" in fields else None

    async def page(
        self, hook: str, *, limit: int, after: Position | None = None, state: DeliveryState | None = None
    ) -> DeliveryPage:
        """Two round trips. Deliveries of the same µs are in the order of their ids."""
        key = self._keys.hook_deliveries(hook) if state is None else self._keys.hook_deliveries_in(hook, state.value)
        found: list[Position] = []
        offset, highest = 0, "+inf" if after is None else str(after.received_us)
        while len(found) <= limit:
            entries = await self._pipeline.send(
                *("ZREVRANGEBYSCORE", key, highest, "-inf", "WITHSCORES", "LIMIT", offset, limit + 1), repeatable=True
            )
            positions = [Position(int(us), each.decode()) for each, us in zip(entries[::2], entries[1::2], strict=True)]
            found += [each for each in positions if after is None or _sorted_by(each) < _sorted_by(after)]
            offset += limit + 1
            if len(positions) <= limit:
                break
        wanted = found[:limit]
        records = await self._records((self._keys.hook_delivery(each.delivery) for each in wanted), "received_us")
        deliveries = _existing(wanted, records)
        return DeliveryPage(deliveries, wanted[-1].cursor if len(found) > limit else None)

    async def counts(self, hook: str) -> HookCounts:
        """What became of the requests to a hook. One round trip."""
        return counts_from(await self._hash(self._keys.hook_counts(hook)))

    async def last_received_us(self, hook: str) -> int | None:
        """When the newest delivery was received. One round trip."""
        newest = await self._pipeline.send(
            "ZREVRANGE", self._keys.hook_deliveries(hook), 0, 0, "WITHSCORES", repeatable=True
        )
        return int(newest[1]) if newest else None

    async def namespace(self) -> uuid.UUID:
        """The namespace of the thread ids of all hooks. It is chosen once for a deployment. One round trip."""
        key = self._keys.hook_namespace
        stored = self._pipeline.send("SET", key, uuid.uuid4().bytes, "NX", repeatable=True)
        current = self._pipeline.send("GET", key, repeatable=True)
        await stored
        return uuid.UUID(bytes=await current)


def _sorted_by(position: Position) -> tuple[int, str]:
    return position.received_us, position.delivery


def _existing(wanted: Sequence[Position], records: Sequence[Fields | None]) -> list[HookDelivery]:
    pairs = zip(wanted, records, strict=True)
    return [delivery_from(position.delivery, fields) for position, fields in pairs if fields is not None]
