"""Reads checkpoints of the core checkpointer: one, or those of a thread in pages.

A page ends after `_PAGE` checkpoints or `PAGE_BYTES`, whichever comes first. So neither a script nor this process ever
holds all checkpoints of a long thread, or of a thread with large values, in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple, DeltaChannelHistory, PendingWrite

from slipway.checkpoints.base_checkpointer import StoredWrite
from slipway.checkpoints.checkpoint_head import CheckpointHead
from slipway.checkpoints.checkpoint_key import CheckpointKey
from slipway.checkpoints.core_heads import empty_values, head_of_row
from slipway.checkpoints.core_records import CheckpointRecord, pending_writes, stored_writes
from slipway.checkpoints.ids_in_order import make_later_than
from slipway.checkpoints.reads import CheckpointReads
from slipway.checkpoints.scripts import CheckpointRow, CheckpointScripts, MemberPage, RangePage
from slipway.checkpoints.similar_values import unpacked_fields
from slipway.checkpoints.stored_form import StoredForm
from slipway.redis.checkpoint_keys import DICTIONARY_FIELD, member
from slipway.redis.connection import Arg
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards

_PAGE: Final = 32
PAGE_BYTES: Final = 1 << 20

_SMALL_BYTES: Final = 64
"""More than an empty value has in its stored form, encrypted too."""


class CheckpointReader:
    """Reads the checkpoints under one key prefix."""

    def __init__(self, pipeline: Pipeline, shards: Shards, form: StoredForm) -> None:
        self._form, self._empty = form, empty_values(form)
        self._reads, self._scripts = CheckpointReads(pipeline, shards.records), CheckpointScripts(pipeline, shards)

    async def read_one(
        self, thread_id: str, namespace: str, checkpoint_id: str | None
    ) -> tuple[CheckpointTuple | None, int]:
        """One checkpoint (the latest of the namespace without an id), and the stored bytes of its thread. The ids of
        checkpoints that follow are later than that of the latest (`ids_in_order`)."""
        page: MemberPage | RangePage
        if checkpoint_id:
            page, newest_id = await asyncio.gather(
                self._read_members(thread_id, [member(namespace, checkpoint_id)], complete=True),
                self._reads.newest_id(thread_id, namespace),
            )
            make_later_than(newest_id)
        else:
            member(namespace, "")  # rejects NUL
            page = await self._read_range(thread_id, namespace, "", 1, complete=True)
        return (await self._tuple(thread_id, page.rows[0]) if page.rows else None), page.stored_bytes

    async def list_ids(self, thread_id: str, namespace: str) -> list[str]:
        """The ids of a namespace's checkpoints, newest first."""
        keys = map(_checkpoint_key, await self._reads.members(thread_id))
        return sorted((key.checkpoint_id for key in keys if key.namespace == namespace), reverse=True)

    async def newest_ids(self, thread_id: str) -> dict[str, str]:
        """The id of the newest checkpoint of each namespace."""
        return {key.namespace: key.checkpoint_id for key in map(_checkpoint_key, await self._reads.members(thread_id))}

    async def writes(self, thread_id: str, namespace: str, checkpoint_id: str) -> list[StoredWrite]:
        """The pending writes of one checkpoint. A second round trip if writes were joined."""
        fields = await self._reads.writes(thread_id, namespace, checkpoint_id)
        names = dict(zip(fields[::2], fields[1::2], strict=True)).get(DICTIONARY_FIELD.encode(), b"")
        similar = await self._reads.values(thread_id, unpacked_fields(names)) if names else []
        return await stored_writes(fields, similar, self._form)

    async def head(self, thread_id: str, namespace: str) -> CheckpointHead | None:
        """What the latest checkpoint of a namespace says about where its thread is. One round trip, without large
        values of the state."""
        member(namespace, "")  # rejects NUL
        row = await self._scripts.position(thread_id, namespace, _SMALL_BYTES)
        return None if row is None else head_of_row(row, self._form, self._empty)

    async def delta_history(
        self, thread_id: str, namespace: str, checkpoint_id: str | None, channels: Sequence[str]
    ) -> dict[str, DeltaChannelHistory]:
        """The writes from which delta channels are rebuilt. One round trip, unless they exceed a page."""
        member(namespace, checkpoint_id or "")  # rejects NUL
        writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
        seeds: dict[str, bytes] = {}
        continue_at = ""
        while True:
            unresolved = [channel for channel in writes if channel not in seeds]
            page = await self._scripts.read_history(
                thread_id,
                namespace,
                checkpoint_id or "",
                unresolved,
                continue_at=continue_at,
                page_bytes=PAGE_BYTES,
            )
            for stored, values, similar in page.ancestors:
                for write in reversed(await pending_writes(stored, similar, self._form)):
                    if write[1] in writes:  # writes that were joined belong to all channels
                        writes[write[1]].append(write)
                seeds.update(zip((channel.decode() for channel in values[::2]), values[1::2], strict=True))
            continue_at = page.continue_at
            if not continue_at:
                break
        history: dict[str, DeltaChannelHistory] = {}
        for channel, newest_first in writes.items():
            history[channel] = {"writes": newest_first[::-1]}
            if channel in seeds:
                history[channel]["seed"] = await self._form.loads_in_turns(seeds[channel])
        return history

    async def read_pages(
        self,
        thread_id: str,
        namespace: str | None,
        checkpoint_id: str | None,
        before: str | None,
        expected: dict[str, Any],
        limit: int | None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints of a thread, newest first, whose metadata has all members of `expected`."""
        complete = not expected
        if namespace is None or checkpoint_id:
            pages = self._listed(thread_id, namespace, checkpoint_id, before, complete, limit)
        else:
            pages = self._ranged(thread_id, namespace, before or "", complete, limit)
        remaining = limit
        async for page in pages:
            for row in page if complete else await self._matching(thread_id, page, expected, remaining):
                if remaining is not None and remaining <= 0:
                    return
                remaining = None if remaining is None else remaining - 1
                yield await self._tuple(thread_id, row)
            if remaining is not None and remaining <= 0:
                return

    async def _ranged(
        self, thread_id: str, namespace: str, below: str, complete: bool, limit: int | None
    ) -> AsyncIterator[list[CheckpointRow]]:
        remaining = limit
        while remaining is None or remaining > 0:
            count = _PAGE if remaining is None or not complete else min(_PAGE, remaining)
            page = await self._read_range(thread_id, namespace, below, count, complete=complete)
            yield page.rows
            if not page.continue_at:
                return
            below = page.continue_at
            remaining = remaining - len(page.rows) if complete and remaining is not None else remaining

    async def _listed(
        self,
        thread_id: str,
        namespace: str | None,
        checkpoint_id: str | None,
        before: str | None,
        complete: bool,
        limit: int | None,
    ) -> AsyncIterator[list[CheckpointRow]]:
        selected = [
            key
            for key in map(_checkpoint_key, await self._reads.members(thread_id))
            if (namespace is None or key.namespace == namespace)
            and (not checkpoint_id or key.checkpoint_id == checkpoint_id)
            and (not before or key.checkpoint_id < before)
        ]
        selected.sort(key=lambda key: key[::-1], reverse=True)
        members = [member(*key) for key in selected]
        count = _PAGE if limit is None or not complete else max(1, min(_PAGE, limit))
        while members:
            page = await self._read_members(thread_id, members[:count], complete=complete)
            yield page.rows
            members = members[page.members_read :]

    async def _matching(
        self, thread_id: str, page: list[CheckpointRow], expected: dict[str, Any], limit: int | None
    ) -> list[CheckpointRow]:
        members: list[Arg] = [
            row[0] for row in page if _matches(CheckpointRecord.unpack(row[1], self._form).metadata, expected)
        ][:limit]
        matching: list[CheckpointRow] = []
        while members:
            complete_page = await self._read_members(thread_id, members, complete=True)
            matching += complete_page.rows
            members = members[complete_page.members_read :]
        return matching

    async def _read_members(self, thread_id: str, members: Sequence[Arg], *, complete: bool) -> MemberPage:
        return await self._scripts.read_members(thread_id, members, complete=complete, page_bytes=PAGE_BYTES)

    async def _read_range(self, thread_id: str, namespace: str, below: str, count: int, *, complete: bool) -> RangePage:
        return await self._scripts.read_range(
            thread_id, namespace, below, count, complete=complete, page_bytes=PAGE_BYTES
        )

    async def _tuple(self, thread_id: str, row: CheckpointRow) -> CheckpointTuple:
        name, data, blobs, writes, similar = row
        namespace, checkpoint_id = _checkpoint_key(name)
        make_later_than(checkpoint_id)
        record = CheckpointRecord.unpack(data, self._form)
        checkpoint = await record.checkpoint(checkpoint_id, blobs, self._form)
        pending = await pending_writes(writes, similar, self._form)
        return CheckpointTuple(
            config_of(thread_id, namespace, checkpoint_id),
            checkpoint,
            record.metadata,
            config_of(thread_id, namespace, record.parent_id) if record.parent_id else None,
            pending,
        )


def config_of(thread_id: str, namespace: str, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}}


def _checkpoint_key(name: bytes) -> CheckpointKey:
    namespace, _, checkpoint_id = name.decode().partition("\0")
    return CheckpointKey(namespace, checkpoint_id)


def _matches(metadata: Any, expected: dict[str, Any]) -> bool:
    return all(metadata.get(name) == value for name, value in expected.items())
