"""The script stubs of what several shards need for the limits of targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slipway.redis.hash_fields import Fields
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import load
from slipway.redis.script_stubs import arguments_for
from slipway.redis.shards import Shards
from slipway.runs.delivery_queues import DeliveryQueue

_TARGET_ENTER: Final = load("target_enter")
_TARGET_LEAVE: Final = load("target_leave")
_DELIVERY_PARK: Final = load("delivery_park")
_DELIVERY_UNPARK: Final = load("delivery_unpark")
_DELIVERY_SHARDS: Final = load("delivery_shards")

LET_IN: Final = -1
"""In place of a pause: the call may be made now."""


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """The record of a delivery, and what the claim read of its endpoint (empty if it has none)."""

    fields: Fields
    endpoint: Fields

    @property
    def delivery_id(self) -> str:
        return self.fields["delivery_id"].decode()

    @property
    def try_number(self) -> int:
        return int(self.fields["tries"])

    @property
    def must_enter(self) -> bool:
        """Whether the shard of the targets limits its call."""
        return "target_id" in self.fields


@dataclass(frozen=True, slots=True)
class NamedShard:
    """A shard that has parked deliveries of a target, of which `count` are next."""

    number: int
    named_us: int
    count: int


class TargetScripts:
    """One round trip each, to the shard of the targets or to that of deliveries."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        self._pipeline, self._shards = pipeline, shards

    async def shards_to_look_at(self, queues: Sequence[DeliveryQueue], every_ms: int, most: int) -> list[int]:
        """Up to `most` shards in which no process with the same queues has looked for `every_ms`. This one does now."""
        arguments = self._of_targets(queues=" ".join(queues), count=self._shards.count, every_ms=every_ms, most=most)
        numbers: list[int] = await self._pipeline.run(_DELIVERY_SHARDS, [], arguments)
        return numbers

    async def enter(self, claimed: Sequence[ClaimedDelivery], lease_ms: int) -> list[int]:
        """For each `LET_IN`, with a lease of the call; or for how many ms its target gets no call, 0 if that is not
        known."""
        calls = [
            {
                "target": each.fields["target_id"].decode(),
                "call": _call(each.delivery_id, each.try_number),
                "before": _call(each.delivery_id, each.try_number - 1),
                "shard": self._shards.number_of_delivery(each.delivery_id),
                "most": int(each.fields["target_calls"]),
            }
            for each in claimed
        ]
        pauses_ms: list[int] = await self._pipeline.run(
            _TARGET_ENTER, [], self._of_targets(lease_ms=lease_ms, calls=calls)
        )
        return pauses_ms

    async def park(self, number: int, refused: Sequence[tuple[ClaimedDelivery, int]]) -> None:
        """Undoes the claims of deliveries of the shard `number`, and parks each for so many ms (0: it asks again after
        the usual time)."""
        parked = []
        for each, pause_ms in refused:
            entry: dict[str, str | int] = {
                "delivery_id": each.delivery_id,
                "try": each.try_number,
                "due_ms": each.fields["due_ms"].decode(),
            }
            if "lost_us" in each.fields:
                entry["lost_us"] = each.fields["lost_us"].decode()
            if pause_ms:
                entry["wait_ms"] = pause_ms
            parked.append(entry)
        await self._pipeline.run(_DELIVERY_PARK, [], self._of_shard(number, refused=parked))

    async def leave(
        self, target_id: str, delivery_id: str, number: int, most: int, outcome: Mapping[str, Any]
    ) -> tuple[str | None, list[NamedShard]]:
        """The try `number` of a delivery has ended; `outcome` is what `target_leave.lua` counts. `most`: calls of the
        target at once. Returns why the endpoint must be disabled, and which shards are next."""
        arguments = self._of_targets(target_id=target_id, call=_call(delivery_id, number), most=most, **outcome)
        reason, named = await self._pipeline.run(_TARGET_LEAVE, [], arguments)
        return reason.decode() or None, [NamedShard(*each) for each in named]

    async def others(self, target_id: str, most: int, wanted: int, empty: Sequence[NamedShard]) -> list[NamedShard]:
        """Shards for `wanted` calls, in place of those that had nothing parked."""
        emptied = [[each.number, each.named_us] for each in empty]
        arguments = self._of_targets(target_id=target_id, most=most, wanted=wanted, empty=emptied)
        _, named = await self._pipeline.run(_TARGET_LEAVE, [], arguments)
        return [NamedShard(*each) for each in named]

    async def unpark(self, target_id: str, named: NamedShard) -> int:
        """Makes parked deliveries due. Returns how many there were, at most the count."""
        arguments = self._of_shard(named.number, target_id=target_id, most=named.count)
        return int(await self._pipeline.run(_DELIVERY_UNPARK, [], arguments))

    def _of_targets(self, **arguments: object) -> tuple[str, bytes]:
        return arguments_for(self._shards.targets, arguments)

    def _of_shard(self, number: int, **arguments: object) -> tuple[str, bytes]:
        return arguments_for(self._shards.threads[number], arguments)


def _call(delivery_id: str, number: int) -> str:
    """The name of one call in the shard of the targets."""
    return f"{number}:{delivery_id}"
