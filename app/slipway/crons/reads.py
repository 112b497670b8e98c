"""The read stubs of crons."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slipway.access.filtered_reads import FilteredMetadata, read_members
from slipway.access.filters import AccessFilter
from slipway.crons.record import stored_terms
from slipway.redis.hash_fields import Fields
from slipway.redis.read_stubs import ReadStubs


@dataclass(frozen=True, slots=True)
class CronThread:
    """A cron and its thread. `incarnation` is the cron's, `thread_created_us` the thread's."""

    cron_id: str
    incarnation: str
    thread_id: str
    thread_created_us: str


class CronReads(ReadStubs):
    """One round trip each."""

    async def record(self, cron_id: str) -> Fields | None:
        """None for an unknown cron."""
        return (await self.records([cron_id]))[0]

    async def records(self, cron_ids: Iterable[str]) -> list[Fields | None]:
        """In the order of the ids, None for each unknown cron."""
        return await self._records(map(self._keys.cron, cron_ids), "cron_id")

    async def filtered(self, cron_id: str, access_filter: AccessFilter) -> FilteredMetadata | None:
        """None for an unknown cron."""
        return await read_members(self._pipeline, self._keys.cron(cron_id), access_filter)

    async def metadata(self, cron_id: str) -> bytes | None:
        """The metadata as JSON; None for an unknown cron."""
        metadata: bytes | None = await self._pipeline.send(
            "HGET", self._keys.cron(cron_id), "metadata", repeatable=True
        )
        return metadata

    async def threads(self, cron_ids: Iterable[str]) -> list[CronThread]:
        """The threads of those of these crons that exist and have one."""
        names = ("cron_id", "created_us", "thread_id", "thread_created_us")
        found = await asyncio.gather(
            *(self._pipeline.send("HMGET", self._keys.cron(each), *names, repeatable=True) for each in cron_ids)
        )
        return [CronThread(*(value.decode() for value in values)) for values in found if None not in values]

    async def index_records(self, cron_ids: Sequence[str]) -> list[tuple[str, str, str]]:
        """What `IndexCheck` compares: id, `updated_us` and index terms of each that exists."""
        return [
            (cron_id, fields["updated_us"].decode(), stored_terms(fields))
            for cron_id, fields in zip(cron_ids, await self.records(cron_ids), strict=True)
            if fields is not None
        ]
