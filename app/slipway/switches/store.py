"""Switches things off and on, for operators."""

from __future__ import annotations

from slipway import failpoints
from slipway.clock import Clock
from slipway.switches.record import OffSwitches, Switch, Target
from slipway.switches.scripts import SwitchedOff, SwitchedOn, SwitchScripts

_RUNS_A_CALL = 200
"""Runs that one script queues: it takes some milliseconds of Redis."""


class SwitchStore:
    """The switches of the deployment."""

    def __init__(self, scripts: SwitchScripts, clock: Clock) -> None:
        self._scripts, self._clock = scripts, clock

    async def all(self) -> OffSwitches:
        """Those that are off."""
        return await self._scripts.read()

    async def switch_off(self, target: Target, *, by: str, reason: str | None) -> SwitchedOff:
        """Runs pause before the target, within a second in every process. A switch that is off stays as it is."""
        since = self._clock.now().isoformat(timespec="seconds")
        return await self._scripts.switch_off(Switch(target, by, since, reason))

    async def switch_on(self, target: Target, *, by: str) -> SwitchedOn:
        """Switches it on and queues the runs that paused there. If this process dies before all runs are queued, a duty
        of the workers queues the others."""
        switched = await self._scripts.switch_on(target, by=by)
        failpoints.reach("switched_on")
        await self.resume_runs()
        return switched

    async def resume_runs(self) -> int:
        """Queues all runs that paused at switches which are on again. Returns how many this call has queued."""
        total, more = 0, True
        while more:
            resumed = await self._scripts.resume_runs(_RUNS_A_CALL)
            total, more = total + resumed.count, resumed.more
        return total
