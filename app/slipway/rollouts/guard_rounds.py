"""Rolls versions back whose runs end worse than those of the current version."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from slipway.rollouts.guard import look_at
from slipway.rollouts.record import Rollout
from slipway.rollouts.scripts import RolloutScripts
from slipway.rollouts.store import RolloutStore

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RolloutGuard:
    """Compares the versions of graphs, whenever a look is due."""

    scripts: RolloutScripts
    store: RolloutStore

    async def look(self, rollout: Rollout) -> bool:
        """One look at this rollout, if it is due. Returns True if its version was rolled back. If two processes look at
        once, both decide the same."""
        ramp = rollout.ramp
        if ramp is None:
            return False
        counts = await self.scripts.counts(rollout.graph_id)
        if counts.ramp_id != ramp.ramp_id:
            return False
        new, old = counts.of(ramp.version), counts.of(rollout.current)
        decision = look_at(new, old, counts.looks, self.store.rules)
        if decision is None:
            return False
        if decision.reason is None:
            await self.scripts.looked(rollout.graph_id, ramp.ramp_id, decision.look)
            return False
        change = await self.store.roll_back_automatically(rollout.graph_id, ramp.ramp_id, decision.reason)
        if change is None:
            return False
        log.warning("rollout.rolled_back", graph=rollout.graph_id, version=ramp.version, reason=decision.reason)
        return True
