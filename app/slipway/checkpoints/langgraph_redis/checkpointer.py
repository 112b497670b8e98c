"""A checkpointer that stores documents in the layout of `langgraph-checkpoint-redis`.

The package defines the layout of the documents, their keys and the search indexes. This class replaces the rest:

- The package sends several commands for each write over its own connection, neither atomic nor fenced. Here a
  `CheckpointWriter` sends each write as one group, so an attempt's writes are fenced by its token.
- The package's serializer turns user JSON with marker members into objects, and loses the content of types that it does
  not support: see `documents`.
- The package's `alist` ignores `before` and the root namespace and supports four filters. Its latest checkpoint is the
  one that was put last, not the newest. It returns writes in no defined order and lets them replace each other. Pruning
  and deleting leave writes behind and break delta channels. It cannot delete by run or copy a thread.

It is async only and uses Slipway's pipeline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, Final, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
)
from langgraph.checkpoint.redis.aio import AsyncRedisSaver
from redisvl.exceptions import RedisSearchError

from slipway.checkpoints.base_checkpointer import BaseCheckpointer, StoredWrite
from slipway.checkpoints.checkpoint_key import CheckpointKey
from slipway.checkpoints.core_reader import config_of
from slipway.checkpoints.fenced_writers import CheckpointWriter
from slipway.checkpoints.ids_in_order import make_later_than
from slipway.checkpoints.langgraph_redis.client import PipelineClient
from slipway.checkpoints.langgraph_redis.document_reads import DocumentReads
from slipway.checkpoints.langgraph_redis.documents import Documents, sizes
from slipway.checkpoints.langgraph_redis.pruning import Head, latest_of, latest_with_originals, without_runs
from slipway.checkpoints.langgraph_redis.scripts import CheckpointEntry, DocumentScripts
from slipway.checkpoints.langgraph_redis.search import Search
from slipway.checkpoints.langgraph_redis.write_commands import store_checkpoint, store_writes
from slipway.checkpoints.metadata import checkpoint_metadata, without_user
from slipway.checkpoints.moved_ids import OF_MOVE
from slipway.checkpoints.scripts import CopyResult
from slipway.checkpoints.thread_storage import StorageCount, ThreadStorage
from slipway.errors import Conflict, NotFound
from slipway.redis.document_keys import DocumentNames, checkpoint_at, namespace_at
from slipway.redis.pipeline import Pipeline
from slipway.redis.redis_commands import RedisCommand
from slipway.redis.server_modules import require_modules
from slipway.redis.shards import Shards
from slipway.serialization.serde import Serde

_PAGE: Final = 32
PAGE_BYTES: Final = 1 << 20
_MAX_CACHED: Final = 1024


class LangGraphRedisCheckpointer(BaseCheckpointer, AsyncRedisSaver):
    """Stores the checkpoints of all threads under `prefix`. Counts the bytes of the documents, without the memory that
    Redis uses for its indexes."""

    serde: Serde

    def __init__(
        self,
        pipeline: Pipeline,
        shards: Shards,
        prefix: str,
        *,
        writer: CheckpointWriter | None = None,
        serde: Serde | None = None,
        max_thread_bytes: int | None = None,
    ) -> None:
        self._names = DocumentNames(prefix)
        AsyncRedisSaver.__init__(
            self,
            redis_client=PipelineClient(pipeline),
            checkpoint_prefix=prefix,
            checkpoint_write_prefix=self._names.writes.removesuffix(":"),
        )
        self.serde = serde or Serde()
        self._init_shared(pipeline, shards, writer, max_thread_bytes)
        self._reads = DocumentReads(pipeline, self.keys, self._names)
        self._scripts = DocumentScripts(pipeline, self.keys, self._names)
        self._documents, self._search = Documents(self.serde), Search(pipeline, self._names)
        self._newest: dict[tuple[str, str], str] = {}

    async def asetup(self) -> None:
        """Creates the search indexes that do not exist and waits until they contain every document. Raises
        `ConfigError` when Redis lacks the modules."""
        await require_modules(self.pipeline)
        try:
            await AsyncRedisSaver.asetup(self)
        except RedisSearchError:  # another process created an index at the same time
            await AsyncRedisSaver.asetup(self)
        await self._search.complete()

    def for_run(
        self,
        writer: CheckpointWriter,
        *,
        own_thread: str | None = None,
        is_empty: bool = False,
        max_thread_bytes: int | None = None,
    ) -> LangGraphRedisCheckpointer:
        """See the base class; `is_empty` is not used: an index may contain documents that the package wrote."""
        clone = super().for_run(writer, max_thread_bytes=max_thread_bytes)
        clone._newest = {}
        return clone

    # writing

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
        stream_mode: str = "values",
    ) -> RunnableConfig:
        """Store a checkpoint with all its channel values."""
        target = config["configurable"]
        thread_id, namespace = str(target["thread_id"]), target.get("checkpoint_ns", "")
        key = CheckpointKey(namespace, checkpoint["id"])
        parent_id = target.get("checkpoint_id") or ""
        document = self._documents.pack(
            thread_id, namespace, parent_id, checkpoint, checkpoint_metadata(config, metadata)
        )
        is_latest = checkpoint["id"] >= await self._newest_of(thread_id, namespace)
        commands, size = store_checkpoint(self.keys, self._names, thread_id, key, document, is_latest=is_latest)
        await self._write(thread_id, commands, size)
        self._remember_newest(thread_id, namespace, checkpoint["id"])
        return config_of(thread_id, namespace, checkpoint["id"])

    async def stored_writes(self, config: RunnableConfig) -> list[StoredWrite]:
        target = config["configurable"]
        _, entries = await self._read(str(target["thread_id"]), [CheckpointKey.from_configurable(target)])
        return self._documents.unpack_writes(entries[0][1]) if entries else []

    def _write_commands(
        self, thread_id: str, key: CheckpointKey, writes: Sequence[StoredWrite]
    ) -> tuple[list[RedisCommand], int]:
        packed = [
            (write.task_id, write.position, self._documents.pack_write(thread_id, *key, write)) for write in writes
        ]
        return store_writes(self.keys, self._names, thread_id, key, packed)

    async def _newest_of(self, thread_id: str, namespace: str) -> str:
        """The id of the newest checkpoint of a namespace, or "". Cached after the first read or write."""
        if (thread_id, namespace) not in self._newest:
            latest = await self._reads.latest(thread_id, namespace)
            self._remember_newest(thread_id, namespace, (latest or "").rpartition(":")[2])
        return self._newest[thread_id, namespace]

    def _remember_newest(self, thread_id: str, namespace: str, checkpoint_id: str) -> None:
        if len(self._newest) >= _MAX_CACHED:
            self._newest.clear()
        make_later_than(checkpoint_id)
        cached = self._newest.get((thread_id, namespace), "")
        self._newest[thread_id, namespace] = max(cached, checkpoint_id)

    # reading

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the latest of its namespace; None when there is none. Also reads what
        `aput` needs to know, so that a run that has loaded its checkpoint reads nothing before it writes: a superstep
        waits for the writes that were passed to the writer, not for those that a read delays."""
        target = config["configurable"]
        thread_id, namespace = str(target["thread_id"]), target.get("checkpoint_ns", "")
        checkpoint_id = get_checkpoint_id(config)
        await self.writer.flush()
        found: CheckpointTuple | None
        if checkpoint_id:
            key = CheckpointKey(namespace, checkpoint_id)
            found, _ = await asyncio.gather(self._one(thread_id, key), self._newest_of(thread_id, namespace))
        else:
            found = await self._latest(thread_id, namespace)
        if self._is_of_run and self._max_thread_bytes is not None and thread_id not in self._used_bytes:
            self._remember_bytes(thread_id, await self.thread_bytes(thread_id))
        if found is not None:
            self._remember_writes(found)
        return found

    async def _one(self, thread_id: str, key: CheckpointKey) -> CheckpointTuple | None:
        _, entries = await self._read(thread_id, [key])
        return self._tuple(entries[0]) if entries else None

    async def _latest(self, thread_id: str, namespace: str) -> CheckpointTuple | None:
        """Returns the checkpoint that the pointer names, or the newest one if that checkpoint has expired or was pruned
        by the package."""
        latest = await self._scripts.read_latest(thread_id, namespace, page_bytes=PAGE_BYTES)
        found = self._tuple(latest.entry) if latest.entry else None
        if found is None and latest.has_pointer:
            newest = latest_of(await self._search.checkpoints(thread_id)).get(namespace)
            found = await self._one(thread_id, newest) if newest else None
        if latest.stored_bytes or not (latest.has_pointer or namespace):  # a thread without a root checkpoint is new
            self._remember_bytes(thread_id, latest.stored_bytes or 0)
        newest_id = found.config["configurable"]["checkpoint_id"] if found else ""
        self._remember_newest(thread_id, namespace, newest_id)
        return found

    async def _read(self, thread_id: str, keys: Sequence[CheckpointKey]) -> tuple[int, list[CheckpointEntry]]:
        """Returns the number of `keys` that were read, and the entries that exist."""
        ats = [checkpoint_at(thread_id, *key) for key in keys]
        page = await self._scripts.read(thread_id, ats, page_bytes=PAGE_BYTES)
        if page.stored_bytes:
            self._remember_bytes(thread_id, page.stored_bytes)
        return page.checkpoints_read, page.entries

    async def _entries(
        self, thread_id: str, keys: Sequence[CheckpointKey], page: int = _PAGE
    ) -> AsyncIterator[CheckpointEntry]:
        remaining = list(keys)
        while remaining:
            done, entries = await self._read(thread_id, remaining[:page])
            for entry in entries:
                yield entry
            remaining = remaining[done:]

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yields checkpoints, newest first, read in pages. Without a namespace in `config`, of every namespace; without
        a `config`, of every thread, one thread after the other."""
        target = (config or {}).get("configurable", {})
        namespace, checkpoint_id = target.get("checkpoint_ns"), target.get("checkpoint_id")
        below = get_checkpoint_id(before) if before else None
        await self.writer.flush()
        remaining = limit
        for thread_id in [str(target["thread_id"])] if "thread_id" in target else await self.thread_ids():
            keys = [
                key
                for key in await self._search.checkpoints(thread_id)
                if namespace in (None, key.namespace)
                and checkpoint_id in (None, "", key.checkpoint_id)
                and (not below or key.checkpoint_id < below)
            ]
            if remaining is not None and not filter:
                keys = keys[:remaining]
            async for entry in self._entries(thread_id, keys):
                if remaining is not None and remaining <= 0:
                    return
                if (found := self._tuple(entry)) is not None and _matches(found.metadata, filter or {}):
                    yield found
                    remaining = None if remaining is None else remaining - 1

    def _tuple(self, entry: CheckpointEntry) -> CheckpointTuple | None:
        stored = self._documents.unpack(entry[0])
        if stored is None:
            return None
        return CheckpointTuple(
            config_of(stored.thread_id, stored.namespace, stored.checkpoint_id),
            stored.checkpoint,
            cast(CheckpointMetadata, without_user(stored.metadata)),  # the package stores the user
            config_of(stored.thread_id, stored.namespace, stored.parent_id) if stored.parent_id else None,
            [(write.task_id, write.channel, write.value) for write in self._documents.unpack_writes(entry[1])],
        )

    async def checkpoint_ids(self, thread_id: str, namespace: str) -> list[str]:
        return [key.checkpoint_id for key in await self._search.checkpoints(thread_id) if key.namespace == namespace]

    async def newest_ids(self, thread_id: str) -> dict[str, str]:
        newest = latest_of(await self._search.checkpoints(thread_id))
        return {namespace: key.checkpoint_id for namespace, key in newest.items()}

    async def thread_ids(self) -> list[str]:
        return await self._search.threads()

    async def thread_bytes(self, thread_id: str) -> int:
        """Bytes stored for a thread. Counts a thread that the package wrote on the first call."""
        counted = await self._reads.stored_bytes(thread_id)
        if counted is None:
            used = await self.storage(thread_id)
            if size := used.checkpoints.size + used.writes.size + sum(each.size for each in used.channels.values()):
                await self._reads.set_stored_bytes(thread_id, size)
            return size
        return counted

    async def storage(self, thread_id: str) -> ThreadStorage:
        """Counts the bytes of a thread's checkpoints. Each checkpoint contains all its channel values, so an unchanged
        value counts once for each checkpoint."""
        checkpoints = checkpoint_bytes = writes = write_bytes = 0
        channels: dict[str, StorageCount] = {}
        async for document, write_documents in self._entries(thread_id, await self._search.checkpoints(thread_id)):
            own_size, writes_size, values = sizes(document, write_documents)
            checkpoints, checkpoint_bytes = checkpoints + 1, checkpoint_bytes + own_size
            writes, write_bytes = writes + len(write_documents), write_bytes + writes_size
            for channel, size in values.items():
                count = channels.get(channel, StorageCount(0, 0))
                channels[channel] = StorageCount(count.count + 1, count.size + size)
        return ThreadStorage(StorageCount(checkpoints, checkpoint_bytes), StorageCount(writes, write_bytes), channels)

    # maintenance: each operation is a script, which the writer does not send

    async def adelete_thread(self, thread_id: str) -> None:
        await self._remove(thread_id, await self._search.checkpoints(thread_id), set())
        await self._reads.delete_stored_bytes(thread_id)

    async def remove_leftovers(self, thread_id: str) -> None:
        keys = await self._search.checkpoints(thread_id)
        await self._remove(thread_id, keys, set(), incarnation="")

    async def adelete_for_runs(self, run_ids: Sequence[str], thread_ids: Collection[str] = ()) -> None:
        await self.writer.flush()
        found = {thread_id for run_id in run_ids for thread_id in await self._search.threads_of_run(run_id)}
        for thread_id in found.union(thread_ids):
            keys = await self._search.checkpoints(thread_id)
            await self._remove(thread_id, keys, without_runs(await self._heads(thread_id, keys), run_ids))

    async def aprune(
        self,
        thread_ids: Sequence[str],
        *,
        strategy: str = "keep_latest",
        keep_last: int | None = None,
        max_results: int = 0,
    ) -> None:
        """`keep_latest` keeps the latest checkpoint of each namespace, the original of one that is the work of a move,
        and the ancestors from which their delta channels are rebuilt; `delete` keeps nothing. Raises `ValueError` for
        the package's `keep_last`."""
        if keep_last is not None:
            raise ValueError("keep_last is not supported; choose the strategy 'keep_latest' or 'delete'")
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"prune strategy {strategy!r} is unknown; choose 'keep_latest' or 'delete'")
        for thread_id in thread_ids:
            await (self._keep_latest(thread_id) if strategy == "keep_latest" else self.adelete_thread(thread_id))

    async def prune_thread(self, thread_id: str, incarnation: str) -> bool:
        return await self._keep_latest(thread_id, incarnation) >= 0

    async def _keep_latest(self, thread_id: str, incarnation: str | None = None) -> int:
        keys = await self._search.checkpoints(thread_id)
        heads = await self._heads(thread_id, keys)
        return await self._remove(thread_id, keys, latest_with_originals(heads), incarnation)

    async def _heads(self, thread_id: str, keys: Sequence[CheckpointKey]) -> dict[CheckpointKey, Head]:
        by_at = {checkpoint_at(thread_id, *key): key for key in keys}
        heads: dict[CheckpointKey, Head] = {}
        for first in range(0, len(keys), _PAGE):
            page = list(by_at)[first : first + _PAGE]
            for head in await self._scripts.heads(page):
                metadata: Any = self._documents.metadata(head.metadata)
                deltas = self._documents.deltas(metadata)
                original = str((metadata.get(OF_MOVE) or {}).get("of", ""))
                heads[by_at[head.at]] = Head(head.run_id, head.parent_id, deltas, head.channels, original)
        return heads

    async def _remove(
        self,
        thread_id: str,
        keys: Sequence[CheckpointKey],
        retained: set[CheckpointKey],
        incarnation: str | None = None,
    ) -> int:
        """Deletes all checkpoints but `retained`, and writes whose checkpoint is not retained. Writes that are later
        than the latest retained checkpoint stay: their checkpoint may not be stored yet. With an `incarnation`, changes
        nothing unless the thread was created then ("" means that the thread was deleted)."""
        self._used_bytes.pop(thread_id, None)
        self._newest.clear()
        latest = latest_of(retained)
        writes = [
            (key, write_key)
            for key, write_key in await self._search.writes(thread_id)
            if key not in retained and not (key.namespace in latest and key > latest[key.namespace])
        ]
        deleted = {key for key in keys if key not in retained} | {key for key, _ in writes}
        pointers: list[tuple[str, str]] = []
        for namespace in {key.namespace for key in [*keys, *deleted]}:
            newest = latest.get(namespace)
            latest_at = checkpoint_at(thread_id, *newest) if newest else ""
            pointers.append((namespace_at(thread_id, namespace), latest_at))
        ats = [checkpoint_at(thread_id, *key) for key in deleted]
        return await self._scripts.remove(thread_id, ats, [write_key for _, write_key in writes], pointers, incarnation)

    async def acopy_thread(
        self, source_thread_id: str, target_thread_id: str, incarnations: tuple[str, str] | None = None
    ) -> None:
        keys = {*await self._search.checkpoints(source_thread_id)}
        keys |= {key for key, _ in await self._search.writes(source_thread_id)}
        if not keys and incarnations is None:
            return
        await self.thread_bytes(source_thread_id)
        prefix = len(source_thread_id) + 1
        checkpoints = [checkpoint_at(source_thread_id, *key)[prefix:] for key in keys]
        namespaces = [namespace_at(source_thread_id, name)[prefix:] for name in {key.namespace for key in keys}]
        if await self._search.checkpoints(target_thread_id):
            result = CopyResult.TARGET_EXISTS
        else:
            result = await self._scripts.copy(source_thread_id, target_thread_id, checkpoints, namespaces, incarnations)
        if result is CopyResult.THREAD_DELETED:
            raise NotFound("thread", source_thread_id)
        if result is CopyResult.TARGET_EXISTS:
            raise Conflict(f"thread {target_thread_id} has checkpoints already")

    async def aget_channel_values(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Not supported, because it would return encoded values: use `aget_tuple`."""
        raise NotImplementedError("use aget_tuple")

    def get_channel_values(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Not supported: use `aget_tuple`."""
        raise NotImplementedError("use aget_tuple")


def _matches(metadata: Any, expected: dict[str, Any]) -> bool:
    return all(metadata.get(name) == value for name, value in expected.items())
