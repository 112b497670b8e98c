"""The record of a run: one request to execute a graph on a thread.

`RunSpec` is a run before it is stored; `Run` is a stored run. The fields of `Run` are fields of the run's hash in Redis
(`docs/keys.md`). The docstring of each field says what changes it. *Never changes* means: not after the run was
created.

The state machine. Each line is a change of the phase and the Lua scripts that make it. `completed`, `failed` and
`cancelled` are final and never change. `docs/state-machine.md` draws the same changes and says when each happens;
`tests/test_state_machine.py` compares both with the scripts.

    (new)                 → queued                run_create
    (new)                 → running               run_create
    queued                → running               run_claim
    queued                → paused                run_pause, run_claim
    queued                → cancelled             run_cancel, run_create
    running               → queued                run_release, run_reap
    running               → paused                run_release, run_reap
    running               → waiting_for_approval  run_settle
    running               → completed             run_settle
    running               → failed                run_settle, run_reap
    running               → cancelled             run_settle
    paused                → queued                run_resume, switch_resume, held_retry, thread_move
    paused                → queued                run_cancel, run_create, doctor
    paused                → cancelled             run_cancel, run_create
    waiting_for_approval  → completed             run_create, run_claim, run_settle, thread_patch, doctor
    waiting_for_approval  → cancelled             run_cancel

In `waiting_for_approval` the graph has returned at an interrupt or a breakpoint. The run completes when the next run of
its thread starts: *answered*, or *abandoned* if that run does not answer. It is also abandoned when a state write
leaves nothing to answer, and when its thread was temporary. A cancelled run whose cancel action is `rollback` is
deleted by the script that cancels it.

A `paused` run was stopped by an operator before its next superstep, or before something that is switched off; or its
attempt has stopped, because no version may continue its thread or its retries are used up. It will continue as the same
run. It has no lease and no job, and stays in the queue of its thread, so that later runs of the
thread wait. Its event streams stay open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

import orjson
import uuid_utils

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.access.users import identity_of
from slipway.accounting.limits import Limits, limits_from, stored_limits
from slipway.accounting.metered_usage import MeteredUsage
from slipway.accounting.usage import public_usage
from slipway.budgets import Budget, BudgetEntry
from slipway.clock import iso
from slipway.graphs.spec import Priority
from slipway.graphs.version_choice import NO_CHOICE, VersionChoice
from slipway.protocol_types import MultitaskStrategy
from slipway.redis.hash_fields import METADATA_PREFIX, Fields, prefixed
from slipway.run_options import RunOptions, options_from, options_in_turns
from slipway.runs import cancel_reasons
from slipway.runs.cancel_reasons import Action
from slipway.runs.delivery_queues import EXTERNAL, INTERNAL, delivery_queue_of, webhook_origin
from slipway.runs.held import Held, held_from
from slipway.runs.index_terms import owner_of, run_terms
from slipway.runs.logged_run import LoggedRun
from slipway.runs.operator_pause import OperatorPause, operator_pause_from
from slipway.runs.review_arguments import CheckedAnswers
from slipway.runs.scripts import DueTime
from slipway.serialization.at_rest import opened_json, sealed_in_thread, sealed_json
from slipway.serialization.json_encoding import dumps, dumps_in_turns, json_members
from slipway.serialization.places import USER, run_place
from slipway.tracing.run_trace import RunTrace, run_trace_from, trace_id_in


class Phase(StrEnum):
    """Slipway's word for the state of a run."""

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
"""Added to the due time of a job when it is ranked in the queue: a job with low priority waits at most one minute
longer than a normal job, and never forever."""

TIMEOUTS: Final = frozenset({"ceiling.time", "ceiling.step_time"})


def status_of(phase: Phase, code: str | None = None) -> str:
    """The protocol's word for a phase. A run that failed with a time ceiling (`code`) has status `timeout`."""
    return "timeout" if phase is Phase.FAILED and code in TIMEOUTS else STATUS[phase]


def new_id() -> str:
    """A time-ordered UUID (version 7) as text."""
    return str(uuid_utils.uuid7())


@dataclass(frozen=True, slots=True, kw_only=True)
class RunIdentity:
    """The ids of the run, and the user for whom it executes."""

    run_id: str
    """A UUID. A new one, or the one that the idempotency key or the due time of a cron determines."""
    thread_id: str
    """A UUID. The thread need not exist: see `RunBehaviour.create_thread` and `own_thread`."""
    assistant_id: str
    """A UUID. Of a system assistant if the request names a graph."""
    graph_id: str
    """The graph of the assistant when the run was requested."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """The metadata of the request and of its config; the request's members replace the config's. The stored metadata
    also contains the thread's and the assistant's."""
    assistant_metadata: dict[str, Any] = field(default_factory=dict)
    """The metadata of the assistant's current version. Other metadata replace its members."""
    user: dict[str, Any] | None = None
    """See `Run.user`."""
    changed_by: Sequence[dict[str, Any]] = ()
    """See `Run.changed_by`."""
    due_time: DueTime | None = None
    """The due time for which a cron creates the run. None for all other runs."""
    retry: Retry | None = None
    """If the run retries another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A new run that continues the chain of a run that failed or was cancelled."""

    run_id: str
    """The run that is retried."""
    earlier: Sequence[str]
    """The runs that this one has retried itself, directly or through each other; see `Run.retries`."""
    by: str
    """The operator, for the audit trails of both runs."""
    details: dict[str, Any]
    """For the audit trails."""
    named_checkpoint: bool = False
    """Whether the new run starts from a checkpoint that the operator has named. Otherwise no later run of the thread
    may have started, because it would have changed the state."""
    skipped_tasks: Sequence[str] = ()
    """See `Run.skipped_tasks`."""

    @property
    def retries(self) -> list[str]:
        """See `Run.retries`."""
        return [*self.earlier, self.run_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunExecution:
    """What the graph is called with, and the limits of the run."""

    options: RunOptions
    """What the graph is called with: the options of the request over those of the assistant."""
    ceilings: Limits
    """The limits of the chain, by name, with the defaults of the deployment and of the graph."""
    inline: bool = False
    """Whether the graph is declared as inline: the web process that receives the request may execute the run itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBehaviour:
    """How the run treats its thread and the thread's other runs, and how it is queued."""

    multitask_strategy: MultitaskStrategy = "enqueue"
    """What happens if the thread is busy."""
    may_cancel: bool = True
    """False if the user was not authorized to cancel runs. Then a run whose strategy cancels runs is rejected if the
    thread is busy."""
    access_filter: AccessFilter = MATCH_ALL
    """The threads that the user may run on. Any other thread is treated as not existing."""
    create_thread: bool = False
    """The thread is created if it does not exist."""
    own_thread: bool = False
    """The thread is created for this run (a stateless run). If a thread with its id exists, the run is rejected."""
    thread_metadata: dict[str, Any] | None = None
    """The metadata of a thread that is created for the run. None for the run's own metadata."""
    thread_config: dict[str, Any] = field(default_factory=dict)
    """Members that are merged into the config of the thread. Empty: its config does not change."""
    after_s: int = 0
    """Delay in seconds before the run is due."""
    priority: Priority = "normal"
    """Of the request, or else of the graph. Shifts the job's place in the queue: see `PRIORITY_MS`."""
    groups: Sequence[tuple[str, int]] = ()
    """Concurrency groups: the name of each, and how many runs with this name may execute at once. Empty if no group
    limits the run."""
    followed: bool = False
    """Whether a client follows the events of the run from its start."""
    pauses_exhausted: bool = False
    """Whether the run pauses instead of failing when its retries or its attempts are used up."""
    budgets: Sequence[tuple[Budget, BudgetEntry]] = ()
    """The budgets that limit new runs of its owner and its graph, and what it adds to each."""
    checked: CheckedAnswers | None = None
    """How the answers of the run were checked against the reviews of the waiting run. None if it has none."""
    version: VersionChoice = NO_CHOICE
    """Among which versions of the graph the script that creates the run chooses."""
    retain_s: int | None = None
    """Seconds for which the record of a run with a temporary thread stays after the thread is deleted, so that a
    repeated request finds it. None: the record is deleted with the thread."""

    @property
    def has_held_answers(self) -> bool:
        """Whether the run has the answers that were held for the waiting run."""
        return self.checked is not None and self.checked["held"]


@dataclass(frozen=True, slots=True)
class RunSpec:
    """The validated content of a request for a run, before it is stored."""

    identity: RunIdentity
    execution: RunExecution
    behaviour: RunBehaviour = RunBehaviour()

    @property
    def terms(self) -> list[str]:
        """The index terms of the run (`index_terms.py`)."""
        return run_terms(self.identity.assistant_id, self.identity.graph_id, self.identity.user)

    def stored_fields(self) -> dict[str, str]:
        """The fields of the record that do not depend on stored data, with the metadata of the assistant. Fields with
        default values are absent. `run_create.lua` writes them unchanged, and adds times, phase, metadata and job."""
        identity, execution, behaviour = self.identity, self.execution, self.behaviour
        queue = delivery_queue_of(execution.options.webhook)
        fields = {
            "run_id": identity.run_id,
            "thread_id": identity.thread_id,
            "assistant_id": identity.assistant_id,
            "graph_id": identity.graph_id,
            "user": None if identity.user is None else sealed_json(identity.user, USER),
            "changed_by": sealed_json(identity.changed_by, USER) if identity.changed_by else None,
            "continues": "1" if execution.options.continues else None,
            "answers": "1" if execution.options.answers_interrupt else None,
            "ceilings": stored_limits(execution.ceilings),
            "multitask_strategy": None if behaviour.multitask_strategy == "enqueue" else behaviour.multitask_strategy,
            "priority_ms": str(self.priority_ms) if self.priority_ms else None,
            "followed": "1" if behaviour.followed else None,
            "pauses_exhausted": "1" if behaviour.pauses_exhausted else None,
            "groups": _json(behaviour.groups) if behaviour.groups else None,
            "retain_s": None if behaviour.retain_s is None else str(behaviour.retain_s),
            "webhook": None if queue is None else "pending",
            "webhook_queue": queue if queue == INTERNAL else None,
            "webhook_origin": webhook_origin(execution.options.webhook, identity.user) if queue == EXTERNAL else None,
            "terms": "".join(self.terms),
            "retries": ",".join(identity.retry.retries) if identity.retry else None,
            "skipped_tasks": _json(identity.retry.skipped_tasks)
            if identity.retry and identity.retry.skipped_tasks
            else None,
        }
        stored = {name: value for name, value in fields.items() if value is not None}
        return stored | prefixed(METADATA_PREFIX, json_members(identity.assistant_metadata))

    def with_follower(self) -> RunSpec:
        """The run, whose events a client follows from its start."""
        return replace(self, behaviour=replace(self.behaviour, followed=True))

    @property
    def priority_ms(self) -> int:
        """What the priority adds to the due time of the job."""
        return PRIORITY_MS[self.behaviour.priority]

    async def stored_options(self) -> bytes:
        """The field `kwargs`, which `run_create.lua` writes too, in its stored form."""
        options = await dumps_in_turns(self.execution.options.stored())
        return await sealed_in_thread(options, run_place(self.identity.run_id))


def _json(value: object) -> str:
    return dumps(value).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as it was stored at the moment of reading. It does not follow later changes."""

    run_id: str
    """A UUID, chosen by the web process. Never changes."""
    thread_id: str
    """The thread that it executes on. Never changes."""
    assistant_id: str
    """The assistant that was requested. Never changes."""
    graph_id: str
    """The graph of that assistant when the run was created. Never changes."""
    incarnation: str
    """Field `created_us`: the creation time in µs; of a delayed run, the time when it is due. It distinguishes the run
    from a deleted run that had the same id. Never changes."""
    updated_us: int
    """When the phase changed last, in µs. Every script that changes the phase writes it."""
    metadata: dict[str, Any]
    """Fields `m:*`: the assistant's, the thread's and the request's metadata, merged when the run was created; with
    `graph_id` and `assistant_id`. Never changes."""
    options: RunOptions
    """Field `kwargs`: what the graph is called with. Never changes."""
    ceilings: Limits
    """The hard limits of the chain, by name. The script that writes `resumes` lowers them to those of that run."""
    multitask_strategy: str
    """What happened if the thread was busy when the run was created. Never changes."""
    user: dict[str, Any] | None = None
    """The user for whom the run executes (`User.stored`); clients never receive it. None if no auth file is configured.
    Never changes."""
    changed_by: Sequence[dict[str, Any]] = ()
    """Other users who changed the cron that created the run: each of them must be authorized too. Empty for all runs
    that no cron created. Never changes."""
    chain_user: dict[str, Any] | None = None
    """The user of the first run of the chain, if that is another run. The script that writes `resumes` writes it."""
    reviews: Sequence[str] = ()
    """The ids of the interrupts for which reviews were opened when the run began to wait. The settle writes it."""
    phase: Phase
    """See the state machine above."""
    reason: str | None
    """Why the run is in this phase. None if there is no further reason. Changes with the phase, and when a claim parks
    the job of the run."""
    attempt: int
    """The number of the last attempt that started, 0 before the first: the fencing token of all its writes. The script
    that starts an attempt adds 1: a claim, or the creation of an inline run."""
    uncounted_attempts: int
    """How many attempts do not count towards `max_attempts`: they were released, or ended by a crash of which the
    run is not the likely cause (`run_reap.lua`). A release or a reclaim adds 1."""
    no_checkpoints: bool
    """Whether the thread had no checkpoint when the attempt started. The script that starts an attempt writes it."""
    worker: str | None = None
    """The process that executes it. None while no attempt holds its lease. The script that starts an attempt writes it,
    and what ends or releases it deletes it."""
    crashes: int = 0
    """How many workers have died while they executed this run, since it last progressed. A reclaim adds 1, and a
    heartbeat of a worker that was alive after all subtracts it. An attempt that starts its second superstep, or that
    settles the run, sets it to 0."""
    crashed_worker: str = ""
    """The worker that died last while it executed this run. Empty if `crashes` is 0, and after a crash under an earlier
    release."""
    usage: dict[str, Any]
    """What the chain has used of its ceilings (`accounting.usage.Usage`). The script that writes `resumes` copies it
    from that run. An attempt writes it with each superstep, and when it settles or releases the run."""
    metered: bytes = b""
    """What the chain has used of models and tools, as stored (`accounting.metered_usage`). Empty if nothing. The script
    that writes `resumes` copies it from that run. An attempt writes it before each call, and after it."""
    error: dict[str, Any] | None
    """Why the run failed: `error`, `message`, `code`, `attempt`, `retryable`, and sometimes `node` and `shown`. None
    unless the phase is `failed`, or `paused` because its retries are used up. `run_settle`, `run_reap` and
    `run_release` write it."""
    resumes: str | None
    """The run whose interrupt this run answered, or whose breakpoint it continued from; an earlier answer that left
    the interrupt open; or the run that it retries. None for the first run of a chain. The script that creates or claims
    the run writes it."""
    resumed_by: str | None
    """The run that continued the thread after this run waited. None before. The script that creates or claims that run
    writes it."""
    cancel: Action | None
    """Field `cancel_action`: the cancel action that was requested. None unless the run is to be cancelled. A cancel
    request writes it, and so does a newer run with a strategy that cancels."""
    cancel_cause: str | None
    """Why it was cancelled: a sentence that Slipway writes. Written with `cancel`."""
    cancel_reason: str | None
    """The reason that the client gave. None if it gave none. Written with `cancel`."""
    operator_pause: OperatorPause | None = None
    """The operator's request to pause it. The first request writes it; the script that resumes or cancels the run
    deletes it. While the run executes, its attempt is stopping."""
    retries: Sequence[str] = ()
    """The runs that this one retries: the first of the chain of retries first, the last directly. Empty if it retries
    none. Never changes."""
    retried_by: str | None = None
    """The run that retries this one. None if none does. The script that creates that run writes it."""
    skipped_tasks: Sequence[str] = ()
    """The ids of tasks that end without a result, because an operator has skipped their nodes. A skip adds some."""
    edit: str | None = None
    """The digest of the last edit of the state with which an operator has resumed it, so that a repeated request is
    recognised. None if there was none."""
    switch: str | None = None
    """The key of the switch before which it is paused (`switches/record.py`). None if it is not, or only by an
    operator. Changes with the phase."""
    version: str | None = None
    """The version of its graph on which it executes. None until the claim chooses one, and for runs of earlier
    releases. A claim replaces it if the run continues on another version."""
    build: str | None = None
    """The id of the build of the version that executed it last. Each claim writes it. None before, and for runs of
    earlier releases."""
    pinned_version: str | None = None
    """The version of the thread, if the thread must be moved to `version` before the graph is opened: its version or
    its schema differs. Only the reply of a claim has it; it is not stored."""
    pinned_schema: str | None = None
    """The schema of the thread then; empty if it is not known."""
    held: Held | None = None
    """Why its last attempt has paused it. None if it has not. The release of that attempt writes it; what queues or
    cancels the run deletes it."""
    version_fixed: bool = False
    """Whether it executes on `version` and on no other, because an operator has named it, or because its thread could
    not be moved."""
    pauses_exhausted: bool = False
    """Whether it pauses instead of failing when its retries or its attempts are used up. Never changes."""
    followed: bool = False
    """Whether a client followed the events of the run from its start: then each is sent to it at once. Never
    changes."""
    webhook_status: str | None = None
    """Field `webhook`: `pending`, `delivered` or `failed`. None without a webhook. Each try changes it."""
    webhook_problem: str | None = None
    """Why the last try to deliver the webhook failed. None if it succeeded, or was not made yet. Each try changes
    it."""
    started_us: int | None = None
    """When its first attempt was claimed, in µs. None before. Never changes after that."""
    ended_us: int | None = None
    """When an attempt settled it, or a reclaim failed it, in µs. None before, and if it was cancelled before it
    started."""
    stored_trace: bytes = b""
    """Field `trace`: see `trace`. Empty if nothing is traced."""
    trace_bytes: int = 0
    """How many bytes its attempts have stored as spans. Each attempt adds what it stores."""
    authorized_s_ago: float = 0.0
    """Seconds between the authorization of the run (field `permitted_us`) and the last change of its phase. Very large
    if the run was not authorized."""

    @property
    def trace(self) -> RunTrace | None:
        """To which trace the run belongs, and who wants its spans. None if nothing is traced. The script that writes
        `resumes` replaces it by one in the trace of that run. Read each time: most code needs less of it."""
        return run_trace_from(self.stored_trace) if self.stored_trace else None

    @property
    def trace_id(self) -> str:
        """The id of that trace. Empty if nothing is traced."""
        return trace_id_in(self.stored_trace)

    @property
    def logged(self) -> LoggedRun:
        """The run as lines of the log name it."""
        return LoggedRun(self.run_id, self.thread_id, self.graph_id, self.trace_id)

    @property
    def created_at(self) -> str:
        """`incarnation` as ISO 8601."""
        return iso(int(self.incarnation))

    @property
    def updated_at(self) -> str:
        """`updated_us` as ISO 8601."""
        return iso(self.updated_us)

    @property
    def status(self) -> str:
        """The protocol's word for the phase."""
        return status_of(self.phase, self.error.get("code") if self.error else None)

    @property
    def error_code(self) -> str | None:
        """The stable code of `error`."""
        return None if self.error is None else self.error.get("code")

    @property
    def final(self) -> bool:
        return self.phase in FINAL

    @property
    def owner(self) -> str | None:
        """To whom the run belongs (`runs.index_terms.owner_of`)."""
        return owner_of(self.user)

    @property
    def started_by(self) -> str | None:
        """The identity of the user who started the chain."""
        return identity_of(self.chain_user or self.user)

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
        """The protocol's Run object, with additional members of Slipway."""
        members: dict[str, Any] = {
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
            "error": self.public_error,
            "usage": self.usage | MeteredUsage.from_stored(self.metered).public() if self.metered else self.usage,
            "ceilings": self.ceilings,
        }
        optional: dict[str, Any] = {"resumes": self.resumes, "resumed_by": self.resumed_by}
        optional |= {"cancel_reason": self.cancel_reason or self.cancel_cause, "cancel_cause": self.cancel_cause}
        optional |= {"retries": self.retries[-1] if self.retries else None, "retried_by": self.retried_by}
        optional |= {"switch": self.switch, "version": self.version, "build": self.build}
        optional |= {"held": None if self.held is None else self.held.public()}
        optional |= {"pause": None if self.operator_pause is None else self.operator_pause.public()}
        optional |= {"webhook_status": self.webhook_status, "webhook_problem": self.webhook_problem}
        return members | {name: value for name, value in optional.items() if value}

    @property
    def public_error(self) -> dict[str, Any] | None:
        """Why the run failed or was cancelled, as clients receive it."""
        if self.phase is not Phase.CANCELLED:
            return None if self.error is None else _without_private_text(self.error)
        return cancel_reasons.cancel_error(
            self.cancel_cause, self.cancel_reason, action=self.cancel or Action.INTERRUPT
        )


PUBLIC_MEMBERS: Final = frozenset(
    {
        "run_id",
        "thread_id",
        "assistant_id",
        "created_at",
        "updated_at",
        "status",
        "metadata",
        "kwargs",
        "multitask_strategy",
        "langsmith_session_name",
        "phase",
        "reason",
        "attempt",
        "graph_id",
        "error",
        "usage",
        "ceilings",
        "resumes",
        "resumed_by",
        "cancel_reason",
        "cancel_cause",
        "retries",
        "retried_by",
        "pause",
        "held",
        "switch",
        "version",
        "build",
        "webhook_status",
        "webhook_problem",
    }
)
"""Every member of `Run.public`, including members that only some runs have."""


def _without_private_text(error: dict[str, Any]) -> dict[str, Any]:
    """The error for clients: if it has the member `shown`, that text replaces `message`."""
    public = dict(error)
    return public | {"message": public.pop("shown")} if "shown" in public else public


def has_large_options(fields: Fields) -> bool:
    """Whether parsing the options of a stored record may take milliseconds."""
    return len(fields["kwargs"]) >= _LARGE_STORED_BYTES


async def run_in_turns(fields: Fields) -> Run:
    """The same as `run_from`. Large options are parsed in slices, between which the event loop continues."""
    return run_from(fields, await options_in_turns(fields["kwargs"], fields["run_id"].decode()))


_LARGE_STORED_BYTES: Final = 16 * 1024
"""Stored bytes of options, which are often compressed to a tenth."""


_OPTIONAL_TEXTS: Final = frozenset(
    {"reason", "resumes", "resumed_by", "cancel_cause", "cancel_reason", "retried_by", "edit", "switch"}
    | {"webhook", "webhook_problem", "worker", "crashed_worker", "version", "build", "pinned_version"}
)
"""Fields of a record that a run may lack, or has empty. Most runs have none of them."""


def run_from(fields: Fields, options: RunOptions | None = None) -> Run:
    """The run of a stored record. `options` are those of the record, if they are known; parsing large ones takes
    long."""
    texts = {name: fields[name].decode() for name in _OPTIONAL_TEXTS & fields.keys() if fields[name]}
    run_id = fields["run_id"].decode()
    return Run(
        run_id=run_id,
        thread_id=fields["thread_id"].decode(),
        incarnation=fields["created_us"].decode(),
        assistant_id=fields["assistant_id"].decode(),
        graph_id=fields["graph_id"].decode(),
        phase=Phase(fields["phase"].decode()),
        reason=texts.get("reason"),
        metadata=decode_members(fields, METADATA_PREFIX) | _ids_in_metadata(fields),
        options=options or options_from(fields["kwargs"], run_id),
        multitask_strategy=fields.get("multitask_strategy", b"enqueue").decode(),
        updated_us=int(fields["updated_us"]),
        attempt=int(fields["attempt"]),
        error=opened_json(fields["error"], run_place(run_id)) if "error" in fields else None,
        usage=public_usage(fields.get("usage", b"[]")),
        metered=fields.get("metered", b""),
        ceilings=limits_from(fields["ceilings"]),
        resumes=texts.get("resumes"),
        resumed_by=texts.get("resumed_by"),
        cancel=Action(fields["cancel_action"].decode()) if fields.get("cancel_action") else None,
        cancel_cause=texts.get("cancel_cause"),
        cancel_reason=texts.get("cancel_reason"),
        uncounted_attempts=int(fields.get("uncounted_attempts", 0)),
        no_checkpoints=fields.get("no_checkpoints") == b"1",
        operator_pause=operator_pause_from(fields["operator_pause"]) if "operator_pause" in fields else None,
        retries=fields["retries"].decode().split(",") if "retries" in fields else (),
        retried_by=texts.get("retried_by"),
        skipped_tasks=orjson.loads(fields["skipped_tasks"]) if "skipped_tasks" in fields else (),
        edit=texts.get("edit"),
        switch=texts.get("switch"),
        version=texts.get("version"),
        build=texts.get("build"),
        pinned_version=texts.get("pinned_version"),
        pinned_schema=fields["pinned_schema"].decode() if "pinned_schema" in fields else None,
        held=held_from(fields["held"]) if "held" in fields else None,
        version_fixed="version_fixed" in fields,
        pauses_exhausted="pauses_exhausted" in fields,
        followed="followed" in fields,
        webhook_status=texts.get("webhook"),
        webhook_problem=texts.get("webhook_problem"),
        worker=texts.get("worker"),
        crashes=int(fields.get("crashes", b"0")),
        crashed_worker=texts.get("crashed_worker", ""),
        user=opened_json(fields["user"], USER) if "user" in fields else None,
        changed_by=opened_json(fields["changed_by"], USER) if "changed_by" in fields else (),
        chain_user=opened_json(fields["chain_user"], USER) if "chain_user" in fields else None,
        reviews=fields["reviews"].decode().split() if "reviews" in fields else (),
        started_us=int(fields["started_us"]) if "started_us" in fields else None,
        ended_us=int(fields["ended_us"]) if "ended_us" in fields else None,
        stored_trace=fields.get("trace", b""),
        trace_bytes=int(fields.get("trace_bytes", b"0")),
        authorized_s_ago=(int(fields["updated_us"]) - int(fields.get("permitted_us", 0))) / 1e6,
    )


def _ids_in_metadata(fields: Fields) -> dict[str, str]:
    """The members that the metadata of every run has."""
    return {name: fields[name].decode() for name in ("graph_id", "assistant_id")}


def decode_members(fields: Fields, prefix: str) -> dict[str, Any]:
    """A JSON object whose members are stored as one field each. `prefix` precedes their names in the record."""
    return {name[len(prefix) :]: orjson.loads(value) for name, value in fields.items() if name.startswith(prefix)}
