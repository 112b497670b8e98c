"""The commands on stored idempotency keys."""

from __future__ import annotations

from slipway.redis.read_stubs import ReadStubs


class IdempotencyKeys(ReadStubs):
    """Each method takes the digest of an idempotency key."""

    async def store_once(self, digest: str, value: bytes, ttl_s: int) -> bytes:
        """Stores `value` for `ttl_s` seconds, unless a value is stored already. Returns the stored value. One round
        trip."""
        key = self._keys.idempotency(digest)
        stored = self._pipeline.send("SET", key, value, "NX", "EX", ttl_s, repeatable=True)
        current = self._pipeline.send("GET", key, repeatable=True)
        await stored
        value_in_redis: bytes = await current
        return value_in_redis
