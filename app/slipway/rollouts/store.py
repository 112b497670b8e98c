"""Changes rollouts, for operators and for the duty that rolls a version back without one."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from slipway.clock import Clock
from slipway.errors import NotFound
from slipway.graphs.rollouts_section import RolloutsSection
from slipway.rollouts import changes
from slipway.rollouts.changes import Change, GraphVersions, Who
from slipway.rollouts.counts import RampCounts
from slipway.rollouts.record import HistoryEntry, RequestRule, Rollout
from slipway.rollouts.scripts import RolloutScripts, Stored, StoredRollout, WebhookToCall
from slipway.rollouts.status import RolloutStatus, status_of
from slipway.serialization.json_encoding import dumps

MOST_ENTRIES: Final = 1000
"""The most entries of a history that are stored."""

_FIRST_SHARD: Final = "000"
"""The end of the id of a delivery in the first shard (`Shards.of_delivery`)."""

IsNeeded = Callable[[str, str], Awaitable[bool]]
"""Whether runs or threads still need a version of a graph."""

FindVersions = Callable[[str], Awaitable[GraphVersions]]
"""The versions of a graph. Raises `NotFound` for an unknown graph."""


@dataclass(frozen=True, slots=True)
class Announcements:
    """Where changes are announced. `queue` is the queue of deliveries for the URL."""

    url: str
    queue: str

    def of(self, graph_id: str, change: Change) -> WebhookToCall:
        """The delivery that announces a change."""
        body: dict[str, Any] = {"type": "rollout.changed", "graph": graph_id} | change.shown()
        name = f"rollout-{secrets.token_hex(10)}{_FIRST_SHARD}"
        return {"id": name, "queue": self.queue, "url": self.url, "body": dumps(body).decode()}


class RolloutStore:
    """The rollouts of the deployment. Each change is stored at once as a whole, with the entry of its history and the
    delivery that announces it; a change that is not possible raises and changes nothing."""

    def __init__(
        self,
        scripts: RolloutScripts,
        clock: Clock,
        versions: FindVersions,
        is_needed: IsNeeded,
        rules: RolloutsSection,
        announcements: Announcements | None = None,
    ) -> None:
        self._scripts, self._clock, self._versions, self._announcements = scripts, clock, versions, announcements
        self._is_needed, self.rules = is_needed, rules
        """When a version is rolled back without an operator."""

    async def all(self) -> dict[str, Rollout]:
        """By graph."""
        return await self._scripts.read_all()

    async def get(self, graph_id: str) -> Rollout:
        """Raises `NotFound` if the graph has none."""
        rollout = (await self._scripts.read(graph_id)).rollout
        if rollout is None:
            raise NotFound("rollout of graph", graph_id, why="no version of it was rolled out")
        return rollout

    async def counts(self, graph_id: str) -> RampCounts:
        """What the runs of both versions did since the ramp began; empty if no version is ramping."""
        return await self._scripts.counts(graph_id)

    async def status(self, graph_id: str) -> RolloutStatus:
        """The rollout with its versions. Raises `NotFound` if the graph has none."""
        rollout, counts, last = await asyncio.gather(
            self.get(graph_id), self.counts(graph_id), self._scripts.last_ramp(graph_id)
        )
        try:
            known = await self._versions(graph_id)
        except NotFound:  # langgraph.json does not name the graph any more
            known = GraphVersions(graph_id, ())
        needs = await asyncio.gather(*(self._is_needed(graph_id, version) for version in rollout.left))
        drained = {version for version, needed in zip(rollout.left, needs, strict=True) if not needed}
        return status_of(rollout, counts, known, self.rules, drained, last)

    async def history(self, graph_id: str, limit: int = MOST_ENTRIES) -> list[HistoryEntry]:
        """The last changes, the newest first. Raises `NotFound` for an unknown graph."""
        entries = await self._scripts.history(graph_id, limit)
        if not entries:
            await self._versions(graph_id)
        return entries

    async def set_weights(
        self,
        graph_id: str,
        weights: dict[str, int],
        *,
        by: str,
        reason: str | None,
        testers: Sequence[RequestRule] | None = None,
    ) -> Change:
        """See `changes.set_weights`."""
        versions, who = await self._versions(graph_id), self._who(by, reason)
        return await self._apply(
            graph_id, lambda before: changes.set_weights(before, versions, weights, who, testers=testers)
        )

    async def promote(self, graph_id: str, version: str | None, *, by: str, reason: str | None) -> Change:
        """See `changes.promoted`."""
        versions, who = await self._versions(graph_id), self._who(by, reason)
        return await self._apply(graph_id, lambda before: changes.promoted(before, versions, who, version))

    async def roll_back(self, graph_id: str, *, by: str, reason: str | None) -> Change:
        """See `changes.rolled_back`."""
        who = self._who(by, reason)
        return await self._apply(graph_id, lambda before: changes.rolled_back(before, graph_id, who))

    async def clear(self, graph_id: str, *, by: str, reason: str | None) -> Change:
        """See `changes.cleared`."""
        who = self._who(by, reason)
        return await self._apply(graph_id, lambda before: changes.cleared(before, graph_id, who))

    async def roll_back_automatically(self, graph_id: str, ramp_id: str, reason: str) -> Change | None:
        """Ends this ramp. Returns None if it has ended already: then nothing is changed."""
        who = Who("slipway", self._now(), f"automatic: {reason}", automatic=True)
        while True:
            before = await self._scripts.read(graph_id)
            rollout = before.rollout
            if rollout is None or rollout.ramp is None or rollout.ramp.ramp_id != ramp_id:
                return None
            change = changes.rolled_back(rollout, graph_id, who)
            stored = await self._store(graph_id, before, change)
            if stored is not None:
                return _with_pending(change, stored)

    async def _apply(self, graph_id: str, change_of: Callable[[Rollout | None], Change]) -> Change:
        while True:
            before = await self._scripts.read(graph_id)
            if before.rollout is None:
                await self._versions(graph_id)  # raises `NotFound` for an unknown graph
            change = change_of(before.rollout)
            stored = await self._store(graph_id, before, change)
            if stored is not None:
                return _with_pending(change, stored)

    async def _store(self, graph_id: str, before: StoredRollout, change: Change) -> Stored | None:
        webhook = None if self._announcements is None else self._announcements.of(graph_id, change)
        return await self._scripts.change(graph_id, before, change, webhook)

    def _who(self, by: str, reason: str | None) -> Who:
        return Who(by, self._now(), reason)

    def _now(self) -> str:
        return self._clock.now().isoformat(timespec="milliseconds")


def _with_pending(change: Change, stored: Stored) -> Change:
    """The change with a warning about shards that could not be reached."""
    if not stored.pending_shards:
        return change
    numbers = ", ".join(map(str, stored.pending_shards))
    pending = f"shards {numbers} could not be reached, and get the change when they can be"
    return replace(change, warning=pending if change.warning is None else f"{change.warning}; {pending}")
