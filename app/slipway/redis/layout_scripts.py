"""The stubs of the layout record: see `layout`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs
from slipway.redis.shards import Shards

_RAISE = load("layout_raise")
_FIELDS: Final = ("required", "version", "release", "shards")


@dataclass(frozen=True, slots=True)
class StoredLayout:
    """The layout record of one key prefix. `version` is None if it was never stored. Releases that stored no number of
    `shards` had one."""

    required: int
    version: int | None
    release: str
    shards: int = 1

    @classmethod
    def from_reply(cls, reply: Sequence[bytes | None]) -> StoredLayout:
        """From the values of `required`, `version`, `release` and `shards`."""
        required, version, release, shards = reply
        return cls(
            int(required or 0), None if version is None else int(version), (release or b"").decode(), int(shards or 1)
        )


class LayoutScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def record(self) -> StoredLayout:
        return StoredLayout.from_reply(await self._pipeline.send("HMGET", self._keys.layout, *_FIELDS, repeatable=True))

    async def raise_to(self, *, required: int, version: int | None, release: str, shards: int) -> StoredLayout:
        """Raises `required`, and `version` unless it is None; neither is ever lowered. Stores the number of shards if
        there is no version yet. Returns the record afterwards. `release` is the release that calls this."""
        arguments = self._args(required=required, version=version, release=release, shards=shards)
        return StoredLayout.from_reply(await self._pipeline.run(_RAISE, [self._keys.layout], arguments))

    async def has_data(self, shards: Shards) -> bool:
        """Whether an index of threads, assistants, crons or store items exists."""
        indexes = [keys.threads for keys in shards.threads]
        indexes.append(shards.assistants.assistants)
        indexes.append(shards.crons.crons)
        indexes.append(shards.store.store_namespaces)
        found = await asyncio.gather(*(self._pipeline.send("EXISTS", index, repeatable=True) for index in indexes))
        return any(found)
