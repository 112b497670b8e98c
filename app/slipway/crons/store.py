"""Creates, changes, finds and deletes crons in Redis."""

from __future__ import annotations

from typing import Final

import orjson

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.clock import Clock
from slipway.crons.due_time_scripts import DueTimeScripts
from slipway.crons.reads import CronReads
from slipway.crons.record import OPTIONAL, Cron, NewCron, cron_from
from slipway.crons.scripts import CronScripts, SavedCron
from slipway.crons.search import CronQuery, CronSearch
from slipway.errors import NotFound
from slipway.indexes.search import DEFAULT_MAX_CHECKS, Count, Found
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.serialization.json_encoding import json_members
from slipway.threads.scripts import ThreadScripts

PAGE: Final = 200
"""Crons that are read at a time, to delete them."""


class CronStore:
    def __init__(
        self, pipeline: Pipeline, shards: Shards, clock: Clock, *, max_checks: int = DEFAULT_MAX_CHECKS
    ) -> None:
        keys = shards.crons
        self._due_times = DueTimeScripts(pipeline, shards)
        self._reads, self._scripts, self._clock = CronReads(pipeline, keys), CronScripts(pipeline, keys), clock
        self._threads, self._search = ThreadScripts(pipeline, shards), CronSearch(pipeline, keys, max_checks=max_checks)

    async def create(self, cron_id: str, new: NewCron, now_ms: int) -> Cron:
        """Creates a cron, or returns the existing one of this id unchanged. Raises `NotFound` when its thread does not
        exist or is the temporary thread of a run. A cron is deleted with its thread."""
        incarnation = None
        if new.thread_id is not None:
            incarnation = await self._threads.expect_crons(new.thread_id)
            if incarnation is None:
                raise NotFound("thread", new.thread_id)
        next_ms = new.schedule.after(now_ms) if new.enabled else None
        saved = await self._scripts.save(
            cron_id,
            new.fields(cron_id, incarnation),
            json_members(new.metadata),
            new.terms(),
            create=True,
            reschedule=True,
            next_ms=next_ms,
        )
        return cron_from(_found(cron_id, saved).fields, now_ms)

    async def change(self, cron_id: str, new: NewCron, now_ms: int, *, reschedule: bool) -> Cron:
        """Replaces the cron. With `reschedule` its next due time is computed again, and after the change no run of its
        earlier due time is created. Raises `NotFound`."""
        changes = new.fields(cron_id)
        next_ms = new.schedule.after(now_ms) if new.enabled else None
        removed_fields = [name for name in OPTIONAL if name not in changes]
        result = await self._scripts.save(
            cron_id,
            changes,
            json_members(new.metadata),
            new.terms(),
            create=False,
            removed_fields=removed_fields,
            reschedule=reschedule,
            next_ms=next_ms,
        )
        saved = _found(cron_id, result)
        cron = cron_from(saved.fields, now_ms)
        if saved.passed_ms is not None:
            await self._due_times.revoke(cron_id, cron.thread_id, cron.incarnation, saved.passed_ms)
        return cron

    async def get(self, cron_id: str, access_filter: AccessFilter = MATCH_ALL) -> Cron:
        """Raises `NotFound` when the cron does not exist or does not match the access filter. The two cases cost the
        same reads, so that a client cannot tell them apart."""
        if access_filter and not await self._matches(cron_id, access_filter):
            raise NotFound("cron", cron_id)
        fields = await self._reads.record(cron_id)
        if fields is None:
            raise NotFound("cron", cron_id)
        return cron_from(fields, self._now_ms())

    async def _matches(self, cron_id: str, access_filter: AccessFilter) -> bool:
        stored = await self._reads.filtered(cron_id, access_filter)
        if stored is None:
            return False
        if stored.up_to_date:
            return access_filter.matches(stored.metadata)
        metadata = await self._reads.metadata(cron_id)  # stored by an earlier release
        return metadata is not None and access_filter.matches(orjson.loads(metadata))

    async def delete(self, cron_id: str) -> None:
        """Deletes the cron; its runs stay, and none is created afterwards. Raises `NotFound`."""
        if not await self._delete(cron_id):
            raise NotFound("cron", cron_id)

    async def _delete(self, cron_id: str) -> bool:
        """One round trip; two if the cron is due, because a worker may have read it already."""
        deleted = await self._scripts.delete(cron_id)
        if deleted is not None and deleted.due_ms is not None:
            await self._due_times.revoke(cron_id, deleted.thread_id, deleted.incarnation, deleted.due_ms)
        return deleted is not None

    async def delete_for_assistant(self, assistant_id: str) -> None:
        while found := (await self.search(CronQuery(assistant_id=assistant_id), limit=PAGE)).records:
            for cron in found:
                await self._delete(cron.cron_id)

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    async def search(
        self, query: CronQuery, *, limit: int, offset: int = 0, sort_by: str = "created_at", descending: bool = True
    ) -> Found[Cron]:
        """`limit` matching crons from `offset` on."""
        return await self._search.page(
            query, self._now_ms(), limit=limit, offset=offset, sort_by=sort_by, descending=descending
        )

    async def count(self, query: CronQuery) -> Count:
        """How many crons match."""
        return await self._search.count(query, self._now_ms())


def _found(cron_id: str, saved: SavedCron | None) -> SavedCron:
    if saved is None:
        raise NotFound("cron", cron_id)
    return saved
