"""The script stubs of switches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slipway.redis.per_shard import PerShard
from slipway.redis.pipeline import Pipeline
from slipway.redis.reachable_shards import from_reachable
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs
from slipway.redis.shards import Shards
from slipway.redis.shared_records import SharedRecordStubs
from slipway.switches.record import OffSwitches, Switch, Target, switch_from

_SWITCH_OFF = load("switch_off")
_SWITCH_ON = load("switch_on")
_SWITCH_RESUME = load("switch_resume")


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """The stored switch. `changed` is False if it was off before: then it is as it was. `pending_shards` are the
    numbers of the shards that could not be reached: the runs there pause when they can be."""

    switch: Switch
    changed: bool
    pending_shards: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class SwitchedOn:
    """`changed` is False if it was on. `pending_shards` are the numbers of the shards that could not be reached: the
    runs there continue when they can be."""

    changed: bool
    pending_shards: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class ResumedRuns:
    """How many runs one call has queued, and whether more wait."""

    count: int
    more: bool


class SwitchScripts(SharedRecordStubs):
    """The switches of the deployment: shared records, which the first shard decides. A read takes one round trip, a
    change one and, with several shards, those of the copies."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        super().__init__(pipeline, shards)
        self._paused = PerShard(shards, lambda keys: PausedAtSwitches(pipeline, keys))

    async def read(self) -> OffSwitches:
        """All switches that are off."""
        flat = await self._pipeline.send("HGETALL", self._keys.switches, repeatable=True)
        return OffSwitches([switch_from(stored) for stored in flat[1::2]])

    async def switch_off(self, switch: Switch) -> SwitchedOff:
        """Switches it off in all shards."""
        args = self._args(switch=switch.target.key, stored=switch.stored())
        status, stored = await self._pipeline.run(_SWITCH_OFF, [], args)
        return SwitchedOff(switch_from(stored), changed=status == b"ok", pending_shards=await self._copy())

    async def switch_on(self, target: Target, *, by: str) -> SwitchedOn:
        """Switches it on in all shards, and marks the runs that paused there to be resumed."""
        status, *_ = await self._pipeline.run(_SWITCH_ON, [], self._args(switch=target.key, by=by))
        return SwitchedOn(changed=status == b"ok", pending_shards=await self._copy())

    async def resume_runs(self, limit: int) -> ResumedRuns:
        """Queues up to `limit` runs of each shard that paused at switches which are on again, each once. The runs of
        shards that do not reply are queued later."""
        if len(self._paused) == 1:
            return await self._paused[0].resume(limit)
        resumed = await from_reachable({number: each.resume(limit) for number, each in enumerate(self._paused)})
        return ResumedRuns(sum(each.count for each in resumed.values()), any(each.more for each in resumed.values()))

    @property
    def changes_channel(self) -> str:
        """The channel on which every change of a switch is published."""
        return self._keys.switch_changes


class PausedAtSwitches(ScriptStubs):
    """The runs of one shard that are paused before switches."""

    async def resume(self, limit: int) -> ResumedRuns:
        """Queues up to `limit` of those whose switch is on again, each once. One round trip."""
        count, more = await self._pipeline.run(_SWITCH_RESUME, [], self._args(limit=limit))
        return ResumedRuns(int(count), bool(more))
