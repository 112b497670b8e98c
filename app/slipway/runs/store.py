"""The store of runs: reading, listing, cancelling and deleting them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from slipway.errors import Conflict, NotFound
from slipway.json_comparison import contains
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs import cancel_reasons
from slipway.runs.cancel_reasons import Action
from slipway.runs.reads import RunReads
from slipway.runs.record import Run, run_from
from slipway.runs.script_results import CancelResult, DeleteResult
from slipway.runs.scripts import RunScripts

_PAGE: Final = 200


class RunStore:
    """The operations of web processes on runs. `attempt_writer.py` and `leases.py` have those of workers."""

    def __init__(self, pipeline: Pipeline, keys: Keys, scripts: RunScripts, *, event_ttl_s: int) -> None:
        self._reads, self._scripts, self._event_ttl_s = RunReads(pipeline, keys), scripts, event_ttl_s
        self.on_cancelled: Callable[[str], None] = lambda run_id: None
        """Called with the id of each run for which a cancel request was accepted."""

    async def get(self, thread_id: str, run_id: str) -> Run:
        """Raises `NotFound`, also if the run belongs to another thread."""
        fields = await self._scripts.run_read(run_id, thread_id)
        if fields is None:
            raise NotFound("run", run_id)
        return run_from(fields)

    async def thread_of(self, run_id: str) -> str | None:
        """The id of a run's thread. None if the run does not exist. Reads only this field."""
        return await self._reads.thread_of(run_id)

    async def find(self, run_id: str) -> Run:
        """The run, on any thread. Raises `NotFound`."""
        fields = await self._reads.record(run_id)
        if fields is None:
            raise NotFound("run", run_id)
        return run_from(fields)

    async def list(
        self,
        thread_id: str,
        *,
        limit: int = 10,
        offset: int = 0,
        status: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Run]:
        """The runs of a thread, newest first. `metadata` is matched by containment. Raises `NotFound` for an unknown
        thread."""
        runs: list[Run] = []
        page = _PAGE if status is not None or metadata else min(_PAGE, offset + limit)
        async for run in self._newest(thread_id, page):
            if (status is None or run.status == status) and contains(run.metadata, metadata or {}):
                runs.append(run)
                if len(runs) >= offset + limit:
                    break
        return runs[offset:]

    async def last_started(self, thread_id: str) -> Run | None:
        """The newest run of a thread that was started. Two reads, and two more for each newer run that waits. Raises
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
            for fields in await self._reads.records(ids):
                if fields is not None:
                    yield run_from(fields)
            if len(ids) < page:
                return
            start += page

    async def cancel(
        self, thread_id: str, run_id: str, action: Action, cause: str = cancel_reasons.BY_API, reason: str | None = None
    ) -> None:
        """Cancels a run. A run that has not started ends at once. A running run ends when its attempt has stopped. A
        run between two attempts ends with the next one, which is due at once. If a run is cancelled twice with the
        same action, it keeps the first cause. Raises `NotFound` if the run does not exist or has ended."""
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
            raise NotFound("run", run_id, problem="cannot be cancelled", why="it has ended already")
        self.on_cancelled(run_id)

    async def cancel_overdue(self, thread_id: str, run_id: str, review_id: str, cause: str) -> None:
        """Cancels a run that waits for approval, unless the review was decided before its due time."""
        await self._scripts.run_cancel(
            run_id,
            thread_id,
            action=Action.INTERRUPT.value,
            cause=cause,
            reason=None,
            event_ttl_s=self._event_ttl_s,
            overdue=review_id,
        )

    async def delete(self, thread_id: str, run_id: str) -> None:
        """Deletes the record and the log of a run that has ended, waits for approval, or is paused. Its checkpoints are
        deleted by the checkpointer. Raises `NotFound`, and `Conflict` if the run is queued or running."""
        result = await self._scripts.run_delete(run_id, thread_id)
        if result is DeleteResult.NOT_FOUND:
            raise NotFound("run", run_id)
        if result is DeleteResult.STILL_ACTIVE:
            raise Conflict(f"run {run_id} has not ended; cancel it first")
