"""Deletes the checkpoints of a thread that are not kept, in steps that block Redis only briefly.

A step deletes a few checkpoints, oldest first, with the channel values that no remaining checkpoint uses. It changes
nothing if a run or a state write came first. After a stop between two steps, the next call chooses the same
checkpoints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from slipway import failpoints
from slipway.checkpoints.checkpoint_key import CheckpointKey
from slipway.checkpoints.core_records import CheckpointRecord, deltas_of
from slipway.checkpoints.retention import RetainedHead, kept
from slipway.checkpoints.scripts import CheckpointScripts, HeadRow
from slipway.checkpoints.similar_values import unpacked_fields
from slipway.checkpoints.stored_form import StoredForm
from slipway.checkpoints.thread_storage import StorageCount
from slipway.redis.checkpoint_keys import blob_field, member

_READ_AT_ONCE: Final = 50
_DELETED_AT_ONCE: Final = 20
"""Checkpoints that one script deletes. Redis serves other clients between two scripts."""


class CoreRetention:
    """Applies the retention of checkpoints to threads."""

    def __init__(self, scripts: CheckpointScripts, form: StoredForm) -> None:
        self._scripts, self._form = scripts, form

    async def apply(self, thread_id: str, incarnation: str, keep: int, *, dry_run: bool) -> StorageCount | None:
        """Returns how many checkpoints were deleted (with `dry_run`: would be), and their bytes. None if the thread is
        busy or has changed meanwhile; then some may have been deleted."""
        rows = await self._read(thread_id)
        if rows is None:
            return None
        heads = {key: self._head(row) for key, row in rows.items() if row.record}
        remaining = kept(heads, keep)
        doomed = [key for key in sorted(heads) if key not in remaining]
        used_by = {key: _values_used(key, head, rows[key].dictionary) for key, head in heads.items()}
        uses = Counter(each for used in used_by.values() for each in used)
        runs = Counter(head.run_id for head in heads.values() if head.run_id)
        count, freed = len(rows), 0
        for at in range(0, len(doomed), _DELETED_AT_ONCE):
            step = doomed[at : at + _DELETED_AT_ONCE]
            uses.subtract(each for key in step for each in used_by[key])
            runs.subtract(heads[key].run_id for key in step if heads[key].run_id)
            unused = {each for key in step for each in used_by[key] if not uses[each]}
            left = {heads[key].run_id for key in step if heads[key].run_id and not runs[heads[key].run_id]}
            members = [member(*key) for key in step]
            step_bytes = await self._scripts.retain(
                thread_id, incarnation, count, members, sorted(unused), sorted(left), dry_run=dry_run
            )
            if step_bytes is None:
                return None
            failpoints.reach("checkpoints_pruned")
            freed += step_bytes
            count -= 0 if dry_run else len(step)
        return StorageCount(len(doomed), freed)

    async def _read(self, thread_id: str) -> Mapping[CheckpointKey, HeadRow] | None:
        """All checkpoints of a thread. None if some were added or deleted meanwhile."""
        rows: dict[CheckpointKey, HeadRow] = {}
        while True:
            count, page = await self._scripts.heads(thread_id, len(rows), _READ_AT_ONCE)
            rows |= {CheckpointKey(*row.member.split("\0", 1)): row for row in page}
            if len(page) < _READ_AT_ONCE:
                return rows if count == len(rows) else None

    def _head(self, row: HeadRow) -> RetainedHead:
        record = CheckpointRecord.unpack(row.record, self._form)
        metadata = record.metadata
        return RetainedHead(
            parent_id=record.parent_id,
            source=str(metadata.get("source", "loop")),
            run_id=str(metadata.get("run_id") or ""),
            has_interrupt=row.has_interrupt,
            deltas=deltas_of(row.record),
            stored_deltas=row.stored_deltas,
            parents=metadata.get("parents") or {},
            versions=tuple(record.versions),
        )


def _values_used(key: CheckpointKey, head: RetainedHead, dictionary: bytes) -> Iterable[str]:
    """The fields of the channel values that a checkpoint has, and of those with which its writes are compressed."""
    pairs = zip(head.versions[::2], head.versions[1::2], strict=True)
    return [*(blob_field(key.namespace, channel, version) for channel, version in pairs), *unpacked_fields(dictionary)]
