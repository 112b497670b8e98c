"""Idempotency keys: a client can repeat a request that creates a record, and the record is created once.

The first request with a key stores the digest of its body and a random id for the new record. A repeated request with
the same key and body gets the same id. If a record with that id exists, the script that creates records returns it
instead of creating another one. This also works if a process was killed between storing the key and creating the
record. A request with the same key and another body is rejected.

The id is random, so that another client cannot compute it from a key and create a record with that id first. A key is
valid only for the user who sent it. The record and the log of a run with a temporary thread are retained as long as its
key is valid, so that a repeated request finds them.
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
VALID_S: Final = 86_400

_DIGEST: Final = hashlib.sha256().digest_size


class Idempotency:
    """Idempotency keys. Each is valid for `VALID_S` seconds, for one user and one path."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._keys = IdempotencyKeys(pipeline, keys)

    async def record_id(self, key: str, user: str | None, path: str, body: bytes, index: int = 0) -> str:
        """The id of the record that this request creates: the same id for every repetition of the request. `index` is
        the position of the record in a batch, `user` the identity of the user. One round trip. Raises `InvalidRequest`
        if the key was used with another body before."""
        if not 0 < len(key) <= MAX_KEY_CHARS:
            raise InvalidRequest(HEADER, f"must have 1 to {MAX_KEY_CHARS} characters")
        name = hashlib.sha256(json.dumps([user, path, index, key]).encode()).hexdigest()
        digest = hashlib.sha256(body).digest()
        stored = await self._keys.store_once(name, digest + UUID(new_id()).bytes, VALID_S)
        if stored[:_DIGEST] != digest:
            raise InvalidRequest(HEADER, "was used before with another body; a new request needs a new key")
        return str(UUID(bytes=stored[_DIGEST:]))
