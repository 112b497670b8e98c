"""The script stubs of crons. `run_create.lua` creates the run of a due time, and `advance` then sets the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from slipway.indexes.scripts import Index, IndexCheck, IndexWalk, Order
from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs
from slipway.runs.scripts import DueTime

_SAVE = load("cron_save")
_DELETE = load("cron_delete")
_DUE = load("cron_due")
_ADVANCE = load("cron_advance")
_SKIP = load("cron_skip")
_POSTPONE = load("cron_postpone")
_SEARCH = load("cron_search")
_INDEX_CHECK = load("cron_index_check")


@dataclass(frozen=True, slots=True)
class SavedCron:
    """`passed_ms` is a due time that had come and that the cron lost by the change: it must be revoked."""

    fields: Fields
    passed_ms: int | None


@dataclass(frozen=True, slots=True)
class DeletedCron:
    """`due_ms` is a due time that had come: it must be revoked. `thread_id` is None for a stateless cron."""

    incarnation: str
    due_ms: int | None
    thread_id: str | None


class CronScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def save(
        self,
        cron_id: str,
        changes: Mapping[str, str],
        metadata: Mapping[str, str],
        terms: str,
        *,
        create: bool,
        removed_fields: Sequence[str] = (),
        reschedule: bool,
        next_ms: int | None,
    ) -> SavedCron | None:
        """Creates or changes a cron. Returns None if the cron to change does not exist. `metadata` is stored a second
        time, one field for each member, for access filters. `terms` are the packed index terms."""
        arguments = self._args(
            cron_id=cron_id,
            fields=changes,
            metadata=metadata,
            terms=terms,
            create=create,
            removed_fields=list(removed_fields),
            reschedule=reschedule,
            next_ms=next_ms,
            seed=str(uuid4()),
        )
        reply = await self._pipeline.run(_SAVE, [], arguments)
        return SavedCron(fields_of(reply[1]), _number(reply[2])) if len(reply) > 1 else None

    async def delete(self, cron_id: str, incarnation: str | None = None) -> DeletedCron | None:
        """Returns None if the cron does not exist, or was not created at `incarnation`."""
        reply = await self._pipeline.run(_DELETE, [], self._args(cron_id=cron_id, incarnation=incarnation))
        if len(reply) == 1:
            return None
        created_us, due_ms, thread_id = reply[1:]
        return DeletedCron(created_us.decode(), _number(due_ms), thread_id.decode() or None)

    async def due(self, limit: int) -> tuple[int, list[Fields]]:
        """The time of Redis in ms, and the fields of due crons."""
        reply = await self._pipeline.run(_DUE, [], self._args(limit=limit))
        return int(reply[0]), [fields_of(flat) for flat in reply[1:]]

    async def advance(self, due_time: DueTime, run_id: str | None) -> bool:
        """Sets the next due time. `run_id` is the run of this due time, None if none was created. Returns False if the
        cron does not have this due time any more."""
        return bool(await self._pipeline.run(_ADVANCE, [], self._args(**due_time, run_id=run_id)))

    async def skip(self, due_time: DueTime, *, problem: str) -> bool:
        """Sets the next due time without a run. Returns False if the cron does not have this due time any more."""
        return bool(await self._pipeline.run(_SKIP, [], self._args(**due_time, problem=problem)))

    async def postpone(self, due_time: DueTime, *, problem: str, by_ms: int) -> bool:
        """Makes the cron due again in `by_ms`, for the same due time. Returns False if the cron does not have this due
        time any more."""
        return bool(await self._pipeline.run(_POSTPONE, [], self._args(**due_time, problem=problem, by_ms=by_ms)))


def cron_index_check(pipeline: Pipeline, keys: Keys) -> IndexCheck:
    """The check of the indexes of crons."""
    return IndexCheck(pipeline, keys, _INDEX_CHECK)


def cron_walk(pipeline: Pipeline, keys: Keys) -> IndexWalk:
    """A walk through the indexes of crons. The sets have the name of an index term, and are ordered by `created_at`."""
    return IndexWalk(pipeline, keys, _CRON_INDEX, _SEARCH)


_CRON_INDEX: Final = Index(lambda keys: keys.crons, Keys.crons_with)

CRON_ORDERS: Final = {
    "created_at": _CRON_INDEX.order,
    "updated_at": Order(lambda keys: keys.crons_by("updated_at")),
    "next_run_date": Order(lambda keys: keys.crons_by("next_run_date")),
    "end_time": Order(lambda keys: keys.crons_by("end_time")),
    "cron_id": Order(lambda keys: keys.crons_by("cron_id"), by_id=True),
    "assistant_id": Order(lambda keys: keys.crons_by("assistant_id"), by_text=True),
    "thread_id": Order(lambda keys: keys.crons_by("thread_id"), by_text=True),
}
"""The set of all crons in each order by which a search can sort. A disabled cron is in that of `next_run_date` without
its date."""


def _number(reply: bytes | None) -> int | None:
    return None if reply is None else int(reply)
