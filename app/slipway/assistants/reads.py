"""The read stubs of assistants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from slipway.access.filtered_reads import FilteredMetadata, read_members
from slipway.access.filters import AccessFilter
from slipway.assistants.scripts import RECORD_FIELDS, AssistantFields, content_of
from slipway.indexes.terms import metadata_terms
from slipway.redis.read_stubs import ReadStubs

_NAMES: Final = 2000
"""Names that are read in one round trip."""

_ID_BYTES: Final = 37
"""The bytes of an id, and of the NUL before it."""

_VERSION_PREFIX: Final = "v:"
"""The prefix of the fields that hold the content of one version each."""


class AssistantReads(ReadStubs):
    """One round trip each."""

    async def record(self, assistant_id: str) -> AssistantFields | None:
        """None for an unknown assistant."""
        return (await self.records([assistant_id]))[0]

    async def records(self, assistant_ids: Sequence[str]) -> list[AssistantFields | None]:
        """In the order of the ids, None for each unknown assistant."""
        keys = [self._keys.assistant(assistant_id) for assistant_id in assistant_ids]
        records: list[AssistantFields] = await asyncio.gather(
            *(self._pipeline.send("HMGET", key, *RECORD_FIELDS, repeatable=True) for key in keys)
        )
        return [record if record[0] is not None else None for record in records]

    async def versions(self, assistant_id: str) -> list[AssistantFields]:
        """The record as it is with each version, newest first. Empty for an unknown assistant."""
        fields = await self._hash(self._keys.assistant(assistant_id))
        prefix = len(_VERSION_PREFIX)
        numbers = sorted((int(name[prefix:]) for name in fields if name.startswith(_VERSION_PREFIX)), reverse=True)
        times = (fields.get("created_us"), fields.get("updated_us"))
        return [(*times, b"%d" % number, fields[f"{_VERSION_PREFIX}{number}"]) for number in numbers]

    async def filtered(self, assistant_id: str, access_filter: AccessFilter) -> FilteredMetadata | None:
        """None for an unknown assistant."""
        return await read_members(self._pipeline, self._keys.assistant(assistant_id), access_filter)

    async def index_records(self, assistant_ids: Sequence[str]) -> list[tuple[str, str, str]]:
        """What `IndexCheck` compares: id, `updated_us` and index terms of each that exists."""
        records = zip(assistant_ids, await self.records(assistant_ids), strict=True)
        return [
            (assistant_id, fields[1].decode(), metadata_terms(content_of(fields[3])["metadata"]))
            for assistant_id, fields in records
            if fields is not None and fields[1] is not None and fields[3] is not None
        ]

    async def count(self) -> int:
        """How many assistants clients have created."""
        return int(await self._pipeline.send("ZCARD", self._keys.assistants, repeatable=True))

    async def with_name(self, part: str) -> AsyncIterator[list[str]]:
        """Pages of the assistants whose name has this part, in any case, in the order of names. One round trip for
        `_NAMES` names. Most names are ASCII and are compared as bytes, which takes a tenth of the time."""
        wanted, first = part.casefold(), b"-"
        raw = wanted.encode()
        while True:
            members = await self._pipeline.send(
                *("ZRANGEBYLEX", self._keys.assistants_by("name"), first, "+", "LIMIT", 0, _NAMES), repeatable=True
            )
            likely = [each for each in members if raw in each[:-_ID_BYTES].lower() or not each.isascii()]
            pairs = (each.decode().rpartition("\0") for each in likely)
            yield [assistant_id for name, _, assistant_id in pairs if wanted in name.casefold()]
            if len(members) < _NAMES:
                return
            first = b"(" + members[-1]
