"""The limits of targets for the deliveries of several shards: which of those that were claimed are called, and which of
those that wait follow when a call has ended.

One shard counts the calls and failures of all targets. A delivery is claimed in its own shard, and then its call enters
there. If it is not let in, the claim is undone and the delivery is parked. When a call leaves, the shard of the targets
names the shards whose parked deliveries are next. If a process dies between two of these steps, the lease of its call
ends, and parked deliveries ask again after some seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from slipway.errors import StoreUnavailable
from slipway.redis.reachable_shards import from_reachable, within_time
from slipway.redis.shards import Shards
from slipway.webhooks.claim_shards import ClaimShards
from slipway.webhooks.target_scripts import LET_IN, ClaimedDelivery, NamedShard, TargetScripts

log = structlog.get_logger(__name__)


class SharedTargets:
    """The calls of targets that this process makes. A shard from which deliveries are due now becomes pending in
    `claim_shards`."""

    def __init__(self, scripts: TargetScripts, shards: Shards, claim_shards: ClaimShards) -> None:
        self._scripts, self._shards, self._claim_shards = scripts, shards, claim_shards

    async def enter(self, claimed: Sequence[ClaimedDelivery], lease_ms: int) -> list[ClaimedDelivery]:
        """Those that may be called now, for `lease_ms`; the others are parked. One round trip, and one more if some are
        parked. If the shard of the targets does not reply, all are parked that it limits."""
        limited = [each for each in claimed if each.must_enter]
        if not limited:
            return list(claimed)
        try:
            pauses_ms = await within_time(self._scripts.enter(limited, lease_ms))
        except StoreUnavailable as error:
            log.warning("webhook.targets_unavailable", problem=str(error))
            pauses_ms = [0] * len(limited)
        let_in = [each for each in claimed if not each.must_enter]
        refused: dict[int, list[tuple[ClaimedDelivery, int]]] = {}
        for each, pause_ms in zip(limited, pauses_ms, strict=True):
            if pause_ms == LET_IN:
                let_in.append(each)
            else:
                number = self._shards.number_of_delivery(each.delivery_id)
                refused.setdefault(number, []).append((each, pause_ms))
        # a delivery whose shard does not reply is claimed again when its lease has ended
        await from_reachable({number: self._scripts.park(number, parked) for number, parked in refused.items()})
        return let_in

    async def leave(
        self, target_id: str, delivery_id: str, number: int, most: int, outcome: Mapping[str, Any]
    ) -> str | None:
        """The try `number` of a delivery has ended. Returns why the endpoint must be disabled. See
        `TargetScripts.leave`. One round trip, and one or more if deliveries wait. If the shard of the targets does not
        reply, the outcome may not count, and the call ends with its lease."""
        try:
            reason, named = await within_time(self._scripts.leave(target_id, delivery_id, number, most, outcome))
        except StoreUnavailable as error:
            log.warning("webhook.targets_unavailable", problem=str(error))
            return None
        await self._unpark(target_id, most, named)
        return reason

    async def _unpark(self, target_id: str, most: int, named: Sequence[NamedShard]) -> None:
        """Makes as many deliveries due as were named. Other shards are named in place of those that had fewer. Those of
        shards that do not reply ask again themselves."""
        while named:
            due = await from_reachable({each.number: self._scripts.unpark(target_id, each) for each in named})
            for number, unparked in due.items():
                if unparked:
                    self._claim_shards.add(number)
            empty = [each for each in named if due.get(each.number, each.count) < each.count]
            if not empty:
                return
            wanted = sum(each.count - due[each.number] for each in empty)
            try:
                named = await within_time(self._scripts.others(target_id, most, wanted, empty))
            except StoreUnavailable as error:
                log.warning("webhook.targets_unavailable", problem=str(error))
                return
