"""The stub of stored idempotency keys."""

from __future__ import annotations

from slipway.redis.read_stubs import ReadStubs


class IdempotencyKeys(ReadStubs):
    """By digest of an idempotency key."""

    async def store_once(self, digest: str, value: bytes, ttl_s: int) -> bytes:
        """The stored value: this one, unless an earlier request stored one in the last `ttl_s`. One round trip."""
        key = self._keys.idempotency(digest)
        stored = self._pipeline.send("SET", key, value, "NX", "EX", ttl_s, repeatable=True)
        current = self._pipeline.send("GET", key, repeatable=True)
        await stored
        found: bytes = await current
        return found
