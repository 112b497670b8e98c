"""The base of the read stubs: typed methods that each read keys of one kind of record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, Literal

from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline


class ReadStubs:
    """Reads on one pipeline, with the keys of one prefix."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._keys = pipeline, keys

    async def _hash(self, key: str) -> Fields:
        return fields_of(await self._pipeline.send("HGETALL", key, repeatable=True))

    async def _records(self, keys: Iterable[str], always: str) -> list[Fields | None]:
        """The records in the order of `keys`, None for each that does not exist; one round trip. `always` is a field
        that every record of the kind has."""
        replies = await asyncio.gather(*(self._pipeline.send("HGETALL", key, repeatable=True) for key in keys))
        records = map(fields_of, replies)
        return [fields if always in fields else None for fields in records]

    async def _text(self, key: str, field: str) -> str | None:
        value = await self._pipeline.send("HGET", key, field, repeatable=True)
        return None if value is None else str(value.decode())

    async def _ids(self, key: str, first: int, last: int, *, descending: bool = False) -> list[str]:
        """The members of a sorted set from position `first` to `last`, both included."""
        command = "ZREVRANGE" if descending else "ZRANGE"
        members = await self._pipeline.send(command, key, first, last, repeatable=True)
        return [member.decode() for member in members]

    async def _members(self, command: Literal["SSCAN", "ZSCAN"], key: str, page: int) -> AsyncIterator[list[str]]:
        """All members of a set or a sorted set, at most `page` at a time; one round trip for about as many. Members
        that are added or removed during the read may be missing, and any may come twice."""
        cursor: Any = 0
        while True:
            cursor, members = await self._pipeline.send(command, key, cursor, "COUNT", page, repeatable=True)
            names = [member.decode() for member in (members[::2] if command == "ZSCAN" else members)]
            for first in range(0, len(names), page):  # Redis returns a small key completely, whatever the COUNT
                yield names[first : first + page]
            if int(cursor) == 0:
                return
