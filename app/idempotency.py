"""Idempotency keys: a request that creates something may be sent again, and creates it once.

What a keyed request creates gets an id that follows from key and body, and the creating scripts return what has that id
already. So a repetition finds the first one's thread or run, whatever was killed in between. Beside that only the
digest of the first body is kept, to refuse the same key with another body. A run whose thread goes with it leaves its
record and its log to be found for as long.
"""

from __future__ import annotations

import hashlib
from typing import Final
from uuid import UUID, uuid5

from app.errors import InvalidRequest
from app.keyspace.names import Keys
from app.redis.wire import Wire

HEADER: Final = "Idempotency-Key"
LONGEST: Final = 255
KEPT_S: Final = 86_400

_NAMESPACE: Final = UUID("9a3f0f5e-5a0b-4a53-9c0e-0d7f3f4b1c55")


class Idempotency:
    """Keys of requests, each good for `KEPT_S` and for one path."""

    def __init__(self, wire: Wire, keys: Keys) -> None:
        self._wire, self._keys = wire, keys

    async def ident(self, key: str, path: str, body: bytes) -> str:
        """The id of whatever this request creates: the same for every repetition. `InvalidRequest` when the key came
        with another body before."""
        if not 0 < len(key) <= LONGEST:
            raise InvalidRequest(HEADER, f"must have 1 to {LONGEST} characters")
        scope = f"{path}\0{key}"
        name = self._keys.idempotency(hashlib.sha256(scope.encode()).hexdigest())
        digest = hashlib.sha256(body).digest()
        kept = self._wire.send("SET", name, digest, "NX", "EX", KEPT_S, again=True)
        held = self._wire.send("GET", name, again=True)
        await kept
        if await held != digest:
            raise InvalidRequest(HEADER, "was used before with another body; a new request needs a new key")
        return str(uuid5(_NAMESPACE, f"{scope}\0{digest.hex()}"))
