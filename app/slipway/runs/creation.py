"""Stores a new run: its record, its first event, its job and the status of its thread, in one script.

`runs/submit.py` is the only entry: it calls `RunCreator`, for inline runs by way of `execution/inline.py`. A script can
check an access filter only if the filter compares texts for equality. Any other filter is evaluated here, on the stored
fields of the thread; the script then creates the run only if these fields have not changed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

import orjson

from slipway.access.filters import AccessFilter
from slipway.budget_counts.scripts import BudgetedRun, BudgetReservation, NoRoom
from slipway.budget_counts.store import BudgetStore
from slipway.checkpoints.leftovers_exist import LeftoversExist
from slipway.checkpoints.trash import Trash
from slipway.clock import Clock
from slipway.errors import BudgetUsedUp, Conflict, NotFound, NotReplicated, Overloaded, SlipwayError, StoreUnavailable
from slipway.indexes.terms import metadata_digests, metadata_terms
from slipway.redis.hash_fields import CONFIG_PREFIX, METADATA_PREFIX, flat, prefixed
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.run_options import RunOptions
from slipway.runs.admission import BIG_BYTES, Admission
from slipway.runs.reads import FieldSnapshot, RunReads
from slipway.runs.record import Retry, Run, RunSpec, run_from
from slipway.runs.replicated_runs import ReplicatedRuns
from slipway.runs.script_results import (
    AnswersUnchecked,
    AskingRunCancelled,
    BudgetUsed,
    DueTimeHandled,
    InterruptAnswered,
    RunCreated,
    RunCreateResult,
    RunExists,
    RunNotEnded,
    ThreadBusy,
    ThreadChanged,
    ThreadContinued,
    ThreadExists,
    ThreadNotFound,
)
from slipway.runs.scripts import RetryArguments, RunCreate, RunScripts, StoredTtl
from slipway.serialization.at_rest import opened, sealed_text
from slipway.serialization.json_encoding import dumps, json_members
from slipway.serialization.places import THREAD, run_place
from slipway.serialization.slices import is_large
from slipway.tracing.decision import UNTRACED, TraceDecision

EXPECTED_BYTES: Final = 16 * 1024
"""What a run is counted as when its process uses its credit. Near the high-water mark, where it matters, no process has
a credit."""


class DueTimeTaken(Conflict):
    """The run of a cron's due time was created before, or the cron no longer has this due time."""

    def __init__(self, message: str, handled: DueTimeHandled) -> None:
        super().__init__(message)
        self.handled = handled


class AnswersChanged(Conflict):
    """The reviews of the waiting run are not those against which the answers were checked. They must be checked
    again."""


@dataclass(frozen=True, slots=True)
class CreatedRun:
    """`is_new` is False if a run with this id existed already. Then `run` is that run."""

    run: Run
    is_new: bool


class RunCreator:
    """Creates runs. Each takes one round trip, and another one each if a script cannot check the access filter, and if
    budgets limit how many runs there are."""

    def __init__(
        self,
        pipeline: Pipeline,
        shards: Shards,
        scripts: RunScripts,
        trash: Trash,
        *,
        admission: Admission,
        event_ttl_s: int,
        lease_ms: int,
        thread_ttl: StoredTtl | None = None,
        serves: Callable[[], bytes] = lambda: b"",
        tracing: TraceDecision = UNTRACED,
        replicated: ReplicatedRuns | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`serves` returns what this process serves (`ServedGraphs.packed`), for inline runs. `replicated` is needed
        for runs with that durability. `clock` says how long a budget that is used up stays so."""
        self._replicated, self._clock = replicated, clock or Clock()
        self._reads, self._scripts, self._trash = RunReads(pipeline, shards.records), scripts, trash
        self._event_ttl_s, self._lease_ms, self._thread_ttl = event_ttl_s, lease_ms, thread_ttl
        self._shards, self._budgets = shards, BudgetStore(pipeline, shards)
        self._admission, self._serves, self._tracing = admission, serves, tracing

    async def create(self, spec: RunSpec, *, inline_worker: str | None = None) -> CreatedRun:
        """Stores the run. With `inline_worker`, an inline run may be claimed for that process at once: then its phase
        is `running`.

        Raises `Overloaded` if memory has no room for the run; `NotFound` if the thread does not exist or does not match
        the access filter; `DueTimeTaken`; `AnswersChanged`; and `Conflict` if the thread is busy and the strategy is
        `reject`, if the user is not authorized to cancel the run that the strategy would cancel, if the thread that was
        to be created for the run exists, if the interrupt was answered by another run or its run was cancelled, or if
        the run that is to be retried has not failed, was not cancelled, or was continued. Raises `NotReplicated` if
        replicas do not confirm a replicated run in time."""
        if not spec.behaviour.budgets:
            return self._created(spec, await self._call_script(spec, inline_worker), None)
        reservation = _reservation_of(spec)
        refused = await self._budgets.reserve(reservation)
        try:
            result = await self._call_script(spec, inline_worker, no_room=refused is not None)
        except (StoreUnavailable, NotReplicated):
            raise  # the run may exist
        except SlipwayError:
            await self._budgets.release(reservation)
            raise
        if not isinstance(result, RunCreated):
            await self._budgets.release(reservation)
        return self._created(spec, result, refused)

    def _created(self, spec: RunSpec, result: RunCreateResult, refused: NoRoom | None) -> CreatedRun:
        """The run, or the error. `refused`: a budget has no room for it."""
        thread_id = spec.identity.thread_id
        match result:
            case RunCreated(fields, credit_bytes):
                if credit_bytes is not None:
                    self._admission.add_credit(credit_bytes, self._shards.number_of_thread(thread_id))
                return CreatedRun(run_from(fields, _large_options(spec)), is_new=True)
            case RunExists(fields):
                return CreatedRun(run_from(fields), is_new=False)
            case ThreadNotFound():
                raise NotFound("thread", thread_id)
            case ThreadExists():
                raise Conflict(f"thread {thread_id} exists already, so it cannot be created for this run")
            case ThreadBusy(run_id):
                raise _busy_conflict(spec, run_id)
            case InterruptAnswered(run_id, options):
                raise _answered_conflict(thread_id, run_id, options)
            case BudgetUsed():
                assert refused is not None
                budget, _ = spec.behaviour.budgets[refused.position]
                used_up = budget.exhausted("runs", refused.used, 1)
                raise BudgetUsedUp(used_up, budget.period.seconds_left(self._clock.now()))
            case AnswersUnchecked():
                raise AnswersChanged(f"the reviews of thread {thread_id} have changed; send the request again")
            case AskingRunCancelled(run_id):
                raise Conflict(
                    f"the interrupt of thread {thread_id} cannot be answered: run {run_id}, which asked, was cancelled",
                    run_id=run_id,
                )
            case RunNotEnded(phase):
                raise _not_ended_conflict(spec, phase)
            case ThreadContinued():
                raise _continued_conflict(spec)
            case DueTimeHandled() as handled:
                raise DueTimeTaken(f"the due time of run {spec.identity.run_id} was handled already", handled)

    async def _call_script(self, spec: RunSpec, inline_worker: str | None, *, no_room: bool = False) -> RunCreateResult:
        try:
            return await self._call_script_until_unchanged(spec, inline_worker, no_room)
        except Overloaded as error:
            raise error.for_answer() if spec.execution.options.continues else error from None

    async def _call_script_until_unchanged(
        self, spec: RunSpec, inline_worker: str | None, no_room: bool
    ) -> RunCreateResult:
        while True:
            arguments = await self._arguments(spec, inline_worker if spec.execution.inline else None, no_room)
            serves = self._serves() if arguments["inline_worker"] else b""
            create = partial(self._create, spec, arguments, serves)
            result: RunCreateResult | ThreadChanged = await self._trash.create_after_emptying(
                spec.identity.thread_id, create
            )
            if not isinstance(result, ThreadChanged):  # after a change, the access filter is evaluated again
                return result

    async def _create(
        self, spec: RunSpec, arguments: RunCreate, serves: bytes
    ) -> RunCreateResult | ThreadChanged | LeftoversExist:
        if not spec.execution.options.is_replicated:
            return await self._scripts.run_create(arguments, serves)
        assert self._replicated is not None, "this process creates no replicated runs"
        return await self._replicated.created(
            spec.identity.run_id, lambda scripts: scripts.run_create(arguments, serves)
        )

    async def _arguments(self, spec: RunSpec, inline_worker: str | None, no_room: bool) -> RunCreate:
        identity, options, behaviour = spec.identity, spec.execution.options, spec.behaviour
        required, expected = behaviour.access_filter.required_texts(), FieldSnapshot()
        if required is None:
            expected = await self._read_filter_fields(identity.thread_id, behaviour.access_filter)
        thread_metadata = json_members(
            identity.metadata if behaviour.thread_metadata is None else behaviour.thread_metadata
        )
        graph = _GraphMetadata.of(identity.graph_id, identity.assistant_id)
        fields, kwargs = flat(spec.stored_fields()), await spec.stored_options()
        if trace := self._tracing.new_trace():
            fields += ["trace", trace]
        metadata = prefixed(METADATA_PREFIX, json_members(identity.metadata))
        members = json_members(behaviour.thread_config)
        config = prefixed(CONFIG_PREFIX, {name: sealed_text(text, THREAD) for name, text in members.items()})
        return {
            "run_id": identity.run_id,
            "thread_id": identity.thread_id,
            "fields": fields,
            "members": flat(metadata),
            "terms": spec.terms,
            "kwargs": kwargs,
            "priority_ms": spec.priority_ms,
            "mark": await self._mark(sum(map(len, fields)) + len(kwargs), identity.thread_id),
            "sharing": self._admission.sharing,
            "expected_graph_id": identity.graph_id,
            "authorized": (identity.user is not None or bool(identity.changed_by)) and identity.retry is None,
            "retry": _retry_arguments(identity.retry),
            "due_time": identity.due_time,
            "continues": options.continues,
            "answers": options.answers_interrupt,
            "checked": behaviour.checked,
            "no_room": no_room,
            "temporary": options.temporary,
            "multitask": behaviour.multitask_strategy,
            "may_cancel": behaviour.may_cancel,
            "create_thread": behaviour.create_thread,
            "own_thread": behaviour.own_thread,
            "thread_members": flat(prefixed(METADATA_PREFIX, thread_metadata)),
            "thread_terms": graph.terms_with(thread_metadata) if behaviour.create_thread else "",
            "graph_terms": graph.terms,
            "graph_members": graph.digests,
            "thread_fields": [*graph.fields, *flat(config)],
            "thread_ttl": self._thread_ttl,
            "after_ms": behaviour.after_s * 1000,
            "required_metadata": json_members(dict(required or {})),
            "expected_fields": expected,
            "version": behaviour.version.members(),
            "inline_worker": inline_worker,
            "inline_request": None if inline_worker is None else secrets.token_hex(8),
            "lease_ms": self._lease_ms,
            "event_ttl_s": self._event_ttl_s,
        }

    async def _mark(self, size_bytes: int, thread_id: str) -> float | None:
        """The high-water mark, if the script is to check memory for a run whose record has this size. Raises
        `Overloaded` for a large one without room."""
        shard = self._shards.number_of_thread(thread_id)
        if size_bytes > BIG_BYTES:
            await self._admission.admit(size_bytes, shard)
        return None if self._admission.spend(size_bytes + EXPECTED_BYTES, shard) else self._admission.mark

    async def _read_filter_fields(self, thread_id: str, access_filter: AccessFilter) -> FieldSnapshot:
        """The fields that the filter reads. Raises `NotFound` if the thread exists and does not match the filter."""
        thread = await self._reads.thread_filtered(thread_id, access_filter)
        if thread.metadata is not None and not access_filter.matches(thread.metadata):
            raise NotFound("thread", thread_id)
        return thread.snapshot


@dataclass(frozen=True, slots=True)
class _GraphMetadata:
    """What the metadata of a thread contain about the graph and the assistant of its last run."""

    members: dict[str, str]
    """As JSON texts."""
    fields: list[str]
    """As fields of a record, flat."""
    terms: str
    digests: str

    @classmethod
    @lru_cache(maxsize=1024)
    def of(cls, graph_id: str, assistant_id: str) -> _GraphMetadata:
        """The same object for all runs of an assistant; nobody may change it."""
        members = {"graph_id": dumps(graph_id).decode(), "assistant_id": dumps(assistant_id).decode()}
        fields = flat(prefixed(METADATA_PREFIX, members))
        return cls(members, fields, metadata_terms(members), metadata_digests(members))

    def terms_with(self, metadata: dict[str, str]) -> str:
        """The packed index terms of a thread with further metadata."""
        return metadata_terms(self.members | metadata | self.members)


def _reservation_of(spec: RunSpec) -> BudgetReservation:
    """Of the budgets of runs, for one request: another request that creates the run with the same id has its own."""
    identity = spec.identity
    owner = identity.metadata.get("owner")
    run = BudgetedRun(identity.run_id, identity.graph_id, None if owner is None else dumps(owner).decode())
    entries = [entry for _, entry in spec.behaviour.budgets]
    return BudgetReservation(run, f"{identity.run_id}:{secrets.token_hex(8)}", 1, 1, entries)


def _retry_arguments(retry: Retry | None) -> RetryArguments | None:
    if retry is None:
        return None
    details = dumps(retry.details).decode()
    return {"run_id": retry.run_id, "by": retry.by, "details": details, "named": retry.named_checkpoint}


def _not_ended_conflict(spec: RunSpec, phase: str) -> Conflict:
    assert spec.identity.retry is not None
    todo = {"waiting_for_approval": "answer its interrupt", "paused": "resume it"}.get(phase)
    why = f"it is {phase}" + (f": {todo}" if todo else "; only a run that failed or was cancelled can be retried")
    return Conflict(f"run {spec.identity.retry.run_id} cannot be retried: {why}", phase=phase)


def _continued_conflict(spec: RunSpec) -> Conflict:
    assert spec.identity.retry is not None
    return Conflict(
        f"run {spec.identity.retry.run_id} cannot be retried from its last checkpoint: a later run of thread "
        f"{spec.identity.thread_id} has continued from there; name the checkpoint to start from"
    )


def _large_options(spec: RunSpec) -> RunOptions | None:
    """The options of a run that this process does not execute, if they are large."""
    options = spec.execution.options
    return RunOptions(**options.stored()) if not spec.execution.inline and is_large(options.input) else None


def _busy_conflict(spec: RunSpec, busy_run_id: str) -> Conflict:
    busy = f"thread {spec.identity.thread_id} is busy with run {busy_run_id}"
    if spec.identity.retry is not None:
        return Conflict(f"run {spec.identity.retry.run_id} cannot be retried: {busy}")
    if spec.behaviour.multitask_strategy == "reject":
        return Conflict(f"{busy}; multitask_strategy is reject")
    return Conflict(f"{busy}, which was created in between; send the request again")


def _answered_conflict(thread_id: str, run_id: str, options: bytes) -> Conflict:
    answer = (orjson.loads(opened(options, run_place(run_id))).get("command") or {}).get("resume")
    message = f"the interrupt of thread {thread_id} was answered by run {run_id}"
    return Conflict(message, answered_by=run_id, answer=answer)
