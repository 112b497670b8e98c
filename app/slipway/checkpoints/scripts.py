"""The script stubs of the trash: deleted threads whose checkpoints are not deleted yet."""

from __future__ import annotations

from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_FORGET = load("trash_remove")


class TrashScripts(ScriptStubs):
    """Reads and removes entries of the trash. One round trip each."""

    async def entries(self, first: int, limit: int) -> list[tuple[str, bytes]]:
        """Up to `limit` entries from position `first`: thread id and time of deletion in µs, the oldest first."""
        trash = self._keys.trash
        found = await self._pipeline.send("ZRANGE", trash, first, first + limit - 1, "WITHSCORES", repeatable=True)
        return [(name.decode(), deleted_us) for name, deleted_us in zip(found[::2], found[1::2], strict=True)]

    async def deleted_us_of(self, thread_id: str) -> bytes | None:
        """When a thread of this id was deleted, in µs; None if the trash has no entry for it."""
        deleted_us: bytes | None = await self._pipeline.send("ZSCORE", self._keys.trash, thread_id, repeatable=True)
        return deleted_us

    async def forget(self, thread_id: str, deleted_us: bytes) -> None:
        """Removes the entry, which makes the id usable again. Does nothing if another thread of this id was deleted
        since `deleted_us`."""
        await self._pipeline.run(_FORGET, [self._keys.trash], [thread_id, deleted_us])
