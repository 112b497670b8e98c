"""The record of the encryption keys that a deployment uses, by name. It shows which keys a process needs, although
no single value does."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.serialization.encryption import Encryption
from slipway.serialization.places import DIGEST_KEY

_KEY: Final = "key:"
_DIGEST_KEY: Final = "digest_key"
_DIGESTS: Final = "digests"
_KEYED: Final = "keyed"
_POSITION: Final = "position"
_DIGEST_KEY_BYTES: Final = 32


class KeyRecord:
    """The stubs of the record. One round trip each, unless said otherwise."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._key = pipeline, keys.encryption

    async def names(self) -> list[str]:
        """The names of the keys with which values may be encrypted. Empty if none ever was."""
        fields = await self._pipeline.send("HKEYS", self._key, repeatable=True)
        return sorted(name.decode().removeprefix(_KEY) for name in fields if name.startswith(_KEY.encode()))

    async def digest_key(self, encryption: Encryption) -> bytes:
        """The key of keyed digests, which is created by the first process that needs it. Raises `StoredDataError` if
        none of the keys decrypts it."""
        new = encryption.encrypt(os.urandom(_DIGEST_KEY_BYTES), DIGEST_KEY)
        _, stored = await asyncio.gather(
            self._pipeline.send("HSETNX", self._key, _DIGEST_KEY, new, repeatable=True),
            self._pipeline.send("HGET", self._key, _DIGEST_KEY, repeatable=True),
        )
        return encryption.decrypt(stored, DIGEST_KEY)

    async def known_digest_key(self, encryption: Encryption) -> bytes | None:
        """The key of keyed digests; None if no process has created it. Raises `StoredDataError` if none of the keys
        decrypts it."""
        stored = await self._pipeline.send("HGET", self._key, _DIGEST_KEY, repeatable=True)
        return None if stored is None else encryption.decrypt(stored, DIGEST_KEY)

    async def add(self, name: str) -> None:
        """From now on values may be encrypted with the key of this name."""
        await self._pipeline.send("HSETNX", self._key, _KEY + name, int(time.time() * 1000), repeatable=True)

    async def digests_are_keyed(self) -> bool:
        """Whether every index term of values is a keyed digest."""
        return bool(await self._pipeline.send("HGET", self._key, _DIGESTS, repeatable=True) == _KEYED.encode())

    async def set_digests_keyed(self) -> None:
        await self._pipeline.send("HSET", self._key, _DIGESTS, _KEYED, repeatable=True)

    async def forget(self, names: list[str]) -> None:
        """No value is encrypted with these keys any more."""
        if names:
            await self._pipeline.send("HDEL", self._key, *(_KEY + name for name in names), repeatable=True)

    async def position(self, name: str) -> str:
        """The cursor at which an interrupted rotation to the key of this name continues; `0` for its begin."""
        stored = await self._pipeline.send("HGET", self._key, _POSITION, repeatable=True)
        key, _, cursor = (stored or b"").decode().partition(" ")
        return cursor if key == name and cursor else "0"

    async def set_position(self, name: str, cursor: str) -> None:
        """A cursor of `0` ends the rotation."""
        if cursor == "0":
            await self._pipeline.send("HDEL", self._key, _POSITION, repeatable=True)
        else:
            await self._pipeline.send("HSET", self._key, _POSITION, f"{name} {cursor}", repeatable=True)
