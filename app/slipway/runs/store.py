"""The store of runs: reading, listing, cancelling and deleting them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, Final

import orjson

from slipway.checkpoints.trash import Trash
from slipway.errors import Conflict, NotFound
from slipway.json_comparison import contains
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs import cancel_reasons
from slipway.runs.admission import Seen, seen
from slipway.runs.cancel_reasons import Action
from slipway.runs.delivery_queues import delivery_queue_of
from slipway.runs.reads import RunReads
from slipway.runs.record import PRIORITY_MS, NewRun, Run, run_from
from slipway.runs.script_results import (
    CancelResult,
    DeleteResult,
    DueTimePassed,
    InterruptAnswered,
    RunCreated,
    RunCreateResult,
    RunExists,
    ThreadBusy,
    ThreadChanged,
    ThreadExists,
    ThreadNotFound,
)
from slipway.runs.scripts import RunCreate, RunScripts, Ttl
from slipway.serialization.json_encoding import dumps, json_members

_PAGE: Final = 200


def _busy(new: NewRun, other: str) -> Conflict:
    busy = f"thread {new.thread_id} is busy with run {other}"
    if new.multitask_strategy == "reject":
        return Conflict(f"{busy}; multitask_strategy is reject")
    return Conflict(f"{busy}, which came in between; try again")


def _answered(thread_id: str, run_id: str, kwargs: bytes) -> Conflict:
    decided = (orjson.loads(kwargs).get("command") or {}).get("resume")
    message = f"the interrupt of thread {thread_id} was answered by run {run_id}"
    return Conflict(message, answered_by=run_id, answer=decided)


class Fired(Conflict):
    """The run of a cron's due time was made already, or the cron has another due time by now."""


class RunStore:
    """Runs as the API sees them. Everything a worker does to a run is in `leases`."""

    def __init__(
        self,
        pipeline: Pipeline,
        keys: Keys,
        scripts: RunScripts,
        *,
        event_ttl_s: int,
        lease_ms: int,
        trash: Trash,
        thread_ttl: Ttl | None = None,
    ) -> None:
        self._reads, self._scripts, self._trash = RunReads(pipeline, keys), scripts, trash
        self._event_ttl_s, self._lease_ms, self._thread_ttl = event_ttl_s, lease_ms, thread_ttl

    async def create(self, new: NewRun) -> Run:
        """Accept a run, atomically with its first event, its job and its thread's status; one round trip. The run that
        has this id already, if one has. Raises `NotFound` for an unknown thread, and `Conflict` where the strategy is
        `reject` and the thread is busy, where it would have to cancel and may not, or where another run has answered
        the interrupt."""
        run, _ = await self.accept(new)
        return run

    async def accept(self, new: NewRun, *, inline_worker: str | None = None) -> tuple[Run, bool]:
        """As `create`, and whether the run is new. With `inline_worker` it may be `running` already, held by that
        worker."""
        while True:
            asked = await self._asked(new, inline_worker)
            create = partial(self._scripts.run_create, asked)
            result: RunCreateResult = await self._trash.emptied_for(new.thread_id, create)
            if not isinstance(result, ThreadChanged):
                break
        match result:
            case RunCreated(held):
                return run_from(held), True
            case RunExists(held):
                return run_from(held), False
            case ThreadNotFound():
                raise NotFound("thread", new.thread_id)
            case ThreadExists():
                raise Conflict(f"thread {new.thread_id} exists already, so it cannot be made for this run")
            case ThreadBusy(run_id):
                raise _busy(new, run_id)
            case InterruptAnswered(run_id, options):
                raise _answered(new.thread_id, run_id, options)
            case DueTimePassed():
                raise Fired(f"run {new.run_id} of this due time was made already")

    async def _asked(self, new: NewRun, inline_worker: str | None) -> RunCreate:
        """What the script is told."""
        texts = new.only.required_texts()
        saw: Seen = {}
        if texts is None:
            saw = await seen(self._reads, new.thread_id, new.only)
        return {
            "run_id": new.run_id,
            "thread_id": new.thread_id,
            "create_thread": new.create_thread,
            "temporary": new.temporary,
            "kept_s": new.kept_s,
            "assistant_id": new.assistant_id,
            "assistant_id_json": f'"{new.assistant_id}"',
            "graph_id": new.graph_id,
            "graph_id_json": dumps(new.graph_id).decode(),
            "kwargs": dumps(new.options.stored()).decode(),
            "assistant_metadata": json_members(new.assistant_metadata),
            "metadata": json_members(new.metadata),
            "thread_metadata": json_members(new.metadata if new.thread_metadata is None else new.thread_metadata),
            "thread_config": json_members(new.thread_config),
            "multitask": new.multitask_strategy,
            "may_cancel": new.may_cancel,
            "after_ms": new.after_s * 1000,
            "continues": new.options.continues,
            "answers": new.options.answers_interrupt,
            "max_attempts": int(new.ceilings["max_attempts"]),
            "ceilings": dumps(new.ceilings).decode(),
            "priority_ms": PRIORITY_MS[new.priority],
            "groups": list(new.groups),
            "inline_worker": inline_worker if new.inline else None,
            "inline_request": secrets.token_hex(8) if inline_worker and new.inline else None,
            "lease_ms": self._lease_ms,
            "event_ttl_s": self._event_ttl_s,
            "ttl": self._thread_ttl,
            "webhook": delivery_queue_of(new.options.webhook),
            "cron": new.cron,
            "user": None if new.user is None else dumps(new.user).decode(),
            "changed_by": dumps(new.changed_by).decode() if new.changed_by else None,
            "own_thread": new.own_thread,
            "only": json_members(dict(texts or {})),
            "seen": saw,
        }

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
