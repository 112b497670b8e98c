"""Runs: one request each to execute a graph on a thread.

The state machine (every move is one script; final phases never change):

    queued ──claim──▶ running ──settle──▶ completed | failed | cancelled
      ▲                 │ │
      └──release, reap──┘ └──settle──▶ waiting_for_approval ──the thread goes on──▶ completed

`phase` is our word, `status` the protocol's. A run's number of attempts is its fencing token.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Final

import orjson
import uuid_utils

from slipway.access.filters import EVERYTHING, Filter
from slipway.checkpoints.trash import Trash
from slipway.clock import iso
from slipway.errors import Conflict, NotFound
from slipway.graphs.spec import Priority
from slipway.json_containment import contains
from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs import cancel_reasons, run_kwargs
from slipway.runs.admission import Seen, seen
from slipway.runs.cancel_reasons import Action
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
from slipway.runs.scripts import CronStep, RunCreate, RunScripts, Ttl
from slipway.serialization.json_encoding import dumps, json_members
from slipway.webhooks.scripts import queue_of

_PAGE: Final = 200


class Phase(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL: Final = frozenset({Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED})

STATUS: Final = {
    Phase.QUEUED: "pending",
    Phase.RUNNING: "running",
    Phase.PAUSED: "pending",
    Phase.WAITING_FOR_APPROVAL: "success",
    Phase.COMPLETED: "success",
    Phase.FAILED: "error",
    Phase.CANCELLED: "interrupted",
}

PRIORITY_MS: Final[dict[Priority, int]] = {"high": -60_000, "normal": 0, "low": 60_000}
"""What is added to a job's due time for its rank: a low one waits a minute longer than a normal one, never for ever."""

TIMEOUTS: Final = frozenset({"ceiling.time", "ceiling.step_time"})


def status_of(phase: Phase, code: str | None = None) -> str:
    """The protocol's word for a phase; a run that failed by a time ceiling is a `timeout`."""
    return "timeout" if phase is Phase.FAILED and code in TIMEOUTS else STATUS[phase]


def new_id() -> str:
    """A time-ordered UUID (version 7) as text."""
    return str(uuid_utils.uuid7())


@dataclass(frozen=True, slots=True)
class NewRun:
    """A request, validated. `metadata` is the request's own (config's below it); the thread's is merged in between by
    the store. `thread_config` is what the run leaves in its thread's config. `groups` are names, each with the most
    runs under that name that may execute at once. A `temporary` run has a thread of its own, which goes with it; its
    record stays for `kept_s`, if that is set, for whoever asks for the same run again. `user` is for whom it runs
    (`User.stored`): graphs are told, clients never. `only` says which threads the caller may run on: any other that
    exists is as good as unknown. `thread_metadata` is that of a thread that is made for it; None is the run's own.
    Without `may_cancel` it cancels nothing that its thread is busy with, whatever its strategy: it is refused."""

    run_id: str
    thread_id: str
    assistant_id: str
    graph_id: str
    kwargs: dict[str, Any]
    assistant_metadata: dict[str, Any]
    metadata: dict[str, Any]
    thread_config: dict[str, Any]
    ceilings: dict[str, float]
    multitask_strategy: str = "enqueue"
    create_thread: bool = False
    own_thread: bool = False
    """The thread is made for this run: one of this id that exists already is somebody else's."""
    temporary: bool = False
    kept_s: int | None = None
    after_s: int = 0
    inline: bool = False
    priority: Priority = "normal"
    groups: Sequence[tuple[str, int]] = ()
    cron: CronStep | None = None
    user: dict[str, Any] | None = None
    changed_by: Sequence[dict[str, Any]] = ()
    only: Filter = EVERYTHING
    thread_metadata: dict[str, Any] | None = None
    may_cancel: bool = True

    @property
    def answers(self) -> bool:
        """Whether it answers an interrupt."""
        command = self.kwargs.get("command")
        return bool(command and "resume" in command)

    @property
    def continues(self) -> bool:
        """Whether it goes on with what the thread's last run left: an answer, or no input at all."""
        return self.answers or (self.kwargs.get("command") is None and self.kwargs.get("input") is None)


@dataclass(frozen=True, slots=True)
class Run:
    """The stored record. `attempt` is 0 before the first claim; `error` and `usage` are plain JSON objects."""

    run_id: str
    thread_id: str
    incarnation: str
    """When it was created, in µs: what tells it from another run that had the same id."""
    assistant_id: str
    graph_id: str
    phase: Phase
    reason: str | None
    metadata: dict[str, Any]
    kwargs: dict[str, Any]
    multitask_strategy: str
    created_at: str
    updated_at: str
    attempt: int
    error: dict[str, Any] | None
    usage: dict[str, Any]
    ceilings: dict[str, float]
    resumes: str | None
    resumed_by: str | None
    cancel: Action | None
    cancel_cause: str | None
    """Why it was cancelled: a sentence of the server's."""
    cancel_reason: str | None
    """What the client that cancelled it gave as its reason."""
    handovers: int
    fresh: bool
    webhook_status: str | None = None
    webhook_problem: str | None = None
    suspect: int = 0
    """How many workers died with it since it last got on."""
    user: dict[str, Any] | None = None
    """For whom it runs. No part of what clients are shown."""
    changed_by: Sequence[dict[str, Any]] = ()
    """Other users who changed the cron that made it: they must be allowed it too."""
    permitted_ago_s: float = 0.0
    """How long before the record's last change the auth file had allowed it; as good as for ever where that is not
    known."""

    @property
    def status(self) -> str:
        """The protocol's word."""
        return status_of(self.phase, self.error.get("code") if self.error else None)

    @property
    def final(self) -> bool:
        """Whether the phase can change no more."""
        return self.phase in FINAL

    @property
    def ids(self) -> dict[str, str]:
        """The ids that nodes find in their `configurable`."""
        return {
            "run_id": self.run_id,
            "thread_id": self.thread_id,
            "graph_id": self.graph_id,
            "assistant_id": self.assistant_id,
        }

    def public(self) -> dict[str, Any]:
        """The protocol's Run object, with our phase, reason and the rest beside it."""
        shown: dict[str, Any] = {
            "run_id": self.run_id,
            "thread_id": self.thread_id,
            "assistant_id": self.assistant_id,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "status": self.status,
            "metadata": self.metadata,
            "kwargs": run_kwargs.shown(self.kwargs, self.ids, self.metadata, self.attempt),
            "multitask_strategy": self.multitask_strategy,
            "langsmith_session_name": None,
            "phase": self.phase.value,
            "reason": self.reason,
            "attempt": self.attempt,
            "graph_id": self.graph_id,
            "error": self.shown_error,
            "usage": self.usage,
            "ceilings": self.ceilings,
        }
        optional = {"resumes": self.resumes, "resumed_by": self.resumed_by}
        optional |= {"cancel_reason": self.cancel_reason or self.cancel_cause, "cancel_cause": self.cancel_cause}
        optional |= {"webhook_status": self.webhook_status, "webhook_problem": self.webhook_problem}
        return shown | {name: value for name, value in optional.items() if value}

    @property
    def shown_error(self) -> dict[str, Any] | None:
        """Why it failed, or why it was cancelled, as clients see it."""
        if self.phase is not Phase.CANCELLED:
            return None if self.error is None else _shown(self.error)
        return cancel_reasons.told(self.cancel_cause, self.cancel_reason, action=self.cancel or Action.INTERRUPT)


def _shown(error: dict[str, Any]) -> dict[str, Any]:
    """Without a text that is not for clients."""
    shown = dict(error)
    return shown | {"message": shown.pop("shown")} if "shown" in shown else shown


def run_from(held: Fields) -> Run:
    """The record of a stored hash."""
    return Run(
        run_id=held["run_id"].decode(),
        thread_id=held["thread_id"].decode(),
        incarnation=held["created_us"].decode(),
        assistant_id=held["assistant_id"].decode(),
        graph_id=held["graph_id"].decode(),
        phase=Phase(held["phase"].decode()),
        reason=_text(held, "reason"),
        metadata=spread(held, "m:"),
        kwargs=run_kwargs.restored(orjson.loads(held["kwargs"])),
        multitask_strategy=held["multitask"].decode(),
        created_at=iso(int(held["created_us"])),
        updated_at=iso(int(held["updated_us"])),
        attempt=int(held["attempt"]),
        error=orjson.loads(held["error"]) if "error" in held else None,
        usage=orjson.loads(held["usage"]),
        ceilings=orjson.loads(held["ceilings"]),
        resumes=_text(held, "resumes"),
        resumed_by=_text(held, "resumed_by"),
        cancel=Action(held["cancel"].decode()) if held.get("cancel") else None,
        cancel_cause=_text(held, "cancel_cause"),
        cancel_reason=_text(held, "cancel_reason"),
        handovers=int(held["handovers"]),
        fresh=held.get("fresh") == b"1",
        webhook_status=_text(held, "webhook"),
        webhook_problem=_text(held, "webhook_problem"),
        suspect=int(held.get("suspect", b"0")),
        user=orjson.loads(held["user"]) if "user" in held else None,
        changed_by=orjson.loads(held.get("changed_by", b"[]")),
        permitted_ago_s=(int(held["updated_us"]) - int(held.get("permitted_us", 0))) / 1e6,
    )


def _text(held: Fields, name: str) -> str | None:
    return held[name].decode() if held.get(name) else None


def spread(held: Fields, prefix: str) -> dict[str, Any]:
    """The JSON object that is stored one field each under `prefix`."""
    return {name[len(prefix) :]: orjson.loads(value) for name, value in held.items() if name.startswith(prefix)}


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
        self._pipeline, self._keys, self._scripts, self._trash = pipeline, keys, scripts, trash
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
        texts = new.only.texts()
        saw: Seen = {}
        if texts is None:
            saw = await seen(self._pipeline, self._keys, new.thread_id, new.only)
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
            "kwargs": dumps(run_kwargs.stored(new.kwargs)).decode(),
            "assistant_metadata": json_members(new.assistant_metadata),
            "metadata": json_members(new.metadata),
            "thread_metadata": json_members(new.metadata if new.thread_metadata is None else new.thread_metadata),
            "thread_config": json_members(new.thread_config),
            "multitask": new.multitask_strategy,
            "may_cancel": new.may_cancel,
            "after_ms": new.after_s * 1000,
            "continues": new.continues,
            "answers": new.answers,
            "max_attempts": int(new.ceilings["max_attempts"]),
            "ceilings": dumps(new.ceilings).decode(),
            "priority_ms": PRIORITY_MS[new.priority],
            "groups": list(new.groups),
            "inline_worker": inline_worker if new.inline else None,
            "inline_request": secrets.token_hex(8) if inline_worker and new.inline else None,
            "lease_ms": self._lease_ms,
            "event_ttl_s": self._event_ttl_s,
            "ttl": self._thread_ttl,
            "webhook": queue_of(new.kwargs.get("webhook")),
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
        thread_id = await self._pipeline.send("HGET", self._keys.run(run_id), "thread_id", repeatable=True)
        return None if thread_id is None else str(thread_id.decode())

    async def find(self, run_id: str) -> Run:
        """The run by its id alone, or `NotFound`."""
        held = fields_of(await self._pipeline.send("HGETALL", self._keys.run(run_id), repeatable=True))
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
        exists = self._pipeline.send("EXISTS", self._keys.thread(thread_id), repeatable=True)
        start = 0
        while True:
            stop = start + page - 1
            ids = await self._pipeline.send(
                "ZREVRANGE", self._keys.thread_runs(thread_id), start, stop, repeatable=True
            )
            if not await exists:
                raise NotFound("thread", thread_id)
            reads = [self._pipeline.send("HGETALL", self._keys.run(run.decode()), repeatable=True) for run in ids]
            for read in reads:
                if held := fields_of(await read):
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
