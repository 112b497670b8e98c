"""The store of runs: reading, listing, cancelling and deleting them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from slipway.errors import Conflict, NotFound
from slipway.json_comparison import contains
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs import cancel_reasons
from slipway.runs.cancel_reasons import Action
from slipway.runs.reads import RunReads
from slipway.runs.record import Run, run_from
from slipway.runs.script_results import (
    CancelResult,
    DeleteResult,
)
from slipway.runs.scripts import RunScripts

_PAGE: Final = 200


class RunStore:
    """Runs as web processes see them. What workers do to a run is in `attempt.py` and `leases.py`."""

    def __init__(self, pipeline: Pipeline, keys: Keys, scripts: RunScripts, *, event_ttl_s: int) -> None:
        self._reads, self._scripts, self._event_ttl_s = RunReads(pipeline, keys), scripts, event_ttl_s

    async def get(self, thread_id: str, run_id: str) -> Run:
        """The run, or `NotFound`; also when it belongs to another thread."""
        held = await self._scripts.run_read(run_id, thread_id)
        if "phase" not in held:
            raise NotFound("run", run_id)
        return run_from(held)

    async def thread_of(self, run_id: str) -> str | None:
        """The id of the thread that the run is on; None for a run that does not exist. Reads nothing else."""
        return await self._reads.thread_of(run_id)

    async def find(self, run_id: str) -> Run:
        """The run by its id alone, or `NotFound`."""
        held = await self._reads.record(run_id)
        if "phase" not in held:
            raise NotFound("run", run_id)
        return run_from(held)

    async def list(
        self,
        thread_id: str,
        *,
        limit: int = 10,
        offset: int = 0,
        status: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Run]:
        """The thread's runs, newest first; `metadata` is matched by containment. `NotFound` for an unknown thread."""
        found: list[Run] = []
        page = _PAGE if status is not None or metadata else min(_PAGE, offset + limit)
        async for run in self._newest(thread_id, page):
            if (status is None or run.status == status) and contains(run.metadata, metadata or {}):
                found.append(run)
                if len(found) >= offset + limit:
                    break
        return found[offset:]

    async def last_begun(self, thread_id: str) -> Run | None:
        """The thread's newest run that a worker has begun. Two reads, and two more for each newer run that waits.
        `NotFound` for an unknown thread."""
        async for run in self._newest(thread_id, 1):
            if run.attempt > 0:
                return run
        return None

    async def _newest(self, thread_id: str, page: int) -> AsyncIterator[Run]:
        start = 0
        while True:
            ids = await self._reads.ids_of_thread(thread_id, start, start + page - 1)
            if ids is None:
                raise NotFound("thread", thread_id)
            for held in await self._reads.records(ids):
                if held:
                    yield run_from(held)
            if len(ids) < page:
                return
            start += page

    async def cancel(
        self, thread_id: str, run_id: str, action: Action, cause: str = cancel_reasons.BY_API, reason: str | None = None
    ) -> None:
        """Ask a run to stop. One that never started is over at once, a running one when its attempt has stopped. What
        is cancelled twice the same way keeps the first cause. `NotFound` when it is unknown or over already."""
        result = await self._scripts.run_cancel(
            run_id,
            thread_id,
            action=action.value,
            cause=cause,
            reason=reason or None,
            event_ttl_s=self._event_ttl_s,
        )
        if result is CancelResult.NOT_FOUND:
            raise NotFound("run", run_id)
        if result is CancelResult.ALREADY_ENDED:
            raise NotFound("active run", run_id, why="it is over already")

    async def delete(self, thread_id: str, run_id: str) -> None:
        """Remove the record and the log of a run that is over; `Conflict` while it is active. Its checkpoints are the
        checkpointer's to remove."""
        result = await self._scripts.run_delete(run_id, thread_id)
        if result is DeleteResult.NOT_FOUND:
            raise NotFound("run", run_id)
        if result is DeleteResult.STILL_ACTIVE:
            raise Conflict(f"run {run_id} is not over; cancel it first")
