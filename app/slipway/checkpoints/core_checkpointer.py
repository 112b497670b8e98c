"""The core checkpointer: LangGraph's checkpoints on core commands of Redis 6.2 or Valkey 7.2.

`aput`, `aput_writes` and `aget_tuple` cost one round trip each. The value of a channel is stored once for each of its
versions; a checkpoint names the versions that it has. `app/slipway/redis/checkpoint_keys.py` lists the keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from slipway.checkpoints.base_checkpointer import BaseCheckpointer, StoredWrite
from slipway.checkpoints.channel_values import dumped, dumped_in_turns
from slipway.checkpoints.checkpoint_head import CheckpointHead
from slipway.checkpoints.checkpoint_key import CheckpointKey
from slipway.checkpoints.core_reader import CheckpointReader, config_of
from slipway.checkpoints.core_records import joined_writes, pack_record, pack_write
from slipway.checkpoints.core_retention import CoreRetention
from slipway.checkpoints.fenced_writers import CheckpointWriter
from slipway.checkpoints.metadata import ConfigMetadata
from slipway.checkpoints.reads import CheckpointReads
from slipway.checkpoints.scripts import CheckpointScripts, CopyResult
from slipway.checkpoints.similar_values import SimilarValues
from slipway.checkpoints.stored_form import stored_form_of
from slipway.checkpoints.superstep_writes import JOINED_VALUE_BYTES, FieldOfWrite, SuperstepWrites
from slipway.checkpoints.thread_storage import StorageCount, ThreadStorage
from slipway.checkpoints.write_commands import PackedWrite, join_writes, register_run, store_checkpoint, store_writes
from slipway.errors import Conflict, NotFound
from slipway.redis.checkpoint_keys import write_field
from slipway.redis.pipeline import Pipeline
from slipway.redis.redis_commands import RedisCommand
from slipway.redis.shards import Shards
from slipway.serialization.serde import Serde

DELETED_AT_ONCE: Final = 1000
"""How many checkpoints one script deletes. Redis serves other clients between two scripts."""


class CoreCheckpointer(BaseCheckpointer):
    """The checkpoints of all threads under one key prefix. Bytes are counted as written, with field names. Redis needs
    about half as much again."""

    def __init__(
        self,
        pipeline: Pipeline,
        shards: Shards,
        *,
        writer: CheckpointWriter | None = None,
        serde: SerializerProtocol | None = None,
        max_thread_bytes: int | None = None,
        deleted_at_once: int = DELETED_AT_ONCE,
    ) -> None:
        super().__init__(serde=serde or Serde())
        self._deleted_at_once = deleted_at_once
        self._init_shared(pipeline, shards, writer, max_thread_bytes)
        self._form = stored_form_of(self.serde)
        self._superstep_writes: SuperstepWrites | None = None
        self._config_metadata = ConfigMetadata()
        self._reads, self._scripts = CheckpointReads(pipeline, shards.records), CheckpointScripts(pipeline, shards)
        self._reader = CheckpointReader(pipeline, shards, self._form)

    def for_run(
        self,
        writer: CheckpointWriter,
        *,
        own_thread: str | None = None,
        is_empty: bool = False,
        max_thread_bytes: int | None = None,
    ) -> CoreCheckpointer:
        """See the base class. The clone joins the pending writes of supersteps that have ended."""
        clone = super().for_run(writer, own_thread=own_thread, is_empty=is_empty, max_thread_bytes=max_thread_bytes)
        clone._superstep_writes = SuperstepWrites(checkpoints_are_new=own_thread is not None)
        clone._config_metadata = ConfigMetadata()
        return clone

    # writing

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Stores a checkpoint, and the channel values that have new versions."""
        target = config["configurable"]
        thread_id, namespace = str(target["thread_id"]), target.get("checkpoint_ns", "")
        parent_id = target.get("checkpoint_id") or ""
        stored_metadata = self._config_metadata.added_to(metadata, config)
        record, run_id = pack_record(checkpoint, parent_id, stored_metadata, self._form)
        values = checkpoint["channel_values"]
        new = [(channel, version, values[channel]) for channel, version in new_versions.items() if channel in values]
        key = CheckpointKey(namespace, checkpoint["id"])
        encoded: list[tuple[str, str | int | float, bytes]] = []
        if self._divides(namespace, [value for _, _, value in new]):
            async with self.writer.encoding:
                stored = [
                    (channel, version, await dumped_in_turns(self._form.dumps_in_turns, channel, value))
                    for channel, version, value in new
                ]
            write = self._write_now
        else:
            encoded = [(channel, version, dumped(self._form.encode, channel, value)) for channel, version, value in new]
            stored = [(channel, version, self._form.seal(data)) for channel, version, data in encoded]
            write = self._write
        commands, size = store_checkpoint(self.keys, thread_id, key, record, stored)
        if run_id and thread_id != self._own_thread:  # the record of the run names its own thread
            commands.append(register_run(self.keys, run_id, thread_id))
        if self._superstep_writes is not None:
            finished = self._superstep_writes.finish(thread_id, namespace, parent_id, checkpoint["id"])
            if finished:
                similar = SimilarValues.among(namespace, encoded)
                join_commands, join_size = self._join(thread_id, CheckpointKey(namespace, parent_id), finished, similar)
                commands, size = commands + join_commands, size + join_size
        await write(thread_id, commands, size)
        return config_of(thread_id, namespace, checkpoint["id"])

    async def stored_writes(self, config: RunnableConfig) -> list[StoredWrite]:
        target = config["configurable"]
        return await self._reader.writes(
            str(target["thread_id"]), target.get("checkpoint_ns", ""), target["checkpoint_id"]
        )

    def _write_commands(
        self, thread_id: str, key: CheckpointKey, writes: Sequence[StoredWrite]
    ) -> tuple[list[RedisCommand], int]:
        packed = []
        for write in writes:
            task_id, task_path, position, channel, value = write
            encoded = dumped(self._form.encode, channel, value, task_path)
            data, field = pack_write(channel, task_path, self._form.seal(encoded)), write_field(task_id, position)
            small = None
            if self._superstep_writes is not None and len(encoded) <= JOINED_VALUE_BYTES:
                small = FieldOfWrite(write, encoded, field, len(field) + len(data))
            packed.append(PackedWrite(field, position, data, self._is_first(thread_id, key, field, position, small)))
        return store_writes(self.keys, thread_id, key, packed)

    async def _write_commands_in_turns(
        self, thread_id: str, key: CheckpointKey, writes: Sequence[StoredWrite]
    ) -> tuple[list[RedisCommand], int]:
        packed = []
        for task_id, task_path, position, channel, value in writes:
            stored = await dumped_in_turns(self._form.dumps_in_turns, channel, value, task_path)
            data, field = pack_write(channel, task_path, stored), write_field(task_id, position)
            packed.append(PackedWrite(field, position, data, self._is_first(thread_id, key, field, position)))
        return store_writes(self.keys, thread_id, key, packed)

    def _is_first(
        self, thread_id: str, key: CheckpointKey, field: str, position: int, small: FieldOfWrite | None = None
    ) -> bool:
        """Remembers a write: see `SuperstepWrites.add`."""
        writes = self._superstep_writes
        return writes is not None and writes.add(thread_id, key, field, position, small)

    def _join(
        self, thread_id: str, key: CheckpointKey, writes: Sequence[FieldOfWrite], similar: SimilarValues
    ) -> tuple[list[RedisCommand], int]:
        """The commands that join these writes, if that needs fewer bytes. `similar` are values of the child."""
        joined = joined_writes(((each.write, each.encoded) for each in writes), self._form, similar)
        stored_bytes = sum(each.stored_bytes for each in writes)
        if sum(map(len, joined)) >= stored_bytes:
            return [], 0
        return join_writes(self.keys, thread_id, key, [each.field for each in writes], stored_bytes, *joined)

    # reading

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the latest of its namespace."""
        target = config["configurable"]
        thread_id, namespace = str(target["thread_id"]), target.get("checkpoint_ns", "")
        if thread_id == self._empty_thread:
            return None
        await self.writer.flush()
        found, used = await self._reader.read_one(thread_id, namespace, get_checkpoint_id(config))
        if self._max_thread_bytes is not None:
            self._remember_bytes(thread_id, used)
        if found is not None:
            self._remember_writes(found)
        return found

    async def head(self, thread_id: str, namespace: str = "") -> CheckpointHead | None:
        """See the base class. One round trip, without large values of the state."""
        await self.writer.flush()
        return await self._reader.head(thread_id, namespace)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints, newest first, read in pages. Without a namespace in `config` those of every namespace,
        without a `config` those of every thread, one thread after the other."""
        target = (config or {}).get("configurable", {})
        await self.writer.flush()
        threads = [str(target["thread_id"])] if "thread_id" in target else await self.thread_ids()
        remaining = limit
        for thread_id in threads:
            found = self._reader.read_pages(
                thread_id,
                target.get("checkpoint_ns"),
                target.get("checkpoint_id"),
                get_checkpoint_id(before) if before else None,
                filter or {},
                remaining,
            )
            async for checkpoint in found:
                yield checkpoint
                remaining = None if remaining is None else remaining - 1

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """The writes from which delta channels are rebuilt. One round trip, unless they exceed a page."""
        if not channels:
            return {}
        target = config["configurable"]
        return await self._reader.delta_history(
            str(target["thread_id"]), target.get("checkpoint_ns", ""), get_checkpoint_id(config), channels
        )

    async def checkpoint_ids(self, thread_id: str, namespace: str) -> list[str]:
        return await self._reader.list_ids(thread_id, namespace)

    async def newest_ids(self, thread_id: str) -> dict[str, str]:
        return await self._reader.newest_ids(thread_id)

    async def thread_bytes(self, thread_id: str) -> int:
        return await self._reads.stored_bytes(thread_id)

    async def thread_ids(self) -> list[str]:
        return await self._reads.thread_ids()

    async def storage(self, thread_id: str) -> ThreadStorage:
        return await self._scripts.storage(thread_id)

    # maintenance: each operation is a script, which the writer does not send

    async def adelete_thread(self, thread_id: str) -> None:
        await self._delete(thread_id, unless_thread_exists=False)

    async def remove_leftovers(self, thread_id: str) -> None:
        await self._delete(thread_id, unless_thread_exists=True)

    async def _delete(self, thread_id: str, *, unless_thread_exists: bool) -> None:
        self._uncache_bytes([thread_id])
        limit = self._deleted_at_once
        while await self._scripts.delete(thread_id, limit, unless_thread_exists=unless_thread_exists):
            pass

    async def adelete_for_runs(self, run_ids: Sequence[str], thread_ids: Collection[str] = ()) -> None:
        if not run_ids:
            return
        await self.writer.flush()
        thread_ids = {*thread_ids, *await self._reads.threads_of_runs(run_ids)}
        self._uncache_bytes(thread_ids)
        await asyncio.gather(
            *(self._scripts.delete_checkpoints_of_runs(thread_id, run_ids) for thread_id in thread_ids)
        )

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """`keep_latest` keeps the latest checkpoint of each namespace, and the ancestors from which its delta
        channels are rebuilt; `delete` keeps nothing."""
        if strategy == "keep_latest":
            self._uncache_bytes(thread_ids)
            await asyncio.gather(*(self._scripts.prune(thread_id) for thread_id in thread_ids))
        elif strategy == "delete":
            await asyncio.gather(*(self.adelete_thread(thread_id) for thread_id in thread_ids))
        else:
            raise ValueError(f"prune strategy {strategy!r} is unknown; choose 'keep_latest' or 'delete'")

    async def prune_thread(self, thread_id: str, incarnation: str) -> bool:
        self._uncache_bytes([thread_id])
        return await self._scripts.prune(thread_id, incarnation)

    async def retain(
        self, thread_id: str, keep: int, incarnation: str | None = None, *, dry_run: bool = False
    ) -> StorageCount | None:
        created_us = incarnation or (await self._reads.thread(thread_id))[0]
        if created_us is None:
            return None
        self._uncache_bytes([thread_id])
        return await CoreRetention(self._scripts, self._form).apply(thread_id, created_us, keep, dry_run=dry_run)

    def _uncache_bytes(self, thread_ids: Iterable[str]) -> None:
        """Removes the sizes of threads from the cache."""
        for thread_id in thread_ids:
            self._used_bytes.pop(thread_id, None)

    async def acopy_thread(
        self, source_thread_id: str, target_thread_id: str, incarnations: tuple[str, str] | None = None
    ) -> None:
        self.shards.check_copy(source_thread_id, target_thread_id)
        result = await self._scripts.copy(source_thread_id, target_thread_id, incarnations)
        if result is CopyResult.THREAD_DELETED:
            raise NotFound("thread", source_thread_id)
        if result is CopyResult.TARGET_EXISTS:
            raise Conflict(f"thread {target_thread_id} has checkpoints already")
