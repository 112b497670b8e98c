"""Compares the versions of each graph of which one is ramping, and rolls that one back if its runs end worse. Does
nothing while no version is ramping, and if `slipway.rollouts.automatic` is false.

Interval: `INTERVAL_S`.
Who: one worker at a time.
Logs: `rollout.rolled_back`, with the graph, the version and what was wrong with it.
"""

from __future__ import annotations

from typing import Final

from slipway.duties.exclusive_duty import ExclusiveDuty
from slipway.rollouts.guard_rounds import RolloutGuard
from slipway.rollouts.scripts import RolloutScripts
from slipway.services import Services

INTERVAL_S: Final = 1.0


class Rollouts(ExclusiveDuty):
    """One round looks at all ramps."""

    name = "rollouts"

    def __init__(self, services: Services) -> None:
        super().__init__(services, INTERVAL_S)
        self._watch, self._rules = services.rollout_watch, services.rollouts.rules
        self._guard = RolloutGuard(RolloutScripts(services.pipeline, services.shards), services.rollouts)

    async def may_run(self) -> bool:
        is_ramping = any(rollout.ramp is not None for rollout in self._watch.rollouts.values())
        return self._rules.automatic and is_ramping and await super().may_run()

    async def run_once(self) -> int:
        """Returns how many versions were rolled back."""
        return sum([await self._guard.look(rollout) for rollout in self._watch.rollouts.values()])
