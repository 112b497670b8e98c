"""Follows the rollouts, in every process that executes runs or accepts new ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import structlog

from slipway.redis.change_watch import ChangeWatch
from slipway.redis.subscriber import Subscriber
from slipway.rollouts.choice import VERSION_HEADER
from slipway.rollouts.record import Ramp, Rollout
from slipway.rollouts.scripts import RolloutScripts

log = structlog.get_logger(__name__)

POLL_S: Final = 5.0
"""Seconds between two reads. A change that was not published takes effect within this time and a round trip."""

_NONE: Final[Mapping[str, Rollout]] = MappingProxyType({})


class RolloutWatch:
    """The rollouts as this process knows them. Each callable in `on_change` is called after each change."""

    def __init__(self, scripts: RolloutScripts, subscriber: Subscriber) -> None:
        self._scripts = scripts
        self.rollouts: Mapping[str, Rollout] = _NONE
        """By graph. Replaced as a whole by each change, so that any thread may read it."""
        self.header_names: Sequence[str] = (VERSION_HEADER,)
        """The request headers, in lower case, by which the version of a new run is chosen."""
        self.on_change: list[Callable[[], None]] = []
        self._watch = ChangeWatch(subscriber, scripts.changes_channel, self.refresh, records="rollouts", poll_s=POLL_S)

    def of(self, graph_id: str) -> Rollout | None:
        """The rollout of a graph."""
        return self.rollouts.get(graph_id)

    def ramp_of(self, graph_id: str) -> Ramp | None:
        """The ramp of a graph, if one of its versions is ramping."""
        rollout = self.rollouts.get(graph_id)
        return None if rollout is None else rollout.ramp

    async def start(self) -> None:
        """Reads the rollouts, and follows them until `close`. Raises `StoreUnavailable`."""
        await self._watch.start()

    async def close(self) -> None:
        """Ends the watch."""
        await self._watch.close()

    async def refresh(self) -> None:
        """Reads the rollouts now. Raises `StoreUnavailable`."""
        rollouts = await self._scripts.read_all()
        if rollouts != self.rollouts:
            self.rollouts = MappingProxyType(rollouts)
            self.header_names = (VERSION_HEADER, *_header_names(rollouts.values()))
            log.info("rollouts.changed", graphs=sorted(rollouts))
            for callback in self.on_change:
                callback()


def _header_names(rollouts: Iterable[Rollout]) -> list[str]:
    rules = [rule for rollout in rollouts if rollout.ramp is not None for rule in rollout.ramp.testers]
    return sorted({rule.name for rule in rules if rule.source == "header"} - {VERSION_HEADER})
