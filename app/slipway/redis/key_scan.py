"""Finds keys of all shards by their names.

On one server a scan reads all keys of the database once, for all shards. On a cluster it reads the slot of each shard,
one after the other: a server that moves a slot does not make it miss a key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from slipway.redis.catalogue.declarations import Shard
from slipway.redis.catalogue.key_kinds import SHARDS
from slipway.redis.key_count import number_of_keys
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.scan_cursors import FIRST, next_cursor, split_cursor
from slipway.redis.shards import Shards

SCAN_COUNT: Final = 1000
"""The number of keys that one SCAN examines. Most of them are of other key kinds."""


@dataclass(frozen=True, slots=True)
class IdsInShard:
    """Ids of records or keys of one kind in one shard."""

    keys: Keys
    ids: list[str]


@dataclass(frozen=True, slots=True)
class ScannedPage:
    """What one command found, by shard, and the cursor with which the next page is read: None after the last one."""

    found: list[IdsInShard]
    cursor: str | None

    @property
    def ids(self) -> list[str]:
        return [each for found in self.found for each in found.ids]


class KeyScan:
    """Each page is one round trip."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        self._pipeline, self._shards = pipeline, shards

    async def number_of_keys(self) -> int:
        """How many keys all servers have, also those of other deployments."""
        return await number_of_keys(self._pipeline)

    async def all(self, kind: str, stored_as: str) -> AsyncIterator[ScannedPage]:
        """All keys of a kind whose names have one id. `stored_as` is their type in Redis. Some pages are empty."""
        cursor: str | None = FIRST
        while cursor is not None:
            page = await self.page(kind, stored_as, cursor)
            yield page
            cursor = page.cursor

    async def page(self, kind: str, stored_as: str, cursor: str) -> ScannedPage:
        """Those keys of a kind that are among the next `SCAN_COUNT` keys."""
        parts = self._parts(kind)
        part, position = split_cursor(cursor)
        pattern, at = parts[part]
        following, names = await self._pipeline.send(
            *("SCAN", position, "MATCH", pattern, "COUNT", SCAN_COUNT, "TYPE", stored_as), repeatable=True, at=at
        )
        found = self._by_shard(kind, [name.decode() for name in names])
        return ScannedPage(found, next_cursor(part, len(parts), following.decode()))

    def _parts(self, kind: str) -> list[tuple[str, str]]:
        """What is scanned one after the other: each is a pattern, and the prefix of a shard on the scanned server."""
        shards = _shards_of(self._shards, kind)
        if len(shards) == 1 or len(self._pipeline.servers) > 1:
            return [(keys.pattern(kind), keys.prefix) for keys in shards]
        return [(Keys(f"{self._shards.prefix}{{*}}").pattern(kind).replace(r"{\*}", "{*}"), shards[0].prefix)]

    def _by_shard(self, kind: str, names: Sequence[str]) -> list[IdsInShard]:
        by_prefix: dict[str, list[str]] = {}
        for name in names:
            by_prefix.setdefault(self._prefix_of(name), []).append(name)
        found = []
        for keys in _shards_of(self._shards, kind):
            ids = [keys.id_in(kind, name) for name in by_prefix.get(keys.prefix, ())]
            if existing := [each for each in ids if each is not None]:
                found.append(IdsInShard(keys, existing))
        return found

    def _prefix_of(self, name: str) -> str:
        """The prefix of the shard to which a key belongs."""
        prefix = self._shards.prefix
        return prefix + name.removeprefix(prefix).partition("}")[0] + "}" if self._shards.tagged else prefix


def _shards_of(shards: Shards, kind: str) -> Sequence[Keys]:
    """The shards that have keys of a kind."""
    shard = SHARDS[kind]
    return shards.threads if shard in (None, Shard.THREAD) else (shards.of_kind(shard),)
