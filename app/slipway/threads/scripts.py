"""The script stubs of threads: create, change, copy, delete, and the sweep of expired threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slipway.access.filtered_reads import filtered_fields
from slipway.checkpoints.leftovers_exist import LeftoversExist
from slipway.indexes.scripts import Index, IndexWalk, Order
from slipway.indexes.terms import metadata_digests, metadata_terms
from slipway.redis.hash_fields import METADATA_PREFIX, Fields, fields_of
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import load
from slipway.redis.script_stubs import RecordScriptStubs, ScriptStubs, arguments_for
from slipway.runs.scripts import StoredTtl
from slipway.threads.record import IndexedThread

_COPY = load("thread_copy")
_SWEEP = load("thread_sweep")
_CREATE = load("thread_create")
_PATCH = load("thread_patch")
_DELETE = load("thread_delete")
_EXPECT_CRONS = load("thread_expect_crons")
_SEARCH = load("thread_search")
_INDEX = load("thread_index")
_INDEX_SET = load("thread_index_set")
_DELETE_CRONS = load("thread_crons_delete")

MAX_STATE_WRITES: Final = 100
"""How many state writes a thread stores for its followers; older ones are removed."""


@dataclass(frozen=True, slots=True)
class ThreadCreated:
    """The thread is stored; these are its fields. `copied_incarnation` is the incarnation of the thread whose
    checkpoints are still to be copied to it, if any."""

    fields: Fields
    copied_incarnation: str | None = None


@dataclass(frozen=True, slots=True)
class ThreadIdInUse:
    """A thread with this id exists already. `by_same_request`: the same request created it, when it was sent earlier.
    `metadata` has the requested members."""

    by_same_request: bool
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class IndexCheck:
    """The threads that the indexes did not show as their records are, and those that have changed since they were
    read."""

    wrong: list[str]
    changed: list[str]


@dataclass(frozen=True, slots=True)
class SourceNotFound:
    """The thread to copy does not exist."""


@dataclass(frozen=True, slots=True)
class TargetInUse:
    """Another request has created a thread with the id of the copy."""


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The result of a sweep: deleted threads, threads whose checkpoints must be pruned, the number of busy threads, and
    the deleted threads whose crons must be deleted. A pair is a thread id and the thread's incarnation."""

    deleted: list[str]
    to_prune: list[tuple[str, str]]
    busy: int
    with_crons: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class DeletedThread:
    """`deleted_us` is the time of deletion in µs, which identifies the thread's entry in the trash. `has_crons`: the
    thread may have crons, which must be deleted."""

    deleted_us: bytes
    incarnation: str
    has_crons: bool


class ThreadScripts(RecordScriptStubs):
    """What is done with one thread. Each method takes one round trip."""

    async def create(
        self,
        thread_id: str,
        metadata: Mapping[str, str],
        token: str,
        ttl: StoredTtl | None = None,
        *,
        members: Sequence[str] = (),
    ) -> ThreadCreated | ThreadIdInUse | LeftoversExist:
        """Creates a thread. A request that is sent again has the same `token`. `members` are the members of the
        metadata that are read if the thread exists."""
        arguments = self._of_thread(
            thread_id,
            metadata=metadata,
            terms=metadata_terms(metadata),
            token=token,
            ttl=ttl,
            existing=["token", *(METADATA_PREFIX + name for name in members)],
        )
        reply = await self._pipeline.run(_CREATE, [], arguments)
        if reply[0] == b"leftovers":
            return LeftoversExist()
        if reply[0] == b"ok":
            return ThreadCreated(fields_of(reply[1]))
        existing = filtered_fields(reply[1], 1, members)
        return ThreadIdInUse(existing.plain[0] == token.encode(), existing.metadata)

    async def patch_metadata(
        self, thread_id: str, metadata: Mapping[str, str], *, ttl: StoredTtl | None = None
    ) -> Fields | None:
        """Sets members of a thread's metadata, each a JSON text. Returns the fields of the thread; None if it does not
        exist."""
        changes = {METADATA_PREFIX + name: text for name, text in metadata.items()}
        terms = metadata_terms(metadata)
        members = metadata_digests(metadata, terms)
        return await self._patch(thread_id, changes, members=members, terms=terms, ttl=ttl)

    async def set_state(
        self,
        thread_id: str,
        *,
        values: bytes,
        value_terms: str,
        interrupts: bytes,
        status: str,
        checkpoint_id: str | None,
        event_ttl_s: int,
        incarnation: str | None = None,
    ) -> Fields | None:
        """Stores the thread's values and interrupts, as JSON and compressed if they are large, the index terms of the
        values, and its status after a state write. Its checkpoint `checkpoint_id` is stored for followers for
        `event_ttl_s` seconds. Returns the fields of the thread; None if no such thread exists, or none that was created
        at `incarnation`."""
        return await self._patch(
            thread_id,
            {},
            [values, interrupts],
            value_terms=value_terms,
            state=status,
            checkpoint_id=checkpoint_id,
            event_ttl_s=event_ttl_s,
            incarnation=incarnation,
        )

    async def _patch(
        self,
        thread_id: str,
        changes: Mapping[str, str],
        new_state: Sequence[bytes] = (),
        *,
        members: str = "",
        terms: str = "",
        value_terms: str = "",
        state: str | None = None,
        checkpoint_id: str | None = None,
        event_ttl_s: int = 0,
        ttl: StoredTtl | None = None,
        incarnation: str | None = None,
    ) -> Fields | None:
        arguments = {
            "thread_id": thread_id,
            "fields": changes,
            "members": members,
            "terms": terms,
            "value_terms": value_terms,
            "state": state,
            "checkpoint_id": checkpoint_id,
            "event_ttl_s": event_ttl_s,
            "max_state_writes": MAX_STATE_WRITES,
            "ttl": ttl,
            "incarnation": incarnation,
        }
        reply = await self._pipeline.run(_PATCH, [], [*self._of_thread(thread_id, **arguments), *new_state])
        return fields_of(reply[1]) if len(reply) > 1 else None

    async def delete(self, thread_id: str, incarnation: str | None = None) -> DeletedThread | None:
        """Deletes a thread. Returns None if no such thread exists, or none that was created at `incarnation`."""
        reply = await self._pipeline.run(_DELETE, [], self._of_thread(thread_id, incarnation=incarnation))
        return DeletedThread(reply[1], reply[2].decode(), reply[3] is not None) if len(reply) > 1 else None

    async def expect_crons(self, thread_id: str) -> str | None:
        """Prepares the thread for a cron: its deletion will delete the cron too. Returns the thread's incarnation; None
        if it does not exist or is the temporary thread of a run."""
        reply = await self._pipeline.run(_EXPECT_CRONS, [], self._of_thread(thread_id))
        return reply[0].decode() if reply else None

    async def delete_crons(self, threads: Sequence[tuple[str, str]]) -> int:
        """Deletes the crons of deleted threads, each a thread id and the thread's incarnation. Returns the number of
        deleted crons."""
        crons = self._shards.crons
        return int(await self._pipeline.run(_DELETE_CRONS, [], arguments_for(crons, {"threads": list(threads)})))

    async def copy(
        self, source: str, thread_id: str, token: str, ttl: StoredTtl | None, metadata: dict[str, str] | None = None
    ) -> ThreadCreated | SourceNotFound | TargetInUse | LeftoversExist:
        """Creates a thread with the record of `source`, in the same shard (`Shards.id_beside`). A request that is
        sent again has the same `token`, and has the result `ThreadCreated` again, with the current fields."""
        assert self._shards.of_thread(source) == self._shards.of_thread(thread_id), "a copy is in the same shard"
        terms = None if metadata is None else metadata_terms(metadata)
        arguments = self._of_thread(thread_id, source=source, token=token, ttl=ttl, metadata=metadata, terms=terms)
        reply = await self._pipeline.run(_COPY, [], arguments)
        if reply[0] == b"leftovers":
            return LeftoversExist()
        if reply[0] == b"missing":
            return SourceNotFound()
        fields = fields_of(reply[1])
        if fields.get("token", b"").decode() != token:
            return TargetInUse()
        copied_us = fields.get("copied_us")
        return ThreadCreated(fields, None if copied_us is None else copied_us.decode())


class ThreadShardScripts(ScriptStubs):
    """What is done with the threads of one shard. Each method takes one round trip."""

    async def sweep(self, limit: int, pruned: Sequence[tuple[str, str]] = ()) -> SweepResult:
        """Handles up to `limit` expired threads. `pruned` are the threads that were pruned since the last sweep."""
        reply = await self._pipeline.run(_SWEEP, [], self._args(limit=limit, pruned=list(pruned)))
        deleted, to_prune, busy, with_crons = reply
        return SweepResult(_texts(deleted), _pairs(to_prune), int(busy), _pairs(with_crons))

    async def check_indexes(self, threads: Sequence[IndexedThread], *, repair: bool) -> IndexCheck:
        """Compares the indexes with these threads, and indexes them again with `repair`."""
        wrong, changed = await self._pipeline.run(_INDEX, [], self._args(threads=list(threads), repair=repair))
        return IndexCheck(_texts(wrong), _texts(changed))

    async def check_index_set(self, name: str, thread_ids: Sequence[str], *, repair: bool) -> list[str]:
        """The members of the set of a term or status that do not belong there; with `repair` they are removed."""
        return _texts(
            await self._pipeline.run(_INDEX_SET, [], self._args(name=name, ids=list(thread_ids), repair=repair))
        )


_THREAD_INDEX: Final = Index(lambda keys: keys.threads, Keys.threads_with)

THREAD_ORDERS: Final = {
    "updated_at": _THREAD_INDEX.order,
    "status": _THREAD_INDEX.order,
    "created_at": Order(lambda keys: keys.threads_created, earlier=True),
    "state_updated_at": Order(lambda keys: keys.threads_state, earlier=True),
    "thread_id": Order(lambda keys: keys.threads_ids, by_id=True),
}
"""The set of all threads in each order by which a search can sort. Threads of one status are ordered by `updated_at`.
"""


def thread_walk(pipeline: Pipeline, keys: Keys) -> IndexWalk:
    """A walk through the indexes of threads of one shard. The sets have the name of a status or of an index term, and
    are ordered by `updated_at`."""
    return IndexWalk(pipeline, keys, _THREAD_INDEX, _SEARCH)


def _texts(reply: Sequence[bytes]) -> list[str]:
    return [text.decode() for text in reply]


def _pairs(flat: Sequence[bytes]) -> list[tuple[str, str]]:
    texts = iter(text.decode() for text in flat)
    return list(zip(texts, texts, strict=True))
