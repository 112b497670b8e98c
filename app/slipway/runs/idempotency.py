"""Idempotency keys: a request that creates a record can be repeated, and creates the record once.

The first request with a key stores the digest of its body together with a random id for the new record. The scripts
that create records return the existing record if there is one with that id, so a repetition finds the thread or run of
the first request, whatever was killed in between. The same key with another body is rejected. The id is random, so that
nobody can compute it from a key and create a record under it first. A key belongs to the user who sent it. The record
and the log of a run with a temporary thread stay as long as the key does.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final
from uuid import UUID

from slipway.errors import InvalidRequest
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.idempotency_keys import IdempotencyKeys
from slipway.runs.record import new_id

HEADER: Final = "Idempotency-Key"
MAX_KEY_CHARS: Final = 255
KEPT_S: Final = 86_400

_DIGEST: Final = hashlib.sha256().digest_size


class Idempotency:
    """The keys of requests. Each is valid for `KEPT_S` seconds, for one user and one path."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._keys = IdempotencyKeys(pipeline, keys)

    async def record_id(self, key: str, user: str | None, path: str, body: bytes, index: int = 0) -> str:
        """The id of the record that this request creates: the same for every repetition. `index` is the position of the
        record in a batch, `user` the identity of the user. One round trip. Raises `InvalidRequest` if the key was used
        with another body before."""
        if not 0 < len(key) <= MAX_KEY_CHARS:
            raise InvalidRequest(HEADER, f"must have 1 to {MAX_KEY_CHARS} characters")
        name = hashlib.sha256(json.dumps([user, path, index, key]).encode()).hexdigest()
        digest = hashlib.sha256(body).digest()
        stored = await self._keys.store_once(name, digest + UUID(new_id()).bytes, KEPT_S)
        if stored[:_DIGEST] != digest:
            raise InvalidRequest(HEADER, "was used before with another body; a new request needs a new key")
        return str(UUID(bytes=stored[_DIGEST:]))
