"""Finds and deletes crons whose thread was deleted.

One script deletes a thread, and a second one deletes its crons, because crons live in another shard. If the process
dies between the two, the crons stay. Such a cron creates no run, also when a later thread has the same id: it stores
the incarnation of its thread. The scheduler deletes it when it is due, and the doctor deletes those that are never due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from slipway.crons.reads import CronReads, CronThread
from slipway.crons.scripts import CronScripts
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.threads.reads import ThreadReads


class CronsOfDeletedThreads:
    """Crons that were created for a thread which does not exist any more."""

    def __init__(self, pipeline: Pipeline, shards: Shards) -> None:
        self._crons, self._threads = CronReads(pipeline, shards.crons), ThreadReads(pipeline, shards.records)
        self._scripts = CronScripts(pipeline, shards.crons)

    async def find(self, cron_ids: Sequence[str]) -> list[CronThread]:
        """Those of these crons whose thread does not exist. Two round trips; one if none of them has a thread."""
        crons = await self._crons.threads(cron_ids)
        incarnations = await asyncio.gather(*(self._threads.incarnation(cron.thread_id) for cron in crons))
        return [cron for cron, found in zip(crons, incarnations, strict=True) if found != cron.thread_created_us]

    async def delete(self, cron: CronThread) -> bool:
        """Returns False if it was deleted in between. No due time needs to be revoked: no run can be created without
        the thread."""
        return await self._scripts.delete(cron.cron_id, cron.incarnation) is not None
