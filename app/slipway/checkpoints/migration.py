"""Moves threads from one checkpointer to the other. A thread is copied, read back and compared. It is deleted from the
source only then, and only if that was requested.

Checkpoints that the target has already are not written again, so a migration that was interrupted can be started again.
A thread with an active run is skipped, also when the run starts during the copy.

After a copy without deletion, both checkpointers have the checkpoints of the thread. When a user deletes the thread,
only the checkpointer in use deletes its checkpoints. Therefore a migration records which threads it copied, and the
next migration deletes the checkpoints of those threads that were deleted in between from both checkpointers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple

from slipway.checkpoints.base_checkpointer import BaseCheckpointer, StoredWrite
from slipway.checkpoints.checkpoint_key import CheckpointKey
from slipway.checkpoints.fenced_writers import IdleThreadWriter
from slipway.checkpoints.reads import MigrationRecords
from slipway.checkpoints.scripts import TrashScripts
from slipway.errors import Conflict, NotFound, SlipwayError, StoreUnavailable
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.serialization.objects import codec_of
from slipway.serialization.serde import UnknownObject

_CONCURRENCY: Final = 8
"""How many threads are moved at the same time. Their commands share round trips."""

BUSY: Final = "busy: it has a run that is pending or running"
REPLACED: Final = "it was deleted since it was copied, and another thread has its id: neither checkpointer was changed"


@dataclass(frozen=True, slots=True)
class MoveResult:
    """The result for one thread. `problem` is the reason why it was not moved, or ""."""

    thread_id: str
    checkpoints: int
    problem: str


@dataclass(frozen=True, slots=True)
class Migration:
    """Moves threads from `source` to `target`, which use the same server."""

    pipeline: Pipeline
    shards: Shards
    source: BaseCheckpointer
    target: BaseCheckpointer
    delete_source: bool = False

    async def thread_ids(self) -> list[str]:
        """All threads of the source, and all that were copied before, which may have been deleted since."""
        return sorted({*await self.source.thread_ids(), *await self._records.copied_threads()})

    @property
    def _records(self) -> MigrationRecords:
        return MigrationRecords(self.pipeline, self.shards)

    async def run(self, thread_ids: Sequence[str]) -> AsyncGenerator[MoveResult]:
        """Yields the result of each thread when it was moved or skipped. Raises `StoreUnavailable`; then no data is
        lost."""
        waiting, running = list(thread_ids)[::-1], set[asyncio.Task[MoveResult]]()
        try:
            while waiting or running:
                while waiting and len(running) < _CONCURRENCY:
                    running.add(asyncio.create_task(self.move(waiting.pop())))
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield await task
        finally:
            for task in running:
                task.cancel()

    async def move(self, thread_id: str) -> MoveResult:
        """Moves one thread. A problem with this thread is returned, not raised."""
        try:
            if await TrashScripts(self.pipeline, self.shards).deleted_us_of(thread_id) is not None:
                # its checkpoints are leftovers, which must not be copied
                return MoveResult(thread_id, 0, "")
            if await self._records.is_busy(thread_id):
                return MoveResult(thread_id, 0, BUSY)
            copied_us, created_us = await self._records.incarnations(thread_id)
            if copied_us and not created_us:
                await self._remove_deleted(thread_id)
                return MoveResult(thread_id, 0, "")
            if copied_us and copied_us != created_us:
                return MoveResult(thread_id, 0, REPLACED)
            await self.copy_thread(thread_id, created_us)
            count, problem = await self._compare(thread_id)
            if not problem and self.delete_source:
                if await self._records.is_busy(thread_id):
                    return MoveResult(thread_id, count, BUSY)
                await self.source.adelete_thread(thread_id)
                await self._records.remove(thread_id)
            return MoveResult(thread_id, count, problem)
        except StoreUnavailable:
            raise
        except Conflict:
            return MoveResult(thread_id, 0, BUSY)
        except NotFound as error:  # it was deleted in between
            await self.target.remove_leftovers(thread_id)
            return MoveResult(thread_id, 0, str(error))
        except SlipwayError as error:
            return MoveResult(thread_id, 0, str(error))

    async def _remove_deleted(self, thread_id: str) -> None:
        """Deletes the checkpoints of a deleted thread from both checkpointers, unless another thread has its id."""
        for checkpointer in (self.source, self.target):
            await checkpointer.remove_leftovers(thread_id)
        _, created_us = await self._records.incarnations(thread_id)
        if not created_us:
            await self._records.remove(thread_id)

    async def copy_thread(self, thread_id: str, created_us: str) -> None:
        if created_us:
            await self._records.set_copied(thread_id, created_us)
        writer = IdleThreadWriter(self.pipeline, self.shards, thread_id, created_us)
        target = self.target.for_run(writer)
        stored: set[tuple[str, str, Any]] = set()
        async for checkpoint in self.source.alist(_thread(thread_id)):
            versions = checkpoint.checkpoint["channel_versions"]
            namespace = checkpoint.config["configurable"]["checkpoint_ns"]
            copied = await target.aget_tuple(checkpoint.config)
            if copied is None or _difference(checkpoint, copied):
                new = {name: version for name, version in versions.items() if (namespace, name, version) not in stored}
                parent = (checkpoint.parent_config or {}).get("configurable", {}).get("checkpoint_id")
                configurable = {**checkpoint.config["configurable"], "checkpoint_id": parent}
                await target.aput({"configurable": configurable}, checkpoint.checkpoint, checkpoint.metadata, new)
            stored.update((namespace, name, version) for name, version in versions.items())
            if checkpoint.pending_writes:
                in_target = await target.stored_writes(checkpoint.config)
                in_source = await self.source.stored_writes(checkpoint.config)
                missing = [write for write in in_source if not _contains(in_target, write)]
                await target.put_stored_writes(checkpoint.config, missing)

    async def _compare(self, thread_id: str) -> tuple[int, str]:
        """Compares the copy with the source. Returns the number of equal checkpoints, and the first difference ("" for
        none)."""
        count = 0
        async for checkpoint in self.source.alist(_thread(thread_id)):
            copied = await self.target.aget_tuple(checkpoint.config)
            difference = "is missing" if copied is None else _difference(checkpoint, copied)
            if not difference and checkpoint.pending_writes:
                in_target = await self.target.stored_writes(checkpoint.config)
                in_source = await self.source.stored_writes(checkpoint.config)
                if not all(_contains(in_target, write) for write in in_source):
                    difference = "has other pending writes"
            if difference:
                key = CheckpointKey.from_configurable(checkpoint.config["configurable"])
                return count, f"checkpoint {key.checkpoint_id} of namespace {key.namespace!r} {difference}"
            count += 1
        return count, ""


def _thread(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id}}


def _difference(source: CheckpointTuple, copied: CheckpointTuple) -> str:
    """How the copied checkpoint differs from its source; "" if it is equal."""
    for name in ("config", "parent_config", "metadata"):
        if not is_equal(getattr(source, name), getattr(copied, name)):
            return f"has another {name}"
    for name in {*source.checkpoint, *copied.checkpoint}:
        if not is_equal(source.checkpoint.get(name), copied.checkpoint.get(name)):
            return f"has other {name}"
    return ""


def _contains(writes: Sequence[StoredWrite], write: StoredWrite) -> bool:
    return any(write[:4] == other[:4] and is_equal(write.value, other.value) for other in writes)


class _CompareAll:
    """Compares all attributes of an object, also those that cannot be stored."""

    def storable(self, value: Any) -> bool:
        return True

    def copied(self, value: Any) -> Any:
        return value

    def may_be_incomplete(self, cls: type) -> bool:
        return False

    def report_omitted(self, cls: type, names: Iterable[str], why: str) -> None:
        return None


def is_equal(first: Any, second: Any) -> bool:
    """Whether two values of state are equal and have equal types at all levels."""
    if type(first) is not type(second):
        return False
    if type(first) is UnknownObject:
        return first.reference == second.reference and is_equal(first.payload, second.payload)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(is_equal(value, second[name]) for name, value in first.items())
    if type(first) in (list, tuple):
        return len(first) == len(second) and all(map(is_equal, first, second))
    if isinstance(first, float) and first != first:
        return bool(second != second)
    if (shape := codec_of(type(first), _CompareAll())) is not None:  # the class itself may compare by identity
        return first is second or is_equal(shape[0](first), shape[0](second))
    equal = first == second
    return bool(equal) if isinstance(equal, bool) else bool(equal.all()) and first.shape == second.shape
