"""Shared records: switches, rollouts, registered versions of graphs and webhook endpoints, which scripts of every shard
of threads read.

The first shard decides: one script changes the record there and gives it a new revision. `copy` then replaces the
copies in the other shards whose revisions are older. Whoever has changed a record calls it, and so does a duty of a
worker, for changes whose process has died and for shards that were unavailable. It may be called at any time, by many
at once: a copy is never replaced by an older one. What a change entails in a shard, such as runs that continue, is done
by the script that replaces the copy.

With one shard there are no copies, and nothing is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import chain

import structlog

from slipway import failpoints
from slipway.errors import StoreUnavailable
from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.reachable_shards import from_reachable, within_time
from slipway.redis.script_stubs import ScriptStubs
from slipway.redis.shards import Shards
from slipway.redis.shared_record_scripts import Changes, SharedRecordScripts

log = structlog.get_logger(__name__)


class SharedRecords:
    """Copies shared records to all shards."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        self._shards = PerShard(shards, lambda keys: SharedRecordScripts(pipeline, keys))

    async def copy(self) -> Sequence[int]:
        """Copies what has changed to the other shards. Returns the numbers of those that do not reply within
        `REPLY_WITHIN_S`: they lack changes, or it is not known. Raises `StoreUnavailable` if the first shard cannot be
        reached."""
        if len(self._shards) == 1:
            return ()
        home, reached = await self._revisions()
        behind = {number: revision for number, revision in reached.items() if revision != home}
        copied, has_restated = reached.keys() - behind.keys(), False
        while behind:
            changes = await within_time(self._shards[0].read(sorted(set(behind.values()))))
            if changes is not None:
                behind = await self._replace(changes, behind)
                if not changes.has_more:
                    break
            elif not has_restated:
                has_restated = True
                await self._restate(behind)
            else:
                raise StoreUnavailable("the first shard loses its revisions of shared records")
        return [number for number in range(1, len(self._shards)) if number not in copied | behind.keys()]

    async def _revisions(self) -> tuple[int, dict[int, int]]:
        """The revision of the first shard, and those of the other shards that reply, by number."""
        revisions = await from_reachable({number: each.revision() for number, each in enumerate(self._shards)})
        if 0 not in revisions:
            raise StoreUnavailable("the first shard does not reply")
        return revisions.pop(0), revisions

    async def _replace(self, changes: Changes, revisions: Mapping[int, int]) -> dict[int, int]:
        """Replaces the copies in the shards with older revisions. Returns the new revisions of all shards but those
        that do not reply."""
        older = [number for number, revision in revisions.items() if revision < changes.revision]
        replaced = await from_reachable({number: self._shards[number].replace(changes) for number in older})
        newer = {number: revision for number, revision in revisions.items() if number not in older}
        return newer | dict.fromkeys(replaced, changes.revision)

    async def _restate(self, copies: Mapping[int, int]) -> None:
        """The first shard has lost writes: its records are right now, also those that it does not have any more."""
        names = await asyncio.gather(*(within_time(self._shards[number].names()) for number in copies))
        restated = await within_time(self._shards[0].restate([*copies.values()], sorted({*chain(*names)})))
        log.warning("shared_records.restated", restated=restated, shards=[str(number) for number in copies])


class SharedRecordStubs(ScriptStubs):
    """The base of the stubs of scripts that change shared records. They use the first shard."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        super().__init__(pipeline, shards.home)
        self._shards, self._copies = shards, SharedRecords(pipeline, shards)

    async def _copy(self) -> Sequence[int]:
        """Copies what was changed. Returns the numbers of the shards that get the change later, because they could not
        be reached: it is decided, and the log names them."""
        if self._shards.tagged:
            failpoints.reach("shared_record_decided")
        try:
            pending = await self._copies.copy()
        except StoreUnavailable:
            pending = range(1, self._shards.count)
        if pending:
            log.warning("shared_records.pending", shards=[str(number) for number in pending])
        return pending
