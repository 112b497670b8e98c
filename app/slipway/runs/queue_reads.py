"""The read stubs of the leases."""

from __future__ import annotations

from slipway.redis.read_stubs import ReadStubs


class QueueReads(ReadStubs):
    """Reads when the next run is to be reclaimed."""

    async def next_lease_end_in_s(self) -> float:
        """Seconds until the first lease expires, on the clock of Redis. Negative if it has expired, infinite if no run
        has a lease. One round trip."""
        first = self._pipeline.send("ZRANGE", self._keys.leases, 0, 0, "WITHSCORES", repeatable=True)
        seconds, microseconds = await self._pipeline.send("TIME", at=self._keys.leases, repeatable=True)
        if not (lease := await first):
            return float("inf")
        return float(lease[1]) / 1000 - int(seconds) - int(microseconds) / 1_000_000
