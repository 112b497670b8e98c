"""What of a run with durability `replicated` waits until replicas have it: its creation, the claim of each attempt, its
write groups, and its `end` event before clients receive it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from slipway.errors import NotReplicated
from slipway.redis.pipeline import Pipeline
from slipway.redis.replicated_pipeline import ReplicatedPipeline, server_obstacle
from slipway.redis.shards import Shards
from slipway.runs.scripts import LogScripts, RunScripts

T = TypeVar("T")


class ReplicatedRuns:
    """The scripts of replicated runs. `obstacle` says why this process cannot wait for replicas; empty if it can."""

    def __init__(self, pipeline: ReplicatedPipeline, shards: Shards, *, wait_s: float, obstacle: str = "") -> None:
        self._pipeline, self._wait_s, self._obstacle = pipeline, wait_s, obstacle
        self._log = LogScripts(pipeline, shards.records)
        self.scripts = RunScripts(pipeline, shards)
        """Each method returns when replicas have what its script wrote."""

    async def created(self, run_id: str, create: Callable[[RunScripts], Awaitable[T]]) -> T:
        """What `create` returns, which creates the run with these scripts. Raises `NotReplicated` if replicas do not
        confirm it within `wait_s`. Unless they confirmed the last write, they are asked before anything is stored: so
        while a replica is missing, only the first requests in each process leave runs that nobody has confirmed."""
        if self._obstacle:
            raise NotReplicated(f"{_NOT_STORED}: {self._obstacle}")
        try:
            await self._pipeline.check(self._wait_s)
        except NotReplicated as error:
            raise NotReplicated(f"{_NOT_STORED}: {error}") from None
        try:
            return await asyncio.wait_for(create(self.scripts), self._wait_s)
        except TimeoutError:
            raise NotReplicated(
                f"run {run_id} may be stored, but not on {self._pipeline.copies} ({self.problem or 'no reply'}): it "
                "executes, but a failover may lose it. Send the request again with the same Idempotency-Key: the "
                "response then says that replicas have it"
            ) from None

    @property
    def problem(self) -> str:
        """Why replicas have not confirmed the last writes of this process; empty if they have."""
        return self._pipeline.problem

    async def obstacle(self, pipeline: Pipeline) -> str:
        """Why replicated runs are never possible as everything is configured now; empty if they are. `pipeline` asks
        the server. Replicas may be missing."""
        return self._obstacle or await server_obstacle(pipeline, self._pipeline.copies)

    async def close(self) -> None:
        """Disconnects. What replicas have not confirmed fails with `StoreUnavailable`."""
        await self._pipeline.close()

    async def has_event(self, run_id: str, event_id: str) -> bool:
        """Waits until replicas have everything in the log of a run up to this event. False if the server does not have
        the event: it was lost in a failover."""
        page = await self._log.page(run_id, event_id, 1)
        return bool(page.entries) and page.entries[0][0].decode() == event_id


_NOT_STORED = "a run with durability replicated cannot be created now, and nothing was stored"
