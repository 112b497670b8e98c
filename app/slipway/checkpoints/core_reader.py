"""Reads checkpoints of the core checkpointer: one, or those of a thread in pages.

A page ends after `_PAGE` checkpoints or `PAGE_BYTES`, whichever comes first. So neither a script nor this process ever
holds all checkpoints of a long thread, or of a thread with large values, in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple, DeltaChannelHistory, PendingWrite

from slipway.checkpoints.base_checkpointer import StoredWrite
from slipway.checkpoints.core_records import CheckpointRecord, Loads, pending_writes, stored_writes
from slipway.checkpoints.reads import CheckpointReads
from slipway.redis.checkpoint_keys import CheckpointNames, member, names_of
from slipway.redis.connection import Arg
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import load

_READ: Final = load("checkpoint_read")
_HISTORY: Final = load("checkpoint_history")
_PAGE: Final = 32
PAGE_BYTES: Final = 1 << 20

CheckpointRow = list[Any]
"""The script's reply for one checkpoint: member and record, and with `all` also values and writes."""


class CheckpointReader:
    """Reads the checkpoints under one key prefix."""

    def __init__(self, pipeline: Pipeline, keys: Keys, loads: Loads) -> None:
        self._pipeline, self._keys, self._loads = pipeline, keys, loads
        self._reads = CheckpointReads(pipeline, keys)

    async def read_one(
        self, thread_id: str, namespace: str, checkpoint_id: str | None
    ) -> tuple[CheckpointTuple | None, int]:
        """One checkpoint (the latest of the namespace without an id), and the stored bytes of its thread."""
        names = names_of(self._keys, thread_id)
        wanted: list[Arg] = (
            ["exact", member(namespace, checkpoint_id)]
            if checkpoint_id
            else ["range", member(namespace, "")[:-1], "", 1]
        )
        used, _, found = await self._read(names, "all", wanted)
        return (self._tuple(thread_id, found[0]) if found else None), used

    async def list_ids(self, thread_id: str, namespace: str) -> list[str]:
        """The ids of a namespace's checkpoints, newest first."""
        known = await self._reads.members(thread_id)
        return sorted((ident for where, ident in map(_parts, known) if where == namespace), reverse=True)

    async def writes(self, thread_id: str, namespace: str, checkpoint_id: str) -> list[StoredWrite]:
        """The pending writes of one checkpoint."""
        return stored_writes(await self._reads.writes(thread_id, namespace, checkpoint_id), self._loads)

    async def delta_history(
        self, thread_id: str, namespace: str, checkpoint_id: str | None, channels: Sequence[str]
    ) -> dict[str, DeltaChannelHistory]:
        """The writes from which delta channels are rebuilt. One round trip, unless they exceed a page."""
        names = names_of(self._keys, thread_id)
        member(namespace, checkpoint_id or "")
        writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
        seeds: dict[str, bytes] = {}
        continue_at = ""
        while True:
            wanted = [channel for channel in writes if channel not in seeds]
            answer, ancestors = await self._pipeline.run(
                _HISTORY,
                [names.index, names.state],
                [names.writes_prefix, namespace, checkpoint_id or "", continue_at, PAGE_BYTES, *wanted],
            )
            for held, values in ancestors:
                for write in reversed(pending_writes(held, self._loads)):
                    writes[write[1]].append(write)
                seeds.update(zip((channel.decode() for channel in values[::2]), values[1::2], strict=True))
            continue_at = answer.decode()
            if not continue_at:
                break
        history: dict[str, DeltaChannelHistory] = {}
        for channel, newest_first in writes.items():
            history[channel] = {"writes": newest_first[::-1]}
            if channel in seeds:
                history[channel]["seed"] = self._loads(seeds[channel])
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
        names = names_of(self._keys, thread_id)
        if namespace is None or checkpoint_id:
            pages = self._listed(thread_id, names, namespace, checkpoint_id, before, not expected, limit)
        else:
            pages = self._ranged(names, namespace, before or "", not expected, limit)
        left = limit
        async for page in pages:
            matching = page if not expected else await self._matching(names, page, expected, left)
            for entry in matching:
                if left is not None and left <= 0:
                    return
                left = None if left is None else left - 1
                yield self._tuple(thread_id, entry)
            if left is not None and left <= 0:
                return

    async def _ranged(
        self, names: CheckpointNames, namespace: str, below: str, whole: bool, limit: int | None
    ) -> AsyncIterator[list[CheckpointRow]]:
        left = limit
        while left is None or left > 0:
            count = _PAGE if left is None or not whole else min(_PAGE, left)
            _, continue_at, found = await self._read(
                names, "all" if whole else "records", ["range", namespace, below, count]
            )
            yield found
            if not continue_at:
                return
            below = continue_at
            left = left - len(found) if whole and left is not None else left

    async def _listed(
        self,
        thread_id: str,
        names: CheckpointNames,
        namespace: str | None,
        checkpoint_id: str | None,
        before: str | None,
        whole: bool,
        limit: int | None,
    ) -> AsyncIterator[list[CheckpointRow]]:
        known = [_parts(name) for name in await self._reads.members(thread_id)]
        chosen = [
            (ident, where)
            for where, ident in known
            if (namespace is None or where == namespace)
            and (not checkpoint_id or ident == checkpoint_id)
            and (not before or ident < before)
        ]
        chosen.sort(reverse=True)
        members = [member(where, ident) for ident, where in chosen]
        page = _PAGE if limit is None or not whole else max(1, min(_PAGE, limit))
        while members:
            asked = members[:page]
            _, done, found = await self._read(names, "all" if whole else "records", ["exact", *asked])
            yield found
            members = members[int(done) if done else len(asked) :]

    async def _matching(
        self, names: CheckpointNames, page: list[CheckpointRow], expected: dict[str, Any], left: int | None
    ) -> list[CheckpointRow]:
        members: list[Arg] = [
            entry[0] for entry in page if _matches(CheckpointRecord.unpack(entry[1], self._loads).metadata, expected)
        ][:left]
        matching: list[CheckpointRow] = []
        while members:
            _, done, found = await self._read(names, "all", ["exact", *members])
            matching += found
            members = members[int(done) :] if done else []
        return matching

    async def _read(self, names: CheckpointNames, what: str, wanted: list[Arg]) -> tuple[int, str, list[CheckpointRow]]:
        used, continue_at, found = await self._pipeline.run(
            _READ, [names.index, names.state], [names.writes_prefix, what, PAGE_BYTES, *wanted]
        )
        return int(used), continue_at.decode(), found

    def _tuple(self, thread_id: str, entry: CheckpointRow) -> CheckpointTuple:
        name, data, blobs, writes = entry
        namespace, checkpoint_id = _parts(name)
        record = CheckpointRecord.unpack(data, self._loads)
        return CheckpointTuple(
            config_of(thread_id, namespace, checkpoint_id),
            record.checkpoint(checkpoint_id, blobs, self._loads),
            record.metadata,
            config_of(thread_id, namespace, record.parent_id) if record.parent_id else None,
            pending_writes(writes, self._loads),
        )


def config_of(thread_id: str, namespace: str, checkpoint_id: str) -> RunnableConfig:
    """The config that names one checkpoint."""
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}}


def _parts(name: bytes) -> tuple[str, str]:
    namespace, _, checkpoint_id = name.decode().partition("\0")
    return namespace, checkpoint_id


def _matches(metadata: Any, expected: dict[str, Any]) -> bool:
    return all(metadata.get(name) == value for name, value in expected.items())
