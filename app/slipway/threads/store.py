"""Threads: conversations or cases, the units that own checkpoints and runs."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any

from slipway.access.filtered_reads import filtered_fields, members_of
from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.checkpoints.thread_saver import ThreadSaver
from slipway.checkpoints.trash import Trash
from slipway.errors import Conflict, NotFound
from slipway.protocol_types import Strategy
from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import new_id
from slipway.serialization.json_encoding import dumps, json_members
from slipway.threads.reads import ThreadReads
from slipway.threads.record import Thread, thread_from
from slipway.threads.scripts import ThreadScripts
from slipway.threads.search import ThreadQuery, ThreadSearch
from slipway.threads.ttl import ThreadTtl


class ThreadStore:
    """Threads in Redis. Deleting one removes its runs, logs and checkpoints. `ttl` is how long new ones live that say
    nothing else."""

    def __init__(
        self,
        pipeline: Pipeline,
        keys: Keys,
        checkpointer: ThreadSaver,
        trash: Trash,
        *,
        ttl: ThreadTtl | None = None,
        event_ttl_s: int = 0,
    ) -> None:
        self._reads, self._checkpointer = ThreadReads(pipeline, keys), checkpointer
        self._trash, self._search = trash, ThreadSearch(pipeline, keys)
        self._scripts, self._ttl, self._event_ttl_s = ThreadScripts(pipeline, keys), ttl, event_ttl_s

    async def create(
        self,
        thread_id: str,
        metadata: dict[str, Any],
        *,
        exist_ok: bool = False,
        token: str | None = None,
        ttl: ThreadTtl | None = None,
        only: AccessFilter = MATCH_ALL,
    ) -> Thread:
        """A new thread; the one that exists, untouched, if it is among `only` those and the same `token` made it or
        `exist_ok` is set; else `Conflict`."""
        thread, _ = await self.make(thread_id, metadata, exist_ok=exist_ok, token=token, ttl=ttl, only=only)
        return thread

    async def make(
        self,
        thread_id: str,
        metadata: dict[str, Any],
        *,
        exist_ok: bool = False,
        token: str | None = None,
        ttl: ThreadTtl | None = None,
        only: AccessFilter = MATCH_ALL,
    ) -> tuple[Thread, bool]:
        """As `create`, and whether the thread is new."""
        token, ttl = token or new_id(), ttl or self._ttl
        names, stored = members_of(only), ttl.stored() if ttl else None
        while True:
            word, held = await self._trash.emptied_for(
                thread_id,
                lambda: self._scripts.create(thread_id, json_members(metadata), token, stored, members=names),
            )
            if word == "ok":
                return thread_from(thread_id, fields_of(held)), True
            existing = filtered_fields(held, 1, names)
            mine = existing.plain[0] == token.encode()
            if not ((mine or exist_ok) and only.matches(existing.metadata)):
                raise Conflict(f"thread {thread_id} exists already")
            with suppress(NotFound):  # deleted meanwhile: then it can be made
                return await self.get(thread_id), False

    async def check(self, thread_id: str, only: AccessFilter, *, may_be_new: bool = False) -> None:
        """`NotFound` unless the thread is among `only` those. Reads nothing where those are all, and never more than
        the metadata that `only` looks at. One that `may_be_new` need not exist."""
        if not only:
            return
        held = await self._reads.filtered(thread_id, only, "created_us")
        exists = held.plain[0] is not None
        if not (only.matches(held.metadata) if exists else may_be_new):
            raise NotFound("thread", thread_id)

    async def get(self, thread_id: str) -> Thread:
        """The thread, or `NotFound`."""
        held = await self._reads.record(thread_id)
        if "created_us" not in held:
            raise NotFound("thread", thread_id)
        return thread_from(thread_id, held)

    async def status(self, thread_id: str, only: AccessFilter = MATCH_ALL) -> str | None:
        """How the thread stands; None when there is none. `NotFound` for one that is not among `only` those. One read
        of a few fields."""
        held = await self._reads.filtered(thread_id, only, "status")
        (status,) = held.plain
        if status is not None and not only.matches(held.metadata):
            raise NotFound("thread", thread_id)
        return None if status is None else status.decode()

    async def created_us(self, thread_id: str, only: AccessFilter = MATCH_ALL) -> int | None:
        """When the thread was made, in µs since the epoch; None when there is none. `NotFound` as `status`."""
        held = await self._reads.filtered(thread_id, only, "created_us")
        (created_us,) = held.plain
        if created_us is not None and not only.matches(held.metadata):
            raise NotFound("thread", thread_id)
        return None if created_us is None else int(created_us)

    async def active_run(self, thread_id: str) -> str | None:
        """The run that is executing, if one is."""
        return await self._reads.active_run(thread_id)

    async def patch(self, thread_id: str, metadata: dict[str, Any], ttl: ThreadTtl | None = None) -> Thread:
        """Merge metadata, member by member, atomically; with `ttl` its time begins anew."""
        changes = {f"m:{name}": value for name, value in json_members(metadata).items()}
        held = await self._scripts.patch(thread_id, changes, ttl=ttl.stored() if ttl else None)
        return self._found(thread_id, held)

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
        """What the thread shows after its state was written from outside a run, at `checkpoint_id`. `NotFound` when it
        is no longer the thread that was created at `incarnation`."""
        changes = {"values": dumps(values).decode(), "interrupts": dumps(interrupts).decode()}
        held = await self._scripts.patch(
            thread_id,
            changes,
            state=status,
            checkpoint_id=checkpoint_id,
            event_ttl_s=self._event_ttl_s,
            incarnation=incarnation,
        )
        return self._found(thread_id, held)

    @staticmethod
    def _found(thread_id: str, held: Fields | None) -> Thread:
        if held is None:
            raise NotFound("thread", thread_id)
        return thread_from(thread_id, held)

    async def copy(self, source: str, thread_id: str, *, token: str, metadata: dict[str, Any] | None = None) -> Thread:
        """A new thread with all checkpoints of `source` and what it shows, but without its runs; `metadata` stands in
        for the source's. `NotFound`, also when the source is removed meanwhile: then there is no new one either."""
        ttl = self._ttl.stored() if self._ttl else None
        told = None if metadata is None else json_members(metadata)
        word, held = await self._trash.emptied_for(
            thread_id, lambda: self._scripts.copy(source, thread_id, token, ttl, told)
        )
        if word == "missing":
            raise NotFound("thread", source)
        if word == "exists" and held.get("token", b"").decode() != token:
            raise Conflict(f"thread {thread_id} exists already")
        thread = thread_from(thread_id, held)
        if "copied_us" not in held:  # the same request did it before
            return thread
        try:
            with suppress(Conflict):  # does it in this moment
                incarnations = held["copied_us"].decode(), thread.incarnation
                await self._checkpointer.acopy_thread(source, thread_id, incarnations)
        except NotFound:
            await self.delete(thread_id, thread.incarnation)
            raise
        return thread

    async def prune(self, thread_ids: Collection[str], strategy: Strategy) -> int:
        """Delete threads, or keep the latest of their checkpoints: of how many. Unknown ones are passed over, and so
        are those that are busy, when they are to be kept."""
        done = 0
        for thread_id in dict.fromkeys(thread_ids):
            with suppress(NotFound):
                if strategy == "delete":
                    await self.delete(thread_id)
                    done += 1
                elif (incarnation := await self._reads.incarnation(thread_id)) is not None:
                    done += await self._checkpointer.shrink(thread_id, incarnation)
        return done

    async def storage(self, thread_id: str) -> dict[str, Any]:
        """How many bytes its checkpoints take, and what for. `NotFound`."""
        if await self._reads.incarnation(thread_id) is None:
            raise NotFound("thread", thread_id)
        taken = await self._checkpointer.storage(thread_id)
        by_channel = {name: {"count": held.count, "bytes": held.size} for name, held in taken.channels.items()}
        value_bytes = sum(held.size for held in taken.channels.values())
        return {
            "thread_id": thread_id,
            "total_bytes": taken.checkpoints.size + value_bytes + taken.writes.size,
            "checkpoints": {"count": taken.checkpoints.count, "bytes": taken.checkpoints.size},
            "channel_values": {
                "count": sum(held.count for held in taken.channels.values()),
                "bytes": value_bytes,
                "by_channel": by_channel,
            },
            "pending_writes": {"count": taken.writes.count, "bytes": taken.writes.size},
        }

    async def delete(self, thread_id: str, incarnation: str | None = None) -> None:
        """Remove the thread and everything of it; a running attempt is fenced and told to stop. `NotFound`, also when
        it is no longer the thread that was created at `incarnation`; checkpoints of no thread are removed then, too."""
        deleted_us = await self._scripts.delete(thread_id, incarnation)
        if deleted_us is None:
            await self._checkpointer.remove_leftovers(thread_id)
            raise NotFound("thread", thread_id)
        await self._trash.remove(thread_id, deleted_us)

    async def search(
        self,
        query: ThreadQuery,
        *,
        limit: int = 10,
        offset: int = 0,
        sort_by: str = "updated_at",
        sort_order: str = "desc",
    ) -> list[Thread]:
        """A page of the matching threads: see `ThreadSearch.page`."""
        return await self._search.page(
            query, limit=limit, offset=offset, sort_by=sort_by, descending=sort_order == "desc"
        )

    async def count(self, query: ThreadQuery) -> int:
        """How many threads match."""
        return await self._search.count(query)
