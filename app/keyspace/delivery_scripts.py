"""The scripts of outgoing webhooks. The records they work on are put aside by the scripts that end runs."""

from __future__ import annotations

import ormsgpack

from app.keyspace.names import Keys
from app.keyspace.scripts import Fields, fields
from app.keyspace.source import load
from app.redis.wire import Wire

_TAKE = load("delivery_take", repeatable=False)
_END = load("delivery_end", repeatable=True)


class DeliveryScripts:
    """On one wire, under one prefix; one round trip a call."""

    def __init__(self, wire: Wire, keys: Keys) -> None:
        self._wire, self._keys = wire, keys

    def _args(self, **arguments: object) -> tuple[str, bytes]:
        return self._keys.prefix, ormsgpack.packb(arguments)

    async def take(self, limit: int, lease_ms: int) -> list[Fields]:
        """What is to be delivered now, by us, within `lease_ms`."""
        return [fields(held) for held in await self._wire.run(_TAKE, [], self._args(limit=limit, lease_ms=lease_ms))]

    async def end(
        self, run_id: str, number: int, *, outcome: str, problem: str | None = None, retry_ms: int | None = None
    ) -> bool:
        """How try `number` ended: for good, or to be tried again after `retry_ms`. False when it was overtaken."""
        arguments = {
            "run_id": run_id,
            "try": number,
            "outcome": outcome,
            "problem": problem,
            "retry_ms": retry_ms,
        }
        return bool(await self._wire.run(_END, [], (self._keys.prefix, ormsgpack.packb(arguments))))
