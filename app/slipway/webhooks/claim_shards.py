"""Which of several shards a process claims deliveries from, so that all processes together ask each shard about once a
second, however many they are.

A shard is *pending* in this process if a delivery there may be due: a run with a webhook has ended here, parked
deliveries are due there, or the last claim found as many as it wanted. All other deliveries are found because each
process takes a part of the shards from a script, which gives each shard to one process in `LOOK_EVERY_MS`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice
from typing import Final

from slipway.redis.reachable_shards import within_time
from slipway.runs.delivery_queues import DeliveryQueue
from slipway.webhooks.target_scripts import TargetScripts

LOOK_EVERY_MS: Final = 900
"""Shorter than the interval of the rounds, so that one process finds all shards in each round."""
_MOST_TAKEN: Final = 16
"""How many shards a process takes at once: others may have more free slots. It takes more when it has asked these."""


class ClaimShards:
    """The pending shards of this process, in the order in which they are asked."""

    def __init__(self, scripts: TargetScripts, look_every_ms: int = LOOK_EVERY_MS) -> None:
        self._scripts, self._every_ms = scripts, look_every_ms
        self._pending: dict[int, None] = {}
        self._ask_at = 0.0

    def add(self, number: int) -> None:
        """A delivery in this shard may be due."""
        self._pending.setdefault(number)

    async def take(self, queues: Sequence[DeliveryQueue], most: int) -> list[int]:
        """Up to `most` pending shards, which are not pending any more. One round trip, unless the last one less than
        `LOOK_EVERY_MS` ago has shown that other processes look at all others. Raises `StoreUnavailable` if the shard of
        the targets does not reply within some seconds: without it no target can be called."""
        if time.monotonic() >= self._ask_at:
            taken = await within_time(self._scripts.shards_to_look_at(queues, self._every_ms, _MOST_TAKEN))
            for number in taken:
                self.add(number)
            if len(taken) < _MOST_TAKEN:
                self._ask_at = time.monotonic() + self._every_ms / 1000
        chosen = list(islice(self._pending, most))
        for number in chosen:
            del self._pending[number]
        return chosen
