"""The stubs of the layout record: see `layout`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_RAISE = load("layout_raise")
_FIELDS: Final = ("required", "version", "release")


@dataclass(frozen=True, slots=True)
class StoredLayout:
    """The layout record of one key prefix. `version` is None if it was never stored."""

    required: int
    version: int | None
    release: str

    @classmethod
    def from_reply(cls, reply: Sequence[bytes | None]) -> StoredLayout:
        """From the values of `required`, `version` and `release`."""
        required, version, release = reply
        return cls(int(required or 0), None if version is None else int(version), (release or b"").decode())


class LayoutScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def record(self) -> StoredLayout:
        return StoredLayout.from_reply(await self._pipeline.send("HMGET", self._keys.layout, *_FIELDS, repeatable=True))

    async def raise_to(self, *, required: int, version: int | None, release: str) -> StoredLayout:
        """Raises `required`, and `version` unless it is None; neither is ever lowered. Returns the record afterwards.
        `release` is the release that calls this."""
        arguments = self._args(required=required, version=version, release=release)
        return StoredLayout.from_reply(await self._pipeline.run(_RAISE, [], arguments))

    async def has_data(self) -> bool:
        """Whether an index of threads, assistants, crons or store items exists."""
        keys = self._keys
        indexes = (keys.threads, keys.assistants, keys.crons, keys.store_namespaces)
        found = await asyncio.gather(*(self._pipeline.send("EXISTS", index, repeatable=True) for index in indexes))
        return any(found)
