"""Is everything there that a run needs? Redis, and a worker that was heard of within a lease."""

from __future__ import annotations

from dataclasses import dataclass

from app.clock import Clock
from app.keyspace.names import Keys
from app.wire import Wire


@dataclass(frozen=True, slots=True)
class Health:
    """How many workers live, and how many jobs wait."""

    workers: int
    queued: int


async def health(wire: Wire, keys: Keys, clock: Clock, lease_s: float) -> Health:
    """One round trip. Raises `StoreUnavailable` when Redis is away."""
    oldest_ms = int((clock.now().timestamp() - lease_s) * 1000)
    workers = wire.send("ZCOUNT", keys.workers, oldest_ms, "+inf", again=True)
    queued = wire.send("ZCARD", keys.queue, again=True)
    return Health(int(await workers), int(await queued))
