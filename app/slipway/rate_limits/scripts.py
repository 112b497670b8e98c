"""The script stubs of rates and of open streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.rates import Rate
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_RATE_TAKE: Final = load("rate_take")
_STREAM_SLOT_TAKE: Final = load("stream_slot_take")
_STREAM_SLOT_RENEW: Final = load("stream_slot_renew")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket in Redis; `name` is unique."""

    name: str
    rate: Rate


@dataclass(frozen=True, slots=True)
class BucketState:
    """What a bucket has after a request. `has_token`: it had one for this request."""

    has_token: bool
    left: int
    full_in_us: int
    token_in_us: int


class RateScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def take(self, buckets: Sequence[Bucket], *, count: int = 1) -> list[BucketState]:
        """Takes `count` tokens from each bucket, or from none if one of them has less. With 0 it only asks whether each
        has one."""
        lines = [[bucket.name, bucket.rate.interval_us, bucket.rate.burst, count] for bucket in buckets]
        reply = await self._pipeline.run(_RATE_TAKE, [], self._args(buckets=lines))
        return [
            BucketState(has == b"1", int(left), int(full_us), int(token_us)) for has, left, full_us, token_us in reply
        ]

    async def take_stream_slot(self, client: str, stream: str, *, most: int, lease_ms: int) -> bool:
        """Whether the client may have this stream beside those that it has open in all processes."""
        arguments = self._args(client=client, stream=stream, most=most, lease_ms=lease_ms)
        reply: bytes = await self._pipeline.run(_STREAM_SLOT_TAKE, [], arguments)
        return reply == b"1"

    async def renew_stream_slots(self, client: str, streams: Sequence[str], *, lease_ms: int) -> None:
        arguments = self._args(client=client, streams=list(streams), lease_ms=lease_ms)
        await self._pipeline.run(_STREAM_SLOT_RENEW, [], arguments)

    async def release_stream_slot(self, client: str, stream: str) -> None:
        await self._pipeline.send("ZREM", self._keys.stream_slots(client), stream, repeatable=True)
