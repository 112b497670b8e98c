"""Encrypts everything again that is not encrypted with the first key, while the deployment works."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from slipway import failpoints
from slipway.encryption_at_rest.counts import KeyCounts
from slipway.encryption_at_rest.key_record import KeyRecord
from slipway.encryption_at_rest.scripts import RotationScripts
from slipway.encryption_at_rest.walk import ValueWalk
from slipway.progress import ShowProgress
from slipway.redis.document_keys import DocumentNames
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.serialization.encryption import Encryption
from slipway.threads.index_check import ThreadIndexCheck

MOST_PASSES: Final = 5
"""A pass that has replaced nothing ends the rotation. More passes than these mean that processes write with another
key."""


class Rotation:
    """One rotation. `values_per_s` bounds how many values it reads in a second."""

    def __init__(
        self,
        pipeline: Pipeline,
        shards: Shards,
        documents: DocumentNames,
        encryption: Encryption,
        *,
        values_per_s: float,
    ) -> None:
        self._scripts, self._record = (
            RotationScripts(pipeline, shards, documents),
            KeyRecord(pipeline, shards.encryption),
        )
        self._encryption, self._values_per_s = encryption, values_per_s
        self._threads = ThreadIndexCheck(pipeline, shards, repair=True)
        self.renewed = 0
        """How many values were replaced."""

    async def run(self, show: ShowProgress) -> KeyCounts:
        """Returns the counts of the last pass. If nothing is left, the other keys are not needed any more, and the
        record of the keys says so. It can be stopped at any time, and continues where it was."""
        name = self._encryption.first_name
        cursor = await self._record.position(name)
        for number in range(1, MOST_PASSES + 1):
            was_complete = cursor == "0"
            counts, walk = await self._pass(f"pass {number}", cursor, show)
            self.renewed, cursor = self.renewed + walk.renewed, "0"
            if was_complete and not walk.renewed and not walk.changed:
                break
        if counts.left == 0:
            await self._record.set_digests_keyed()
            await self._record.forget([each for each in await self._record.names() if each != name])
        return counts

    async def _pass(self, work: str, cursor: str, show: ShowProgress) -> tuple[KeyCounts, ValueWalk]:
        counts = KeyCounts(self._encryption.first_name)
        walk = ValueWalk(self._scripts, self._encryption, counts, renews=True)
        total, started = await self._scripts.number_of_keys(), time.monotonic()
        async for page in walk.pages(cursor):
            await self._threads.check(page.thread_ids)
            await self._record.set_position(self._encryption.first_name, page.cursor)
            failpoints.reach("rotate")
            show(work, min(page.looked_at, total), total)
            if (early_s := walk.values / self._values_per_s - (time.monotonic() - started)) > 0:
                await asyncio.sleep(early_s)  # the bound on the load of Redis
        show(work, total, total)
        return counts, walk


async def count_values(
    pipeline: Pipeline, shards: Shards, documents: DocumentNames, encryption: Encryption, show: ShowProgress
) -> KeyCounts:
    """Counts all values by kind and key. Changes nothing."""
    scripts, counts = RotationScripts(pipeline, shards, documents), KeyCounts(encryption.first_name)
    walk, total = ValueWalk(scripts, encryption, counts, renews=False), await scripts.number_of_keys()
    async for page in walk.pages("0"):
        show("keys", min(page.looked_at, total), total)
    return counts
