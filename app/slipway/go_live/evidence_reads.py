"""The stub of evidence."""

from __future__ import annotations

from slipway.redis.read_stubs import ReadStubs


class EvidenceStub(ReadStubs):
    """Reads and writes the hash with the evidence. Each method takes one round trip."""

    async def read(self) -> dict[str, bytes]:
        """JSON by kind."""
        return await self._hash(self._keys.evidence)

    async def write(self, kind: str, stored: bytes) -> None:
        """Replaces the JSON of a kind."""
        await self._pipeline.send("HSET", self._keys.evidence, kind, stored, repeatable=True)
