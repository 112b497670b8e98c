"""The script stubs of switches."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs
from slipway.switches.record import OffSwitches, Switch, Target, switch_from

_SWITCH_OFF = load("switch_off")
_SWITCH_ON = load("switch_on")
_SWITCH_RESUME = load("switch_resume")


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """The stored switch. `changed` is False if it was off before: then it is as it was."""

    switch: Switch
    changed: bool


@dataclass(frozen=True, slots=True)
class ResumedRuns:
    """How many runs one call has queued, and whether more wait."""

    count: int
    more: bool


class SwitchScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def read(self) -> OffSwitches:
        """All switches that are off."""
        flat = await self._pipeline.send("HGETALL", self._keys.switches, repeatable=True)
        return OffSwitches([switch_from(stored) for stored in flat[1::2]])

    async def switch_off(self, switch: Switch) -> SwitchedOff:
        args = self._args(switch=switch.target.key, stored=switch.stored())
        status, stored = await self._pipeline.run(_SWITCH_OFF, [], args)
        return SwitchedOff(switch_from(stored), changed=status == b"ok")

    async def switch_on(self, target: Target, *, by: str) -> bool:
        """Switches it on, and marks the runs that paused there to be resumed. Returns False if it was on."""
        status, *_ = await self._pipeline.run(_SWITCH_ON, [], self._args(switch=target.key, by=by))
        return bool(status == b"ok")

    async def resume_runs(self, limit: int) -> ResumedRuns:
        """Queues up to `limit` runs that paused at switches which are on again, each once."""
        count, more = await self._pipeline.run(_SWITCH_RESUME, [], self._args(limit=limit))
        return ResumedRuns(int(count), bool(more))

    @property
    def changes_channel(self) -> str:
        """The channel on which every change of a switch is published."""
        return self._keys.switch_changes
