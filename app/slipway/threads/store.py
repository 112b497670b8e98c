"""Creates, reads, changes, copies and deletes threads in Redis."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any

from slipway import failpoints
from slipway.access.filtered_reads import members_of
from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.trash import Trash
from slipway.errors import Conflict, NotFound
from slipway.indexes.search import DEFAULT_MAX_CHECKS, Count, Found
from slipway.indexes.terms import value_terms
from slipway.protocol_types import Strategy
from slipway.redaction.redact import redact_json
from slipway.redis.hash_fields import Fields
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.runs.record import new_id
from slipway.serialization.at_rest import sealed
from slipway.serialization.json_encoding import dumps, json_members
from slipway.serialization.places import THREAD
from slipway.threads.reads import FilteredThread, ThreadReads
from slipway.threads.record import Thread, thread_from
from slipway.threads.scripts import SourceNotFound, TargetInUse, ThreadCreated, ThreadIdInUse, ThreadScripts
from slipway.threads.search import ThreadQuery, ThreadSearch
from slipway.threads.ttl import ThreadTtl


class ThreadStore:
    """The stored threads. `ttl` is the default time to live of new threads. `event_ttl_s` is how long the thread's log
    mentions a state write. `max_checks` bounds a search: see `IndexSearch`."""

    def __init__(
        self,
        pipeline: Pipeline,
        shards: Shards,
        checkpointer: BaseCheckpointer,
        trash: Trash,
        *,
        ttl: ThreadTtl | None = None,
        event_ttl_s: int = 0,
        max_checks: int = DEFAULT_MAX_CHECKS,
    ) -> None:
        self._reads, self._checkpointer = ThreadReads(pipeline, shards.records), checkpointer
        self._shards = shards
        self._trash, self._search = trash, ThreadSearch(pipeline, shards, max_checks=max_checks)
        self._scripts, self._ttl, self._event_ttl_s = ThreadScripts(pipeline, shards), ttl, event_ttl_s

    async def create_or_get(
        self,
        thread_id: str,
        metadata: dict[str, Any],
        *,
        exist_ok: bool = False,
        token: str | None = None,
        ttl: ThreadTtl | None = None,
        access_filter: AccessFilter = MATCH_ALL,
    ) -> tuple[Thread, bool]:
        """Creates a thread; returns it and True. If one of this id exists, returns that thread unchanged and False when
        it matches the access filter and either `exist_ok` is set or it was created with the same `token`. Otherwise
        raises `Conflict`."""
        token, ttl = token or new_id(), ttl or self._ttl
        names, stored_ttl = members_of(access_filter), ttl.stored() if ttl else None
        while True:
            result: ThreadCreated | ThreadIdInUse = await self._trash.create_after_emptying(
                thread_id,
                lambda: self._scripts.create(thread_id, json_members(metadata), token, stored_ttl, members=names),
            )
            if isinstance(result, ThreadCreated):
                return thread_from(thread_id, result.fields), True
            if not ((result.by_same_request or exist_ok) and access_filter.matches(result.metadata)):
                raise Conflict(f"thread {thread_id} exists already")
            with suppress(NotFound):  # deleted in between: create it again
                return await self.get(thread_id), False

    async def check_access(self, thread_id: str, access_filter: AccessFilter, *, may_be_new: bool = False) -> None:
        """Raises `NotFound` unless the thread matches the access filter. With `may_be_new` it need not exist. Reads
        only the metadata that the filter has conditions on; a filter without conditions costs no read."""
        if not access_filter:
            return
        thread = await self._reads.filtered(thread_id, access_filter)
        if not (may_be_new if thread is None else access_filter.matches(thread.metadata)):
            raise NotFound("thread", thread_id)

    async def has_access(self, thread_id: str, access_filter: AccessFilter) -> bool:
        """Whether `check_access` raises nothing."""
        try:
            await self.check_access(thread_id, access_filter)
        except NotFound:
            return False
        return True

    async def get(self, thread_id: str) -> Thread:
        """Raises `NotFound`."""
        return self._found(thread_id, await self._reads.record(thread_id))

    async def status(self, thread_id: str, access_filter: AccessFilter = MATCH_ALL) -> str | None:
        """The status of the thread; None when it does not exist. Raises `NotFound` when it does not match the access
        filter. One read of a few fields."""
        thread = await self._filtered(thread_id, access_filter)
        return None if thread is None else thread.status

    async def created_us(self, thread_id: str, access_filter: AccessFilter = MATCH_ALL) -> int | None:
        """When the thread was created, in µs since the epoch; None when it does not exist. Raises `NotFound` when it
        does not match the access filter."""
        thread = await self._filtered(thread_id, access_filter)
        return None if thread is None else thread.created_us

    async def _filtered(self, thread_id: str, access_filter: AccessFilter) -> FilteredThread | None:
        thread = await self._reads.filtered(thread_id, access_filter)
        if thread is not None and not access_filter.matches(thread.metadata):
            raise NotFound("thread", thread_id)
        return thread

    async def active_run(self, thread_id: str) -> str | None:
        """None if no run executes on the thread now, or if the thread does not exist."""
        return await self._reads.active_run(thread_id)

    async def patch(self, thread_id: str, metadata: dict[str, Any], ttl: ThreadTtl | None = None) -> Thread:
        """Merges metadata member by member, atomically. With `ttl` the time to live starts again from now. Raises
        `NotFound`."""
        stored_ttl = ttl.stored() if ttl else None
        fields = await self._scripts.patch_metadata(thread_id, json_members(metadata), ttl=stored_ttl)
        return self._found(thread_id, fields)

    async def set_state(
        self,
        thread_id: str,
        *,
        status: str,
        values: dict[str, Any] | None,
        interrupts: dict[str, Any],
        checkpoint_id: str | None = None,
        incarnation: str | None = None,
    ) -> Thread:
        """Stores the values, interrupts and status of the thread after a state write that created `checkpoint_id`.
        Raises `NotFound` when the thread was not created at `incarnation`."""
        text = dumps(values)
        fields = await self._scripts.set_state(
            thread_id,
            values=sealed(redact_json(text), THREAD),
            value_terms=value_terms(values, text),
            interrupts=sealed(redact_json(dumps(interrupts)), THREAD),
            status=status,
            checkpoint_id=checkpoint_id,
            event_ttl_s=self._event_ttl_s,
            incarnation=incarnation,
        )
        return self._found(thread_id, fields)

    @staticmethod
    def _found(thread_id: str, fields: Fields | None) -> Thread:
        if fields is None:
            raise NotFound("thread", thread_id)
        return thread_from(thread_id, fields)

    async def copy(self, source: str, thread_id: str, *, token: str, metadata: dict[str, Any] | None = None) -> Thread:
        """Creates a thread with the record and all checkpoints of `source`, without its runs. `metadata` replaces that
        of the source. Raises `NotFound` when the source does not exist or is deleted during the copy, and leaves no
        new thread then. Raises `Conflict` when a thread of this id exists that another request (`token`) created,
        or if the two ids are not in one shard (`Shards.id_beside`)."""
        self._shards.check_copy(source, thread_id)
        ttl = self._ttl.stored() if self._ttl else None
        stored_metadata = None if metadata is None else json_members(metadata)
        result: ThreadCreated | SourceNotFound | TargetInUse = await self._trash.create_after_emptying(
            thread_id, lambda: self._scripts.copy(source, thread_id, token, ttl, stored_metadata)
        )
        match result:
            case SourceNotFound():
                raise NotFound("thread", source)
            case TargetInUse():
                raise Conflict(f"thread {thread_id} exists already")
            case ThreadCreated():
                return await self._copy_checkpoints(source, thread_id, result)

    async def _copy_checkpoints(self, source: str, thread_id: str, created: ThreadCreated) -> Thread:
        """Completes the copy. Returns the new thread."""
        thread = thread_from(thread_id, created.fields)
        if created.copied_incarnation is None:  # the same request, sent earlier, completed the copy
            return thread
        try:
            with suppress(Conflict):  # the same request, sent earlier, is copying now
                incarnations = created.copied_incarnation, thread.incarnation
                await self._checkpointer.acopy_thread(source, thread_id, incarnations)
        except NotFound:
            await self.delete(thread_id, thread.incarnation)
            raise
        return thread

    async def prune(self, thread_ids: Collection[str], strategy: Strategy) -> int:
        """Deletes threads, or all their checkpoints but the latest of each namespace. Returns the number of threads for
        which it did so. Unknown threads are skipped; with `keep_latest` busy ones are skipped too."""
        pruned = 0
        for thread_id in dict.fromkeys(thread_ids):
            with suppress(NotFound):
                if strategy == "delete":
                    await self.delete(thread_id)
                    pruned += 1
                elif (incarnation := await self._reads.incarnation(thread_id)) is not None:
                    pruned += await self._checkpointer.prune_thread(thread_id, incarnation)
        return pruned

    async def storage(self, thread_id: str) -> dict[str, Any]:
        """The bytes that the thread's checkpoints take, by purpose. Raises `NotFound`."""
        if await self._reads.incarnation(thread_id) is None:
            raise NotFound("thread", thread_id)
        stored = await self._checkpointer.storage(thread_id)
        by_channel = {name: {"count": values.count, "bytes": values.size} for name, values in stored.channels.items()}
        value_bytes = sum(values.size for values in stored.channels.values())
        return {
            "thread_id": thread_id,
            "total_bytes": stored.checkpoints.size + value_bytes + stored.writes.size,
            "checkpoints": {"count": stored.checkpoints.count, "bytes": stored.checkpoints.size},
            "channel_values": {
                "count": sum(values.count for values in stored.channels.values()),
                "bytes": value_bytes,
                "by_channel": by_channel,
            },
            "pending_writes": {"count": stored.writes.count, "bytes": stored.writes.size},
        }

    async def delete(self, thread_id: str, incarnation: str | None = None) -> None:
        """Deletes the thread with its runs, logs, crons and checkpoints. A running attempt is fenced and stopped.
        Raises `NotFound` when the thread does not exist or was not created at `incarnation`; then checkpoints that were
        left under this id are deleted.

        The thread and its runs are deleted first, by one script. If the process dies before it has deleted the crons
        and checkpoints, duties of workers delete them."""
        deleted = await self._scripts.delete(thread_id, incarnation)
        if deleted is None:
            await self._checkpointer.remove_leftovers(thread_id)
            raise NotFound("thread", thread_id)
        failpoints.reach("thread_deleted")
        if deleted.has_crons:
            await self._scripts.delete_crons([(thread_id, deleted.incarnation)])
        await self._trash.remove(thread_id, deleted.deleted_us)

    async def search(
        self,
        query: ThreadQuery,
        *,
        limit: int = 10,
        offset: int = 0,
        sort_by: str = "updated_at",
        sort_order: str = "desc",
    ) -> Found[Thread]:
        """A page of the matching threads: see `ThreadSearch.page`."""
        return await self._search.page(
            query, limit=limit, offset=offset, sort_by=sort_by, descending=sort_order == "desc"
        )

    async def count(self, query: ThreadQuery) -> Count:
        """How many threads match: see `ThreadSearch.count`."""
        return await self._search.count(query)
