"""The script stubs of the core checkpointer, of state writes outside runs, and of the trash. An attempt's checkpoints
are written by `RunScripts.run_apply`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from slipway.checkpoints.thread_storage import StorageCount, ThreadStorage
from slipway.redis.checkpoint_keys import names_of, run_threads, thread_record
from slipway.redis.connection import Arg
from slipway.redis.keys import Keys
from slipway.redis.redis_commands import RedisCommand, commands_by_shard, packed
from slipway.redis.script_source import load
from slipway.redis.script_stubs import RecordScriptStubs

_READ = load("checkpoint_read")
_HISTORY = load("checkpoint_history")
_DELETE = load("checkpoint_delete")
_PRUNE = load("checkpoint_prune")
_HEADS = load("checkpoint_heads")
_POSITION = load("checkpoint_position")
_RETAIN = load("checkpoint_retain")
_STORAGE = load("checkpoint_storage")
_COPY = load("checkpoint_copy")
_ENCRYPTED = load("checkpoint_encrypted")
_APPLY_UNFENCED = load("apply_unfenced")
_APPLY_IF_IDLE = load("apply_if_idle")
_APPLY_IF_PAUSED = load("apply_if_paused")
_TRASH_REMOVE = load("trash_remove")

CheckpointRow = list[Any]
"""One checkpoint in a reply: member and record; with values and writes also the values, in the order of the record, and
the pending writes as a flat list, and the values with which the joined ones are compressed."""


class CopyResult(StrEnum):
    """The outcome of copying a thread's checkpoints. Only `COPIED` has changed something."""

    COPIED = "ok"
    TARGET_EXISTS = "exists"
    """The target has checkpoints already."""
    THREAD_DELETED = "deleted"
    """One of the threads was deleted, or deleted and created again."""


class StateWriteResult(StrEnum):
    """The outcome of a state write outside runs. Only `WRITTEN` has changed something."""

    WRITTEN = "ok"
    BUSY = "busy"
    """A run of the thread is pending or executes; for the write of a paused run: it is not paused."""
    MOVED = "moved"
    """The thread was moved to another version of its graph."""
    THREAD_DELETED = "deleted"
    """The thread was deleted, or deleted and created again."""


@dataclass(frozen=True, slots=True)
class HeadRow:
    """What decides whether a checkpoint is kept. `record` is empty if only pending writes are stored. `stored_deltas`
    are the delta channels that it has a value of. `dictionary` are the packed names of the values with which its writes
    are compressed."""

    member: str
    record: bytes
    has_interrupt: bool
    stored_deltas: tuple[str, ...]
    dictionary: bytes


@dataclass(frozen=True, slots=True)
class PositionRow:
    """The latest checkpoint of a namespace, without large values of its state. `values` are in the order of the record:
    None for a channel without a value, the number of bytes of a large one. `writes` is a flat list: task and index,
    channel, path, value of a `Send` or nothing."""

    checkpoint_id: str
    record: bytes
    values: list[bytes | int | None]
    writes: list[bytes]


@dataclass(frozen=True, slots=True)
class MemberPage:
    """The first `members_read` of the requested checkpoints, without those that do not exist. `stored_bytes` counts all
    checkpoints of the thread."""

    stored_bytes: int
    rows: list[CheckpointRow]
    members_read: int


@dataclass(frozen=True, slots=True)
class RangePage:
    """Checkpoints of a namespace, newest first. `continue_at` is the id below which the next page starts, "" at the
    end. `stored_bytes` counts all checkpoints of the thread."""

    stored_bytes: int
    rows: list[CheckpointRow]
    continue_at: str


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """The ancestors of a checkpoint, nearest first: pending writes, and channels with their values, each as a flat
    list, and the values with which joined writes are compressed. `continue_at` is the ancestor at which the next page
    starts, "" at the end."""

    ancestors: list[tuple[list[bytes], list[bytes], list[bytes | None]]]
    continue_at: str


class CheckpointScripts(RecordScriptStubs):
    """Each method takes one round trip. A page ends after `page_bytes`, but has at least one checkpoint if any
    exists."""

    async def read_members(
        self, thread_id: str, members: Sequence[Arg], *, complete: bool, page_bytes: int
    ) -> MemberPage:
        """Reads checkpoints by their members of the index; with `complete` also values and pending writes."""
        used, continue_at, rows = await self._read(thread_id, complete, page_bytes, "exact", *members)
        return MemberPage(used, rows, int(continue_at or len(members)))

    async def read_range(
        self, thread_id: str, namespace: str, below: str, count: int, *, complete: bool, page_bytes: int
    ) -> RangePage:
        """Reads up to `count` checkpoints of a namespace, newest first, whose ids are below `below` ("" for all); with
        `complete` also values and pending writes."""
        used, continue_at, rows = await self._read(thread_id, complete, page_bytes, "range", namespace, below, count)
        return RangePage(used, rows, continue_at.decode())

    async def _read(
        self, thread_id: str, complete: bool, page_bytes: int, *selection: Arg
    ) -> tuple[int, bytes, list[CheckpointRow]]:
        """Returns the bytes of the thread, where the next page continues (empty at the end), and the checkpoints."""
        names = names_of(self._keys, thread_id)
        arguments: list[Arg] = [names.writes_prefix, "all" if complete else "records", page_bytes, *selection]
        used, continue_at, rows = await self._pipeline.run(_READ, [names.index, names.state], arguments)
        return int(used), continue_at, rows

    async def read_history(
        self,
        thread_id: str,
        namespace: str,
        checkpoint_id: str,
        channels: Sequence[str],
        *,
        continue_at: str,
        page_bytes: int,
    ) -> HistoryPage:
        """Reads one page of the pending writes and values of delta channels, which the ancestors of a checkpoint (""
        for the latest) contain, nearest ancestor first. The first page begins at `continue_at` ""."""
        names = names_of(self._keys, thread_id)
        arguments: list[Arg] = [names.writes_prefix, namespace, checkpoint_id, continue_at, page_bytes, *channels]
        next_ancestor, ancestors = await self._pipeline.run(_HISTORY, [names.index, names.state], arguments)
        return HistoryPage([(writes, values, similar) for writes, values, similar in ancestors], next_ancestor.decode())

    async def delete(self, thread_id: str, limit: int, *, unless_thread_exists: bool) -> bool:
        """Deletes up to `limit` checkpoints. Returns whether more are to be deleted. Deletes nothing if the thread must
        not exist and exists."""
        names = names_of(self._keys, thread_id)
        guards = [thread_record(self._keys, thread_id)] if unless_thread_exists else []
        arguments: list[Arg] = [names.writes_prefix, thread_id, *self._run_threads_affixes(thread_id), limit]
        arguments.append("1" if unless_thread_exists else "")
        return int(await self._pipeline.run(_DELETE, [names.index, names.state, *guards], arguments)) > 0

    async def prune(self, thread_id: str, incarnation: str | None = None) -> bool:
        """Deletes all checkpoints but the latest of each namespace. Returns False and deletes nothing if the thread is
        busy or was not created at `incarnation`, unless `incarnation` is None."""
        if incarnation is None:
            return await self._prune(thread_id, [], "latest")
        return await self._prune(thread_id, [thread_record(self._keys, thread_id)], "latest", incarnation)

    async def delete_checkpoints_of_runs(self, thread_id: str, run_ids: Sequence[str]) -> None:
        """Deletes the checkpoints that these runs created."""
        await self._prune(thread_id, [], "runs", *run_ids)

    async def _prune(self, thread_id: str, guards: Sequence[str], mode: str, *rest: str) -> bool:
        names = names_of(self._keys, thread_id)
        arguments = [names.writes_prefix, thread_id, *self._run_threads_affixes(thread_id), mode, *rest]
        return int(await self._pipeline.run(_PRUNE, [names.index, names.state, *guards], arguments)) >= 0

    async def heads(self, thread_id: str, first: int, limit: int) -> tuple[int, list[HeadRow]]:
        """Returns how many checkpoints the thread has, and up to `limit` of them from position `first` in its index."""
        names = names_of(self._keys, thread_id)
        count, *rows = await self._pipeline.run(_HEADS, [names.index, names.state], [names.writes_prefix, first, limit])
        return int(count), [
            HeadRow(name.decode(), record, interrupted == 1, tuple(channel.decode() for channel in stored), names)
            for name, record, interrupted, stored, names in rows
        ]

    async def position(self, thread_id: str, namespace: str, small_bytes: int) -> PositionRow | None:
        """What the latest checkpoint of a namespace says about where its thread is, with values of the state of at most
        `small_bytes`. None without a checkpoint."""
        names = names_of(self._keys, thread_id)
        reply = await self._pipeline.run(
            _POSITION, [names.index, names.state], [names.writes_prefix, namespace, small_bytes]
        )
        return PositionRow(reply[0].decode(), *reply[1:]) if reply else None

    async def retain(
        self,
        thread_id: str,
        incarnation: str,
        count: int,
        members: Sequence[str],
        values: Sequence[str],
        runs: Sequence[str],
        *,
        dry_run: bool,
    ) -> int | None:
        """Deletes checkpoints, values that no other checkpoint uses, and the thread from the sets of `runs`. Returns
        the freed bytes. None, and deletes nothing, if the thread is busy, was not created at `incarnation`, or does not
        have `count` checkpoints. With `dry_run` it only counts."""
        names = names_of(self._keys, thread_id)
        guards: list[Arg] = [incarnation, count, "" if dry_run else "1"]
        counts: list[Arg] = [len(members), len(values), len(runs)]
        arguments = [names.writes_prefix, thread_id, *self._run_threads_affixes(thread_id), *guards, *counts]
        keys = [names.index, names.state, thread_record(self._keys, thread_id)]
        freed = int(await self._pipeline.run(_RETAIN, keys, [*arguments, *members, *values, *runs]))
        return None if freed < 0 else freed

    async def storage(self, thread_id: str) -> ThreadStorage:
        names = names_of(self._keys, thread_id)
        reply = await self._pipeline.run(_STORAGE, [names.index, names.state], [names.writes_prefix])
        flat = iter(reply[4:])
        channels = {
            name.decode(): StorageCount(int(count), int(size))
            for name, count, size in zip(flat, flat, flat, strict=True)
        }
        checkpoints, writes = (StorageCount(int(reply[i]), int(reply[i + 1])) for i in (0, 2))
        return ThreadStorage(checkpoints, writes, channels)

    async def copy(self, source_id: str, target_id: str, incarnations: tuple[str, str] | None) -> CopyResult:
        """Copies all checkpoints of a thread. With `incarnations`, the creation times of source and target, only if
        both threads were created then."""
        source, target = names_of(self._keys, source_id), names_of(self._keys, target_id)
        guards = [thread_record(self._keys, name) for name in (source_id, target_id)] if incarnations else []
        arguments = [source.writes_prefix, target.writes_prefix, target_id, *self._run_threads_affixes(target_id)]
        reply = await self._pipeline.run(
            _COPY,
            [source.index, source.state, target.index, target.state, *guards],
            [*arguments, *(incarnations or ())],
        )
        return CopyResult(reply.decode())

    async def has_value_with_mark(self, thread_ids: Sequence[str], mark: bytes) -> bool:
        """Whether one of a few values of these threads, which are in one shard, begins with `mark`."""
        states = [names_of(self._keys, thread_id).state for thread_id in thread_ids]
        return bool(await self._pipeline.run(_ENCRYPTED, states, [mark]))

    async def apply_unfenced(self, commands: Sequence[RedisCommand]) -> None:
        """Executes commands without a condition. Those of each shard are executed together."""
        for each in commands_by_shard(commands):
            await self._pipeline.run(_APPLY_UNFENCED, [str(each[0][1])], packed(each))

    async def apply_if_idle(
        self, thread_id: str, incarnation: str, commands: Sequence[RedisCommand], pin: tuple[str, str] | None
    ) -> StateWriteResult:
        """Executes commands if no run of the thread is pending or executes. `incarnation` is the creation time of the
        thread, "" for a thread without a record. `pin` are a graph and the version of it to which the thread must be
        pinned ("" for none); None if that does not matter."""
        record = thread_record(self._keys, thread_id)
        reply = await self._pipeline.run(_APPLY_IF_IDLE, [record], [incarnation, *(pin or ("", "")), *packed(commands)])
        return StateWriteResult(reply.decode())

    async def apply_if_paused(
        self, run_id: str, incarnation: str, commands: Sequence[RedisCommand], thread_id: str, pin: tuple[str, str]
    ) -> StateWriteResult:
        """Executes commands if the run, which was created at `incarnation`, is paused. `pin`: see `apply_if_idle`."""
        keys = [self._keys.run(run_id), thread_record(self._keys, thread_id)]
        reply = await self._pipeline.run(_APPLY_IF_PAUSED, keys, [incarnation, *pin, *packed(commands)])
        return StateWriteResult(reply.decode())

    def _run_threads_affixes(self, thread_id: str) -> tuple[str, str]:
        """What precedes and follows a run id in the name of a run's set of threads, in the shard of this thread."""
        before, _, after = run_threads(self._shards.of_thread(thread_id), "\0").partition("\0")
        return before, after


class TrashScripts(RecordScriptStubs):
    """Reads and removes entries of the trash: deleted threads whose checkpoints are not deleted yet. Each method takes
    one round trip."""

    async def entries(self, shard: Keys, first: int, limit: int) -> list[tuple[str, bytes]]:
        """Up to `limit` entries of a shard from position `first`: thread id and time of deletion in µs, the oldest
        first."""
        last = first + limit - 1
        found = await self._pipeline.send("ZRANGE", shard.trash, first, last, "WITHSCORES", repeatable=True)
        return [(name.decode(), deleted_us) for name, deleted_us in zip(found[::2], found[1::2], strict=True)]

    async def deleted_us_of(self, thread_id: str) -> bytes | None:
        """When a thread of this id was deleted, in µs; None if the trash has no entry for it."""
        trash = self._shards.of_thread(thread_id).trash
        deleted_us: bytes | None = await self._pipeline.send("ZSCORE", trash, thread_id, repeatable=True)
        return deleted_us

    async def remove(self, thread_id: str, deleted_us: bytes) -> None:
        """Removes the entry, which makes the id usable again. Does nothing if another thread of this id was deleted
        since `deleted_us`."""
        trash = self._shards.of_thread(thread_id).trash
        await self._pipeline.run(_TRASH_REMOVE, [trash], [thread_id, deleted_us])
