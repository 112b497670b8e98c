"""The base of Slipway's checkpointers: their common code, and the methods that the server needs beside LangGraph's.

A `BaseCheckpointer` stores the checkpoints of all threads. Each of its writes is a list of plain commands that
a `CheckpointWriter` sends, so that an attempt's checkpoints are stored only while it owns its run. Before a list is
sent, its bytes are compared with the byte budget of the thread. `app/slipway/checkpoints/factory.py` creates the
checkpointers.

All methods are async, except those for a graph that a synchronous node invokes: see `SyncMethods`.
"""

from __future__ import annotations

import copy
import inspect
import math
import random
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP, CheckpointTuple
from langgraph.checkpoint.serde.types import ERROR, RESUME

from slipway.checkpoints.checkpoint_head import CheckpointHead, head_of, head_write
from slipway.checkpoints.checkpoint_key import CheckpointKey
from slipway.checkpoints.fenced_writers import CheckpointWriter, UnfencedWriter
from slipway.checkpoints.interrupt_answers import MARK, NULL_TASK, InterruptAnswers, root_of
from slipway.checkpoints.moved_ids import MovedIds
from slipway.checkpoints.stored_results import StoredResults
from slipway.checkpoints.sync_methods import SyncMethods
from slipway.checkpoints.thread_storage import StorageCount, ThreadStorage
from slipway.errors import CeilingHit
from slipway.exception_text import is_a
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.redis_commands import RedisCommand
from slipway.redis.shards import Shards
from slipway.serialization.serde import Serde
from slipway.serialization.slices import is_large
from slipway.shown_exceptions import public_repr

_COUNTED_THREADS: Final = 1024
"""How many threads' sizes a checkpointer caches. A thread that is not cached costs one more round trip."""


@lru_cache(maxsize=1024)
def _count_text(count: int) -> str:
    """The part of a version that counts. Most runs have few versions, and formatting a number takes long."""
    return f"{count:08x}"


class StoredWrite(NamedTuple):
    """A pending write with all its stored fields."""

    task_id: str
    task_path: str
    position: int
    channel: str
    value: Any


def _with_positions(writes: Sequence[tuple[str, Any]], task_id: str, task_path: str) -> list[StoredWrite]:
    """A task's writes with their positions. Channels of LangGraph's own have a fixed negative position."""
    return [
        StoredWrite(task_id, task_path, WRITES_IDX_MAP.get(channel, position), channel, _storable(channel, value))
        for position, (channel, value) in enumerate(writes)
    ]


def _storable(channel: str, value: Any) -> Any:
    """An exception that a task raised is stored as the text that clients may receive."""
    return public_repr(value) if channel == ERROR and is_a(value, BaseException) else value


class BaseCheckpointer(SyncMethods):
    """A checkpointer of Slipway.

    `max_thread_bytes` is the byte budget of a thread. A write that would exceed it raises `CeilingHit` and stores
    nothing.
    """

    pipeline: Pipeline
    shards: Shards
    keys: Keys
    """The names of the keys of single threads and runs."""
    writer: CheckpointWriter
    _answers: InterruptAnswers | None
    results: StoredResults
    """The results of tasks that were stored before this clone read their checkpoint."""
    moved_ids: MovedIds
    """The ids that tasks had before their thread was moved to another version of its graph."""
    write_error: CeilingHit | None
    """The first write that exceeded the budget. LangGraph reports it only at the end of a run."""

    def _init_shared(
        self, pipeline: Pipeline, shards: Shards, writer: CheckpointWriter | None, max_thread_bytes: int | None
    ) -> None:
        """Initialises the attributes of this class; every constructor calls it."""
        self.pipeline, self.shards, self.keys = pipeline, shards, shards.records
        self.writer = writer or UnfencedWriter(pipeline, shards)
        self._max_thread_bytes = max_thread_bytes
        self._used_bytes: dict[str, int] = {}
        self._answers, self.results, self.moved_ids = None, StoredResults(), MovedIds()
        self._own_thread: str | None = None
        self._empty_thread: str | None = None
        self._warn_at_bytes = math.inf
        self._warn: Callable[[int], None] = lambda used: None
        self.write_error = None

    def for_run(
        self,
        writer: CheckpointWriter,
        *,
        own_thread: str | None = None,
        is_empty: bool = False,
        max_thread_bytes: int | None = None,
    ) -> Self:
        """A cheap clone whose writes are sent by `writer`. With `own_thread` they are those of an attempt at a run of
        this thread, so that all its checkpoints are new; if the thread `is_empty`, its checkpoints are not read until
        the clone has written one. `max_thread_bytes` replaces the budget."""
        clone = copy.copy(self)
        if max_thread_bytes is not None:
            clone._max_thread_bytes = max_thread_bytes
        clone._own_thread, clone._empty_thread = own_thread, own_thread if is_empty else None
        clone.writer = writer
        clone._used_bytes, clone._answers, clone.results = {}, InterruptAnswers(), StoredResults()
        clone.moved_ids = MovedIds()
        clone.write_error = None
        return clone

    def warn_at(self, part_of_budget: float, warn: Callable[[int], None]) -> None:
        """Calls `warn` once, with the stored bytes, when a thread has so much of its byte budget."""
        if self._max_thread_bytes is not None:
            self._warn_at_bytes, self._warn = part_of_budget * self._max_thread_bytes, warn

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> Self:
        """Allows more classes. LangGraph calls this with a graph's schemas in its strict mode."""
        if isinstance(self.serde, Serde):
            self.serde.allowed.allow((entry[0], entry[1]) for entry in extra_allowlist)
        return self

    def get_next_version(self, current: Any, channel: Any) -> str:
        """Later versions sort after earlier ones. Two branches of a thread never create the same version."""
        if current is None:
            count = 0
        elif not isinstance(current, str):
            # written by another checkpointer: numbers and texts cannot be compared, so it stays a number
            return int(current) + 1 + random.random()  # type: ignore[return-value]
        else:
            # other checkpointers write `<count>.<random>`
            count = int(current.partition(".")[0]) if "." in current else int(current[:8], 16)
        return _count_text(count + 1) + random.randbytes(4).hex()

    async def latest(self, thread_id: str, ns: str = "") -> CheckpointTuple | None:
        """The latest checkpoint of a namespace."""
        target: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns}}
        return await self.aget_tuple(target)

    async def head(self, thread_id: str, namespace: str = "") -> CheckpointHead | None:
        """What the latest checkpoint of a namespace says about where its thread is. None without a checkpoint."""
        found = await self.latest(thread_id, namespace)
        return None if found is None else await self.head_of(found)

    async def head_of(self, found: CheckpointTuple) -> CheckpointHead:
        """The same of any checkpoint."""
        writes = await self.stored_writes(found.config)
        return head_of(found, [head_write(each.task_id, each.task_path, each.channel, each.value) for each in writes])

    @property
    def _is_of_run(self) -> bool:
        """Whether this is a clone that `for_run` has created."""
        return self._answers is not None

    def _remember_writes(self, found: CheckpointTuple) -> None:
        """Collects the answers and results among the pending writes of a checkpoint that was read, and the ids that its
        tasks had before a move."""
        if self._answers is None:
            return
        self.moved_ids.read(found.metadata)
        if found.pending_writes:
            self._answers.read(found.pending_writes)
            self.results.add(found.pending_writes)

    async def _write(self, thread_id: str, commands: list[RedisCommand], size: int) -> None:
        """Sends the commands of one write, after those of the writes before it, which may still be encoded. Raises
        `CeilingHit` if its `size` exceeds what remains of the thread's budget."""
        if self.writer.encoding.in_use:
            await self.writer.encoding.wait()
        await self._write_now(thread_id, commands, size)

    async def _write_now(self, thread_id: str, commands: list[RedisCommand], size: int) -> None:
        """Does the same for a caller that has just released `encoding`."""
        if thread_id == self._empty_thread:
            self._empty_thread = None
            self._remember_bytes(thread_id, 0)
        if self._max_thread_bytes is not None:
            used = self._used_bytes.get(thread_id)
            if used is None:
                used = await self.thread_bytes(thread_id)
                self._remember_bytes(thread_id, used)
            if used + size > self._max_thread_bytes:
                self.write_error = CeilingHit("state_bytes", self._max_thread_bytes, used + size)
                raise self.write_error
            self._used_bytes[thread_id] = used + size
            if used + size >= self._warn_at_bytes:
                self._warn_at_bytes = math.inf
                self._warn(used + size)
        await self.writer.write(commands)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Stores what a task wrote. An ordinary write is stored once: a repetition changes nothing. An error, an
        interrupt or a resume value replaces the earlier one."""
        if task_id == NULL_TASK:  # LangGraph stores all of them again, and a mark would move them to other positions
            writes = [write for write in writes if write[0] != MARK]
        if not writes:
            return
        target = config["configurable"]
        thread_id = str(target["thread_id"])
        stored = _with_positions(writes, task_id, task_path)
        key = CheckpointKey.from_configurable(target)
        if self._divides(key.namespace, [write.value for write in stored], task_path):
            async with self.writer.encoding:
                commands, size = await self._write_commands_in_turns(thread_id, key, stored)
            await self._write_now(thread_id, *self._with_marks(config, task_id, writes, commands, size))
        else:
            commands, size = self._write_commands(thread_id, key, stored)
            await self._write(thread_id, *self._with_marks(config, task_id, writes, commands, size))

    def _with_marks(
        self,
        config: RunnableConfig,
        task_id: str,
        writes: Sequence[tuple[str, Any]],
        commands: list[RedisCommand],
        size: int,
    ) -> tuple[list[RedisCommand], int]:
        """Adds the marks to store beside the root graph's checkpoint with these writes: see `InterruptAnswers`."""
        if self._answers is None:
            return commands, size
        target, run_id = config["configurable"], (config.get("metadata") or {}).get("run_id", "")
        marks = self._answers.marks(task_id, writes, run_id)
        if not marks or (root_id := root_of(target)) is None:
            return commands, size
        stored = [StoredWrite(marked, "", WRITES_IDX_MAP[RESUME], MARK, run_id) for marked in marks]
        mark_commands, mark_size = self._write_commands(str(target["thread_id"]), CheckpointKey("", root_id), stored)
        return commands + mark_commands, size + mark_size

    def _divides(self, namespace: str, values: Iterable[Any], task_path: str | None = None) -> bool:
        """Whether these values are large and may be encoded in slices."""
        return any(map(is_large, values)) and self.writer.may_divide(namespace, task_path)

    async def put_stored_writes(self, config: RunnableConfig, writes: Sequence[StoredWrite]) -> None:
        """Stores pending writes that another checkpointer stored, under the rules of `aput_writes`."""
        if writes:
            target = config["configurable"]
            thread_id = str(target["thread_id"])
            commands, size = self._write_commands(thread_id, CheckpointKey.from_configurable(target), writes)
            await self._write(thread_id, commands, size)

    @abstractmethod
    def _write_commands(
        self, thread_id: str, key: CheckpointKey, writes: Sequence[StoredWrite]
    ) -> tuple[list[RedisCommand], int]:
        """The commands that store pending writes and count their bytes, and the most bytes that they add."""

    async def _write_commands_in_turns(
        self, thread_id: str, key: CheckpointKey, writes: Sequence[StoredWrite]
    ) -> tuple[list[RedisCommand], int]:
        """Does the same as `_write_commands`. A checkpointer may encode large values in slices."""
        return self._write_commands(thread_id, key, writes)

    def _remember_bytes(self, thread_id: str, used: int) -> None:
        if len(self._used_bytes) >= _COUNTED_THREADS and thread_id not in self._used_bytes:
            self._used_bytes.clear()
        self._used_bytes[thread_id] = used

    @abstractmethod
    async def stored_writes(self, config: RunnableConfig) -> list[StoredWrite]:
        """The pending writes of the checkpoint that `config` names, in the order in which LangGraph applies them."""

    @abstractmethod
    async def checkpoint_ids(self, thread_id: str, namespace: str) -> list[str]:
        """The ids of a namespace's checkpoints, newest first, without reading the checkpoints."""

    @abstractmethod
    async def newest_ids(self, thread_id: str) -> dict[str, str]:
        """The id of the newest checkpoint of each namespace, without reading the checkpoints."""

    @abstractmethod
    async def thread_ids(self) -> list[str]:
        """The sorted ids of all threads that have checkpoints."""

    @abstractmethod
    async def thread_bytes(self, thread_id: str) -> int:
        """The stored bytes of a thread, as its budget counts them."""

    @abstractmethod
    async def storage(self, thread_id: str) -> ThreadStorage:
        """The storage that a thread's checkpoints take, by purpose."""

    @abstractmethod
    async def prune_thread(self, thread_id: str, incarnation: str) -> bool:
        """Deletes all checkpoints but the latest of each namespace. Returns False and does nothing if the thread was
        not created at `incarnation`, or while a run of it is active, which may be rolled back to an earlier
        checkpoint."""

    async def retain(
        self, thread_id: str, keep: int, incarnation: str | None = None, *, dry_run: bool = False
    ) -> StorageCount | None:
        """Deletes the checkpoints that `slipway.checkpoints.retention` does not keep, and returns their number and
        bytes; with `dry_run` it only counts them. None if the thread is busy, does not exist, was not created at
        `incarnation`, or changed meanwhile; some checkpoints may have been deleted then. Only the core checkpointer can
        do that: `KeptByGraph` rejects the setting for another one."""
        raise NotImplementedError

    @abstractmethod
    async def adelete_thread(self, thread_id: str) -> None:
        """Deletes all checkpoints of a thread. Does nothing if there are none."""

    @abstractmethod
    async def remove_leftovers(self, thread_id: str) -> None:
        """Deletes all checkpoints of a deleted thread. Does nothing if a thread of this id exists."""

    @abstractmethod
    async def adelete_for_runs(self, run_ids: Sequence[str], thread_ids: Collection[str] = ()) -> None:
        """Deletes the checkpoints that these runs created, in all namespaces and threads, except those from which a
        delta channel of a later checkpoint is rebuilt. `thread_ids` are the threads of runs that were deleted before:
        without their records, only other threads with their checkpoints are known."""

    @abstractmethod
    async def acopy_thread(
        self, source_thread_id: str, target_thread_id: str, incarnations: tuple[str, str] | None = None
    ) -> None:
        """Copies all checkpoints of a thread. Raises `Conflict` when the target has checkpoints, or is in another shard
        (`Shards.id_beside`). Raises `NotFound`, and copies nothing, when one of the two threads was not created at its
        time in `incarnations`."""


# LangGraph reads this signature at the start of every run. Computing it costs more than a round trip, so it is stored.
BaseCheckpointer.aput_writes.__signature__ = inspect.signature(BaseCheckpointer.aput_writes)  # type: ignore[attr-defined]
