"""Every run that is pending or running, in the whole deployment: found from what is in progress, so that it costs as
much as there is work and not as much as there are threads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import orjson

from slipway.redis.hash_fields import fields_of
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import Run, run_from

PAGE: Final = 200


class InFlight:
    """Reads leases, queues, and the queues of the threads these lead to. What begins or ends meanwhile may be missed
    or shown."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._keys = pipeline, keys

    async def runs(self) -> AsyncIterator[Run]:
        """All, each once."""
        seen: set[str] = set()
        groups: set[str] = set()
        places = [self._keys.leases, self._keys.queue, self._keys.suspects, self._keys.later]
        while places:
            async for members in self._pages(places.pop(0)):
                async for run in self._alive([member.rpartition(":")[0] or member for member in members], seen, groups):
                    yield run
                    async for queued in self._pages(self._keys.thread_queue(run.thread_id)):
                        async for waiting in self._alive(queued, seen, groups):
                            yield waiting
            # jobs are parked only behind running runs of their group
            places += [self._keys.parked(group) for group in groups]
            groups = set()

    async def _alive(self, ids: Iterable[str], seen: set[str], groups: set[str]) -> AsyncIterator[Run]:
        new = [run_id for run_id in ids if run_id not in seen]
        seen.update(new)
        reads = [self._pipeline.send("HGETALL", self._keys.run(run_id), repeatable=True) for run_id in new]
        for read in reads:
            held = fields_of(await read)
            if "phase" not in held:
                continue
            groups.update(name for name, _ in orjson.loads(held.get("groups", b"[]")))
            run = run_from(held)
            if run.status in ("pending", "running"):
                yield run

    async def _pages(self, key: str) -> AsyncIterator[list[str]]:
        start: Any = 0
        while members := await self._pipeline.send("ZRANGE", key, start, start + PAGE - 1, repeatable=True):
            yield [member.decode() for member in members]
            start += PAGE
