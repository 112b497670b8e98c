"""The read stubs of stored traces."""

from __future__ import annotations

from slipway.redis.read_stubs import ReadStubs


class TraceReads(ReadStubs):
    """One round trip each."""

    async def parts(self, run_id: str) -> list[bytes]:
        """What was stored of the spans of a run, in its stored form and in this order. Empty if nothing is."""
        parts: list[bytes] = await self._pipeline.send("LRANGE", self._keys.run_trace(run_id), 0, -1, repeatable=True)
        return parts
