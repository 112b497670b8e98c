"""The script stubs of deliveries. The scripts that end runs, and those that change what an event tells, create them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from slipway.indexes.scripts import Index, IndexWalk
from slipway.redis.hash_fields import fields_of
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.reachable_shards import from_reachable
from slipway.redis.script_source import load
from slipway.redis.script_stubs import arguments_for
from slipway.redis.shards import Shards
from slipway.redis.shared_records import SharedRecordStubs
from slipway.runs.delivery_queues import DeliveryQueue
from slipway.webhooks.claim_shards import LOOK_EVERY_MS, ClaimShards
from slipway.webhooks.limits import Limits
from slipway.webhooks.shared_targets import SharedTargets
from slipway.webhooks.target_scripts import ClaimedDelivery, TargetScripts
from slipway.webhooks.try_record import MOST_RECORDS, TryRecord

_DELIVERY_CLAIM = load("delivery_claim")
_DELIVERY_SETTLE_TRY = load("delivery_settle_try")
_DELIVERY_STORE_BODY = load("delivery_store_body")
_DELIVERY_REPLAY = load("delivery_replay")
_DELIVERY_SWEEP = load("delivery_sweep")
_WEBHOOK_ENDPOINT_DISABLE = load("webhook_endpoint_disable")
_DELIVERY_SEARCH = load("delivery_search")

_MOST_CHECKS: Final = 1000
"""How many entries of the queues one claim reads: about 10 ms of Redis, if all must be parked."""
_MOST_ROUNDS: Final = 16
"""How many round trips to shards one claim makes, and one for each shard: they may have more than their part, and calls
may not be let in."""
_TARGETS_SHARD_COUNTS: Final = 2
"""The reply to a settled try that the shard of the targets must count."""
_DISABLE_FAILURES: Final = 10
"""An endpoint with fewer failures in a row is not disabled, however long ago the first was."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has accepted the webhook."""


@dataclass(frozen=True, slots=True)
class TriedAgain:
    """The next try starts after `pause_ms`. `uncounted_tries` is the number of tries so far that made no call; None if
    this one made a call."""

    problem: str
    pause_ms: int
    uncounted_tries: int | None = None


@dataclass(frozen=True, slots=True)
class GivenUp:
    """There is no next try."""

    problem: str


TryResult = Delivered | TriedAgain | GivenUp
"""How a try to deliver a webhook ended."""


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """What a try says about its target. `wants_pause_ms`: for so long the target wants no call."""

    answered: bool
    wants_pause_ms: int | None = None
    gone: bool = False
    """Whether the endpoint must be disabled."""


@dataclass(frozen=True, slots=True)
class Settled:
    """`stored`: False if a later try has started, so that nothing was stored. `disabled`: why the endpoint was disabled
    now."""

    stored: bool
    disabled: str | None = None


class ReplayOutcome(StrEnum):
    """`CALLING`: a try is in progress, and its result decides."""

    REPLAYED = "ok"
    MISSING = "missing"
    CALLING = "calling"


class DeliveryScripts:
    """The deliveries of all shards. A method takes one round trip to the shard of its delivery, unless it says more."""

    def __init__(self, pipeline: Pipeline, shards: Shards, limits: Limits, look_every_ms: int = LOOK_EVERY_MS) -> None:
        self._pipeline, self._shards, self._limits = pipeline, shards, limits
        self._endpoints = EndpointDisabling(pipeline, shards)
        target_scripts = TargetScripts(pipeline, shards)
        self._claim_shards = ClaimShards(target_scripts, look_every_ms)
        self._targets = SharedTargets(target_scripts, shards, self._claim_shards)

    def may_be_due(self, run_id: str) -> None:
        """The next claim looks for deliveries of this run."""
        self._claim_shards.add(self._shards.number_of_run(run_id))

    async def claim(self, queues: Sequence[DeliveryQueue], limit: int, lease_ms: int) -> list[ClaimedDelivery]:
        """Claims up to `limit` due deliveries for `lease_ms`; then another process may claim them. With one shard one
        round trip. With several: one to the shards that this process looks at now, one to the shard of the targets,
        and more while shards have more than their part of `limit`, or calls are not let in. Without the deliveries of
        shards that do not reply."""
        if not self._shards.tagged:
            return await self._claim_in(0, queues, limit, lease_ms)
        claimed: list[ClaimedDelivery] = []
        for _ in range(self._shards.count + _MOST_ROUNDS):
            free = limit - len(claimed)
            chosen = await self._claim_shards.take(queues, free) if free else []
            if not chosen:
                break
            part = max(1, free // len(chosen))
            found = await from_reachable({number: self._claim_in(number, queues, part, lease_ms) for number in chosen})
            for number, of_shard in found.items():
                if len(of_shard) == part:
                    self._claim_shards.add(number)
            claimed += await self._targets.enter([each for of_shard in found.values() for each in of_shard], lease_ms)
        return claimed

    async def _claim_in(
        self, number: int, queues: Sequence[DeliveryQueue], limit: int, lease_ms: int
    ) -> list[ClaimedDelivery]:
        arguments = self._args(
            self._shards.threads[number],
            queues=list(queues),
            limit=limit,
            checks=_MOST_CHECKS,
            lease_ms=lease_ms,
            concurrency=self._limits.concurrency,
            keep_s=self._limits.dead_keep_s,
        )
        reply = await self._pipeline.run(_DELIVERY_CLAIM, [], arguments)
        return [ClaimedDelivery(fields_of(record), fields_of(endpoint)) for record, endpoint in reply]

    async def store_body(self, delivery_id: str, number: int, stored: bytes) -> bool:
        """Stores the body that this and every later try sends. Returns False if a later try has started."""
        arguments = self._args(self._shards.of_delivery(delivery_id), **{"delivery_id": delivery_id, "try": number})
        return bool(await self._pipeline.run(_DELIVERY_STORE_BODY, [], [*arguments, stored]))

    async def settle_try(
        self, delivery_id: str, number: int, result: TryResult, record: TryRecord, health: TargetHealth | None
    ) -> Settled:
        """Stores how the try `number` ended, and what it says about its target (None: nothing). With several shards,
        two round trips, and two more if deliveries wait for the target. More if an endpoint must be disabled."""
        stored: dict[str, str | int | None]
        match result:
            case Delivered():
                stored = {"outcome": "delivered"}
            case TriedAgain(problem, pause_ms, uncounted):
                stored = {"outcome": "pending", "problem": problem, "retry_ms": pause_ms, "uncounted": uncounted}
            case GivenUp(problem):
                stored = {"outcome": "failed", "problem": problem}
        limits = self._limits
        keep_s = limits.delivered_keep_s if isinstance(result, Delivered) else limits.dead_keep_s
        told: dict[str, Any] = {
            "target": None if health is None else "answered" if health.answered else "failed",
            "target_wait_ms": None if health is None else health.wants_pause_ms,
            "gone": health is not None and health.gone,
            "disable_after_us": limits.disable_after_s * 1_000_000 or None,
            "disable_failures": _DISABLE_FAILURES,
        }
        arguments = self._args(
            self._shards.of_delivery(delivery_id),
            **stored,
            **{"delivery_id": delivery_id, "try": number},
            **told,
            most_records=MOST_RECORDS,
            keep_s=keep_s,
            concurrency=limits.concurrency,
        )
        reply = await self._pipeline.run(_DELIVERY_SETTLE_TRY, [], [*arguments, record.stored(delivery_id)])
        if reply[0] != _TARGETS_SHARD_COUNTS:
            return Settled(bool(reply[0]), reply[1].decode() if len(reply) > 1 else None)
        target_id, most, revision = (part.decode() for part in reply[1:])
        reason = await self._targets.leave(target_id, delivery_id, number, int(most), told)
        if reason is None or not revision or not await self._endpoints.disable(target_id, revision, reason):
            return Settled(True)
        self._claim_shards.add(0)  # other endpoints are told there
        return Settled(True, reason)

    async def replay(self, delivery_ids: Sequence[str]) -> list[ReplayOutcome]:
        """Makes deliveries due again, with the same ids and bodies. In the order of the ids."""
        of_shards: dict[Keys, list[str]] = {}
        for delivery_id in delivery_ids:
            of_shards.setdefault(self._shards.of_delivery(delivery_id), []).append(delivery_id)
        replies = await asyncio.gather(
            *(
                self._pipeline.run(_DELIVERY_REPLAY, [], self._args(keys, delivery_ids=ids))
                for keys, ids in of_shards.items()
            )
        )
        outcomes = {
            delivery_id: ReplayOutcome(each.decode())
            for ids, reply in zip(of_shards.values(), replies, strict=True)
            for delivery_id, each in zip(ids, reply, strict=True)
        }
        return [outcomes[delivery_id] for delivery_id in delivery_ids]

    async def sweep(self, limit: int) -> int:
        """Deletes up to `limit` deliveries of each shard that were kept long enough. Returns the most that were
        deleted in one shard: there may be more if it is `limit`."""
        deleted = await asyncio.gather(
            *(self._pipeline.run(_DELIVERY_SWEEP, [], self._args(keys, limit=limit)) for keys in self._shards.threads)
        )
        return max(map(int, deleted))

    def _args(self, keys: Keys, **arguments: object) -> tuple[str, bytes]:
        return arguments_for(keys, arguments)


class EndpointDisabling(SharedRecordStubs):
    """Disables endpoints whose deliveries fail in another shard than the first, which decides about endpoints."""

    async def disable(self, endpoint_id: str, revision: str, reason: str) -> bool:
        """Returns False if the endpoint is disabled, removed, or has another revision than the copy in that shard. One
        round trip, and those of the copies."""
        arguments = self._args(endpoint_id=endpoint_id, revision=revision, reason=reason)
        if not await self._pipeline.run(_WEBHOOK_ENDPOINT_DISABLE, [], arguments):
            return False
        await self._copy()
        return True


def delivery_walk(pipeline: Pipeline, keys: Keys) -> IndexWalk:
    """Walks through the index of deliveries of one shard, in the order of creation."""
    return IndexWalk(pipeline, keys, _DELIVERY_INDEX, _DELIVERY_SEARCH)


_DELIVERY_INDEX: Final = Index(lambda keys: keys.deliveries_all, Keys.deliveries_with)
