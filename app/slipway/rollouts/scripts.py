"""The script stubs of rollouts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from slipway.redis.script_source import load
from slipway.redis.shared_records import SharedRecordStubs
from slipway.rollouts.changes import Change
from slipway.rollouts.counts import RampCounts, counts_from
from slipway.rollouts.ended_ramp import EndedRamp, end_from, end_of
from slipway.rollouts.record import HistoryEntry, Rollout, entry_from, rollout_from
from slipway.serialization.json_encoding import dumps

_ROLLOUT_CHANGE = load("rollout_change")
_ROLLOUT_LOOK = load("rollout_look")


@dataclass(frozen=True, slots=True)
class StoredRollout:
    """A rollout and its stored form, by which a script recognises it. Both are None for a graph without one."""

    rollout: Rollout | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A change was stored. `pending_shards` are the numbers of the shards that could not be reached: they get it when
    they can be."""

    pending_shards: Sequence[int] = ()


class WebhookToCall(TypedDict):
    """A delivery that is created with a change. `queue` is the kind of its queue, `body` is JSON."""

    id: str
    queue: str
    url: str
    body: str


class RolloutScripts(SharedRecordStubs):
    """The rollouts of the deployment: shared records, which the first shard decides. Each method takes one round trip;
    a change takes those of the copies too. Each shard counts what its threads and runs do."""

    async def read_all(self) -> dict[str, Rollout]:
        """All rollouts, by graph."""
        flat = await self._pipeline.send("HGETALL", self._keys.rollouts, repeatable=True)
        rollouts = [rollout_from(stored) for stored in flat[1::2]]
        return {rollout.graph_id: rollout for rollout in rollouts}

    async def read(self, graph_id: str) -> StoredRollout:
        stored = await self._pipeline.send("HGET", self._keys.rollouts, graph_id, repeatable=True)
        return StoredRollout(None, None) if stored is None else StoredRollout(rollout_from(stored), stored.decode())

    async def change(
        self, graph_id: str, before: StoredRollout, change: Change, webhook: WebhookToCall | None = None
    ) -> Stored | None:
        """Stores the change in all shards, and creates the delivery. Returns None if the rollout is not `before` any
        more."""
        after, ramp = change.rollout, None if before.rollout is None else before.rollout.ramp
        ended = None
        if before.rollout is not None and ramp is not None and (after is None or after.ramp is None):
            ended = end_of(before.rollout, ramp, change.entry).stored()
        args = self._args(
            graph_id=graph_id,
            before=before.text,
            after=None if after is None else after.stored(),
            ramp=None if after is None or after.ramp is None else after.ramp.ramp_id,
            ended=ended,
            entry=change.entry.stored(),
            action=change.entry.action.value,
            shown=dumps(change.shown()).decode(),
            webhook=webhook,
        )
        status, *_ = await self._pipeline.run(_ROLLOUT_CHANGE, [], args)
        return Stored(await self._copy()) if status == b"ok" else None

    async def looked(self, graph_id: str, ramp_id: str, look: int) -> bool:
        """Stores the number of the last look. Returns False if the ramp has ended."""
        return bool(await self._pipeline.run(_ROLLOUT_LOOK, [], [self._keys.prefix, graph_id, ramp_id, look]))

    async def counts(self, graph_id: str) -> RampCounts:
        """The counts of the current ramp in all shards; empty if no version is ramping."""
        fields = await asyncio.gather(*(self._fields(keys.rollout_counts(graph_id)) for keys in self._shards.threads))
        return _counts_of(fields)

    async def last_ramp(self, graph_id: str) -> EndedRamp | None:
        """The last ramp with its counts. None if a version is ramping, or none ever was."""
        fields = await asyncio.gather(*(self._fields(keys.rollout_last(graph_id)) for keys in self._shards.threads))
        end = fields[0].pop("ended", None)
        return None if end is None else EndedRamp(end_from(end), _counts_of(fields))

    async def _fields(self, key: str) -> dict[str, bytes]:
        flat = await self._pipeline.send("HGETALL", key, repeatable=True)
        return {name.decode(): each for name, each in zip(flat[::2], flat[1::2], strict=True)}

    async def with_counts(self) -> list[tuple[Rollout, RampCounts]]:
        """All rollouts, with the counts of those of which a version is ramping. Two round trips."""
        rollouts = [rollout for _, rollout in sorted((await self.read_all()).items())]
        ramps = [rollout.graph_id for rollout in rollouts if rollout.ramp is not None]
        counts = dict(zip(ramps, await asyncio.gather(*map(self.counts, ramps)), strict=True))
        return [(rollout, counts.get(rollout.graph_id, RampCounts())) for rollout in rollouts]

    async def history(self, graph_id: str, limit: int) -> list[HistoryEntry]:
        """The last `limit` changes, the newest first."""
        key = self._keys.rollout_history(graph_id)
        return [entry_from(each) for each in reversed(await self._pipeline.send("LRANGE", key, -limit, -1))]

    @property
    def changes_channel(self) -> str:
        """The channel on which every change of a rollout is published."""
        return self._keys.rollout_changes


def _counts_of(of_shards: Sequence[Mapping[str, bytes]]) -> RampCounts:
    """The sums of the counts of all shards. A shard that still counts another ramp than the first one does not know yet
    that this one has begun or ended."""
    ramp_id = of_shards[0].get("ramp", b"")
    numbers: Counter[str] = Counter()
    for fields in of_shards:
        if fields.get("ramp", b"") == ramp_id:
            numbers.update({name: int(each) for name, each in fields.items() if name != "ramp"})
    return counts_from(numbers, ramp_id.decode())
