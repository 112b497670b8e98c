"""Runs: one request each to execute a graph on a thread.

The state machine (every move is one script; final phases never change):

    queued ──claim──▶ running ──settle──▶ completed | failed | cancelled
      ▲                 │ │
      └──release, reap──┘ └──settle──▶ waiting_for_approval ──the thread goes on──▶ completed

`phase` is our word, `status` the protocol's. A run's number of attempts is its fencing token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson
import uuid_utils

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.clock import iso
from slipway.graphs.spec import Priority
from slipway.redis.hash_fields import Fields
from slipway.run_options import RunOptions, options_from
from slipway.runs import cancel_reasons
from slipway.runs.cancel_reasons import Action
from slipway.runs.scripts import CronStep


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
    options: RunOptions
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
    only: AccessFilter = MATCH_ALL
    thread_metadata: dict[str, Any] | None = None
    may_cancel: bool = True


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
    options: RunOptions
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
            "kwargs": self.options.public(self.ids, self.metadata, self.attempt),
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
        options=options_from(held["kwargs"]),
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
