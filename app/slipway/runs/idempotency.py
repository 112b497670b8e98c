"""Idempotency keys: a request that creates something may be sent again, and creates it once.

A keyed request stores the digest of its body together with a random id, for whatever it creates; the creating scripts
return what has that id already. So a repetition finds the first one's thread or run, whatever was killed in between,
and the same key with another body is refused. The id is random: nobody can compute it from a key and take it first. A
key belongs to the caller who sent it. A run whose thread goes with it leaves its record and its log to be found for as
long.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final
from uuid import UUID

from slipway.errors import InvalidRequest
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import new_id

HEADER: Final = "Idempotency-Key"
LONGEST: Final = 255
KEPT_S: Final = 86_400

_DIGEST: Final = hashlib.sha256().digest_size


class Idempotency:
    """Keys of requests, each good for `KEPT_S`, for one caller and for one path."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._keys = pipeline, keys

    async def ident(self, key: str, caller: str | None, path: str, body: bytes, part: int = 0) -> str:
        """The id of the `part`-th thing that this request creates: the same for every repetition. `InvalidRequest` when
        the key came with another body before. One round trip."""
        if not 0 < len(key) <= LONGEST:
            raise InvalidRequest(HEADER, f"must have 1 to {LONGEST} characters")
        name = self._keys.idempotency(hashlib.sha256(json.dumps([caller, path, part, key]).encode()).hexdigest())
        digest = hashlib.sha256(body).digest()
        kept = self._pipeline.send("SET", name, digest + UUID(new_id()).bytes, "NX", "EX", KEPT_S, repeatable=True)
        held = self._pipeline.send("GET", name, repeatable=True)
        await kept
        stored: bytes = await held
        if stored[:_DIGEST] != digest:
            raise InvalidRequest(HEADER, "was used before with another body; a new request needs a new key")
        return str(UUID(bytes=stored[_DIGEST:]))
