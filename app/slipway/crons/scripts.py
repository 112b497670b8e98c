"""The script stubs of crons. `run_create.lua` creates the run of a due time and sets the next due time, atomically."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import uuid4

from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs
from slipway.runs.scripts import DueTime

_SAVE = load("cron_save")
_DELETE = load("cron_delete")
_DUE = load("cron_due")
_SKIP = load("cron_skip")
_POSTPONE = load("cron_postpone")


class CronScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def save(
        self,
        cron_id: str,
        changes: Mapping[str, str],
        metadata: Mapping[str, str],
        *,
        create: bool,
        drops: Sequence[str] = (),
        moves: bool,
        next_ms: int | None,
    ) -> Fields | None:
        """Creates or changes a cron. Returns its fields; None if the cron, or the thread of a new one, does not exist.
        `metadata` is stored a second time, one field for each member, for access filters."""
        arguments = self._args(
            cron_id=cron_id,
            fields=changes,
            metadata=metadata,
            create=create,
            drops=list(drops),
            moves=moves,
            next_ms=next_ms,
            seed=str(uuid4()),
        )
        reply = await self._pipeline.run(_SAVE, [], arguments)
        return fields_of(reply[1]) if len(reply) > 1 else None

    async def delete(self, cron_id: str) -> bool:
        """Returns whether the cron existed."""
        return bool(await self._pipeline.run(_DELETE, [], self._args(cron_id=cron_id)))

    async def due(self, limit: int) -> tuple[int, list[Fields]]:
        """The time of Redis in ms, and the fields of due crons."""
        reply = await self._pipeline.run(_DUE, [], self._args(limit=limit))
        return int(reply[0]), [fields_of(held) for held in reply[1:]]

    async def skip(self, step: DueTime, *, problem: str, disable: bool) -> bool:
        """Lets a due time pass without a run. Returns False if another process has handled the due time before."""
        arguments = self._args(**step, problem=problem, disable=disable)
        return bool(await self._pipeline.run(_SKIP, [], arguments))

    async def postpone(self, step: DueTime, *, problem: str, by_ms: int) -> bool:
        """Makes the cron due again in `by_ms`, for the same due time. Returns False if another process has handled the
        due time before."""
        arguments = self._args(**step, problem=problem, by_ms=by_ms)
        return bool(await self._pipeline.run(_POSTPONE, [], arguments))
