"""The read stubs of checkpoints, and the records of a migration between checkpointers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from slipway.redis.checkpoint_keys import BYTES_FIELD, member, names_of, run_threads, thread_of_index, thread_record
from slipway.redis.pipeline import Pipeline
from slipway.redis.read_stubs import ReadStubs
from slipway.redis.shards import Shards

_SCAN_COUNT: Final = 1000


class CheckpointReads(ReadStubs):
    """The keys of the core checkpointer. One round trip each, unless it says otherwise."""

    async def members(self, thread_id: str) -> list[bytes]:
        """`<namespace>\\0<checkpoint>` of every checkpoint of a thread, oldest first in a namespace."""
        index = names_of(self._keys, thread_id).index
        members: list[bytes] = await self._pipeline.send("ZRANGE", index, 0, -1, repeatable=True)
        return members

    async def newest_id(self, thread_id: str, namespace: str) -> str:
        """The id of the newest checkpoint of a namespace, or ""."""
        index, first, after = names_of(self._keys, thread_id).index, member(namespace, ""), f"({namespace}\1"
        found = await self._pipeline.send("ZREVRANGEBYLEX", index, after, f"[{first}", "LIMIT", 0, 1, repeatable=True)
        return found[0].decode().removeprefix(first) if found else ""

    async def writes(self, thread_id: str, namespace: str, checkpoint_id: str) -> list[bytes]:
        """The pending writes of one checkpoint as a flat list: task and index, write, …"""
        key = names_of(self._keys, thread_id).writes_prefix + member(namespace, checkpoint_id)
        writes: list[bytes] = await self._pipeline.send("HGETALL", key, repeatable=True)
        return writes

    async def values(self, thread_id: str, fields: Sequence[str]) -> list[bytes | None]:
        """Channel values by their fields (`blob_field`); None for one that is not stored."""
        state = names_of(self._keys, thread_id).state
        values: list[bytes | None] = await self._pipeline.send("HMGET", state, *fields, repeatable=True)
        return values

    async def stored_bytes(self, thread_id: str) -> int:
        """What the budget of the thread counts."""
        state = names_of(self._keys, thread_id).state
        return int(await self._pipeline.send("HGET", state, BYTES_FIELD, repeatable=True) or 0)

    async def thread_ids(self) -> list[str]:
        """Every thread that has checkpoints, in order. Scans all keys of the server, in pages."""
        found: set[str] = set()
        cursor: Any = 0
        while True:
            cursor, names = await self._pipeline.send(
                "SCAN", cursor, "MATCH", self._keys.pattern("checkpoints"), "COUNT", _SCAN_COUNT, repeatable=True
            )
            found.update(thread_of_index(name.decode()) for name in names)
            if int(cursor) == 0:
                return sorted(found)

    async def threads_of_runs(self, run_ids: Sequence[str]) -> set[str]:
        """The threads of these runs, and others that have checkpoints of them."""
        owns = [self._pipeline.send("HGET", self._keys.run(each), "thread_id", repeatable=True) for each in run_ids]
        others = [self._pipeline.send("SMEMBERS", run_threads(self._keys, each), repeatable=True) for each in run_ids]
        found = [await own for own in owns] + [thread_id for other in others for thread_id in await other]
        return {thread_id.decode() for thread_id in found if thread_id}

    async def thread(self, thread_id: str) -> tuple[str | None, str]:
        """The creation time of a thread in µs, None if it does not exist, and the graph of its latest run, "" without
        one."""
        record = thread_record(self._keys, thread_id)
        created_us, graph_id = await self._pipeline.send("HMGET", record, "created_us", "m:graph_id", repeatable=True)
        return created_us and created_us.decode(), str(orjson.loads(graph_id)) if graph_id else ""

    async def latest_threads(self, count: int) -> list[str]:
        """The threads that changed last, newest first."""
        return await self._ids(self._keys.threads, 0, count - 1, descending=True)


class MigrationRecords(ReadStubs):
    """Which threads a migration copied, and the fields of a thread that decide whether it is moved. One round trip
    each."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        super().__init__(pipeline, shards.records)
        self._migrated = shards.migration.migrated

    async def copied_threads(self) -> list[str]:
        """Threads that were copied and are not deleted from the source yet."""
        thread_ids = await self._pipeline.send("HKEYS", self._migrated, repeatable=True)
        return [thread_id.decode() for thread_id in thread_ids]

    async def incarnations(self, thread_id: str) -> tuple[str, str]:
        """The creation time of the thread that was copied, and of the thread that exists now; "" for none."""
        copied = self._pipeline.send("HGET", self._migrated, thread_id, repeatable=True)
        current = self._pipeline.send("HGET", self._keys.thread(thread_id), "created_us", repeatable=True)
        return (await copied or b"").decode(), (await current or b"").decode()

    async def is_busy(self, thread_id: str) -> bool:
        status = await self._pipeline.send("HGET", self._keys.thread(thread_id), "status", repeatable=True)
        return bool(status == b"busy")

    async def set_copied(self, thread_id: str, incarnation: str) -> None:
        """Records that the thread with this creation time is copied."""
        await self._pipeline.send("HSET", self._migrated, thread_id, incarnation, repeatable=True)

    async def remove(self, thread_id: str) -> None:
        """Removes the record: the source has no checkpoints of the thread."""
        await self._pipeline.send("HDEL", self._migrated, thread_id, repeatable=True)
