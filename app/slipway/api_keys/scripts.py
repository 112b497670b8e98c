"""The script stubs of API keys. Each method takes one round trip."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.api_keys.key_text import KeyText
from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_CREATE = load("api_key_create")
_REVOKE = load("api_key_revoke")
_USED = load("api_key_used")
_LIST = load("api_key_list")
_ACTIVE = load("api_keys_active")


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """Some keys by their ids, the newest first, the time on the clock of Redis, and whether there are more."""

    now_us: int
    keys: list[tuple[str, Fields]]
    more: bool


@dataclass(frozen=True, slots=True)
class RevokedKey:
    """The fields of a key that is revoked. `changed` is False if it was revoked before."""

    fields: Fields
    changed: bool


class ApiKeyScripts(ScriptStubs):
    """Calls the scripts of API keys."""

    async def create(
        self,
        key: KeyText,
        *,
        name: str,
        scopes: str,
        owner: str | None,
        created_by: str,
        lasts_us: int | None,
    ) -> int | None:
        """Stores a key with its `scopes` as JSON. Returns its creation time in µs; None if the id is taken."""
        args = self._args(
            id=key.key_id,
            digest=key.digest,
            last_characters=key.last_characters,
            name=name,
            scopes=scopes,
            owner=owner,
            created_by=created_by,
            lasts_us=lasts_us,
        )
        status, *created_us = await self._pipeline.run(_CREATE, [], args)
        return int(created_us[0]) if status == b"ok" else None

    async def revoke(self, key_id: str, by: str) -> RevokedKey | None:
        """None if there is no such key."""
        status, *rest = await self._pipeline.run(_REVOKE, [], self._args(id=key_id, by=by))
        return None if status == b"missing" else RevokedKey(fields_of(rest[1]), rest[0] == 1)

    async def used(self, key_id: str) -> None:
        """Stores that a key was used now."""
        await self._pipeline.run(_USED, [], self._args(id=key_id))

    async def page(self, limit: int, after: str | None) -> StoredKeys | None:
        """Up to `limit` keys, the newest first. None if there is no key `after`."""
        reply = await self._pipeline.run(_LIST, [], self._args(limit=limit, after=after))
        if reply[0] == b"unknown":
            return None
        now_us, keys, more = reply
        return StoredKeys(int(now_us), [(key_id.decode(), fields_of(flat)) for key_id, flat in keys], more == 1)

    async def active(self) -> int:
        """How many keys are neither revoked nor expired."""
        return int(await self._pipeline.run(_ACTIVE, [], [self._keys.prefix]))

    async def read(self, key_id: str) -> Fields | None:
        """The fields of a key; None if there is none."""
        fields = fields_of(await self._pipeline.send("HGETALL", self._keys.api_key(key_id), repeatable=True))
        return fields or None

    @property
    def changes_channel(self) -> str:
        """The channel on which the id of each revoked key is published."""
        return self._keys.api_key_changes
