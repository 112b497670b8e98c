"""The script stubs of runs: typed arguments and results.

The header of each file in `redis/lua/` says what the script changes atomically. The arguments are one MessagePack map.
JSON of users is passed as text, and Lua never decodes it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypedDict

from slipway.checkpoints.leftovers_exist import LeftoversExist
from slipway.checkpoints.scripts import CheckpointScripts
from slipway.indexes.scripts import Index, IndexCheck, IndexWalk
from slipway.redis.connection import Arg
from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.read_stubs import ReadStubs
from slipway.redis.redis_commands import RedisCommand, packed
from slipway.redis.script_source import load
from slipway.redis.script_stubs import RecordScriptStubs
from slipway.redis.shard_ids import shard_in
from slipway.runs.cancel_reasons import Action
from slipway.runs.events import EventPosition
from slipway.runs.index_terms import UNFINISHED
from slipway.runs.log_reads import LogPage, LogReads
from slipway.runs.logged_events import LoggedEvents, read_logged_events
from slipway.runs.operator_pause import OperatorPause
from slipway.runs.review_arguments import CheckedAnswers, OpenedReview
from slipway.runs.script_results import (
    AnswersUnchecked,
    Applied,
    ApplyResult,
    AskingRunCancelled,
    AttemptFenced,
    BudgetUsed,
    CancelRequested,
    CancelResult,
    DeleteResult,
    DueTimeHandled,
    InterruptAnswered,
    PauseResult,
    PhaseAfter,
    Released,
    RunCreated,
    RunCreateResult,
    RunExists,
    RunHasEnded,
    RunIsCancelled,
    RunNotEnded,
    RunNotFound,
    Settled,
    SettleResult,
    SwitchIsOff,
    ThreadBusy,
    ThreadChanged,
    ThreadContinued,
    ThreadExists,
    ThreadNotFound,
    VersionUnknown,
    WriteGroupMissing,
)
from slipway.serialization.at_rest import opened
from slipway.serialization.json_encoding import dumps
from slipway.serialization.places import log_place
from slipway.tracing.stored_form import NO_SPANS, SpanPart

Entry = tuple[str, bytes]
"""An event as it is appended: its name, with a mark on a second line if it has one, and its frame in its stored
form."""

LAST_EVENTS: Final = 100
"""The most events that a read of the end of a log returns."""

_RUN_CREATE = load("run_create")
_RUN_READ = load("run_read")
_RUN_OWNED = load("run_owned")
_RUN_APPLY = load("run_apply")
_RUN_SETTLE = load("run_settle")
_RUN_RELEASE = load("run_release")
_RUN_CANCEL = load("run_cancel")
_RUN_PAUSE = load("run_pause")
_RUN_RESUME = load("run_resume")
_RUN_DELETE = load("run_delete")
_RUN_RAISE_CEILINGS = load("run_raise_ceilings")
_AUDIT_APPEND = load("audit_append")
_EVENTS_READ = load("events_read")
_EVENTS_BEHIND = load("events_behind")

PAGE_BYTES: Final = 1 << 20
"""Stored bytes after which a page of an event log ends. Neither Redis nor a process holds all large events of a log
at once."""
_RUN_SEARCH = load("run_search")
_RUN_INDEX_CHECK = load("run_index_check")


class StoredTtl(TypedDict):
    """The time to live of a thread: `minutes` as JSON text, the strategy when it ends, and the same time in ms."""

    minutes: str
    strategy: str
    ms: int


class DueTime(TypedDict):
    """The due time of a cron for which a run is created. `incarnation` is the creation time of the cron, in µs."""

    cron_id: str
    incarnation: str
    due_ms: int
    next_ms: int | None
    """The next due time: the first one that has not come yet. None if no due time is left."""
    thread_created_us: str | None
    """The incarnation that the thread must have; None for a stateless cron."""


class RetryArguments(TypedDict):
    """See `record.Retry`. `details` is JSON."""

    run_id: str
    by: str
    details: str
    named: bool


class RunCreate(TypedDict):
    """The arguments of `run_create.lua`. Lists of fields are flat: name, value, name, value. Members that are None,
    False, 0 or empty are not sent. See `RunSpec` for what each member means."""

    run_id: str
    thread_id: str
    fields: list[str]
    """Fields of the record, with the metadata of the assistant."""
    members: list[str]
    """The metadata of the request, as fields."""
    terms: Sequence[str]
    """The index terms of the run."""
    kwargs: bytes
    """The stored form of the run options."""
    priority_ms: int
    mark: float | None
    sharing: int
    """The high-water mark of memory, if memory is to be checked."""
    expected_graph_id: str
    authorized: bool
    """Whether the auth file has authorized the run: then the script stores the time."""
    due_time: DueTime | None
    continues: bool
    answers: bool
    checked: CheckedAnswers | None
    no_room: bool
    """Whether a budget of runs has no room."""
    temporary: bool
    multitask: str
    may_cancel: bool
    create_thread: bool
    own_thread: bool
    thread_members: list[str]
    """The metadata of a thread that is created for the run, as fields."""
    thread_fields: list[str]
    """Fields of the thread that each of its runs sets."""
    thread_terms: str
    """The packed index terms of the metadata that a new thread has, with the graph and the assistant."""
    graph_terms: str
    """The packed index terms of the graph and the assistant."""
    graph_members: str
    """The digests of these two metadata members."""
    thread_ttl: StoredTtl | None
    after_ms: int
    required_metadata: Mapping[str, str]
    """Metadata that the thread must have, if it exists."""
    expected_fields: Mapping[str, str | bool]
    """Fields of the thread that must not have changed; False for a field that must not exist."""
    retry: RetryArguments | None
    version: Mapping[str, Any]
    """Among which versions of the graph the script chooses (`VersionChoice.members`)."""
    inline_worker: str | None
    inline_request: str | None
    """A random text for each call with an `inline_worker`, by which the script recognises a repetition of the call."""
    lease_ms: int
    event_ttl_s: int


class RunSettle(TypedDict):
    """The arguments of `run_settle.lua`. `entries` are the last events before `end`. `result`, `values` and
    `interrupts` are in their stored form. None leaves the thread's
    values, interrupts or status unchanged."""

    run_id: str
    graph_id: str
    incarnation: str
    attempt: int
    seq: int
    phase: str
    status: str
    reason: str
    error: str | None
    error_term: str | None
    """The index term of the error's code."""
    usage: str
    entries: list[Entry]
    result: bytes
    values: bytes | None
    value_terms: str
    interrupts: bytes | None
    thread_status: str | None
    thread_error: str | None
    reviews: Sequence[OpenedReview]
    """The reviews to open, if the run begins to wait."""
    continued: str | None
    """The run that this one continues."""
    rollback: bool
    delete_calls: bool | None
    event_ttl_s: int
    learnt: tuple[str, int] | None
    """A graph, and how many bytes its runs usually store, if that has changed."""
    counted: tuple[str, str] | None
    """While a version of the graph is ramping: as what the run is counted (`rollouts/counts.py`), and the id of the
    ramp."""
    compact_log: bool
    """Whether the event log is small, so that it is copied to remove the space that it keeps for further entries."""


class RunRelease(TypedDict):
    """The arguments of `run_release.lua`. `announce`: whether the next attempt repeats work of which
    clients have received events already."""

    run_id: str
    graph_id: str
    incarnation: str
    attempt: int
    seq: int
    announce: bool
    reason: str
    delay_ms: int
    switch: str | None
    pause: Mapping[str, Any] | None
    """Why the run is paused instead (`runs.held.OwnPause`)."""
    version: str | None
    """The only version on which the run is to continue. None leaves that as it is."""
    usage: str
    entries: list[Entry]


class LogScripts(ReadStubs):
    """Reads event logs."""

    async def page(self, run_id: str, start: str, count: int) -> LogPage:
        """Up to `count` entries from `start` on: an id, an id after `(` to exclude it, or `-` for the oldest. Fewer if
        they have more than about `PAGE_BYTES`. One round trip."""
        arguments: list[Arg] = [start, count, PAGE_BYTES]
        is_last, entries = await self._pipeline.run(_EVENTS_READ, [self._keys.events(run_id)], arguments)
        return LogPage(entries, bool(is_last))

    async def behind(self, ends: Mapping[str, EventPosition]) -> list[str]:
        """The runs whose logs have an event after this position, or do not exist. One round trip, with a call for
        each shard."""
        shards: dict[str, list[str]] = {}
        for run_id in ends:
            shards.setdefault(shard_in(self._keys.events(run_id)), []).append(run_id)
        found = await asyncio.gather(*(self._behind(run_ids, ends) for run_ids in shards.values()))
        return list(itertools.chain.from_iterable(found))

    async def _behind(self, run_ids: Sequence[str], ends: Mapping[str, EventPosition]) -> list[str]:
        """Those of the runs of one shard."""
        keys = [self._keys.events(run_id) for run_id in run_ids]
        arguments: list[Arg] = [f"{ends[run_id][0]}-{ends[run_id][1]}" for run_id in run_ids]
        numbers = await self._pipeline.run(_EVENTS_BEHIND, keys, arguments)
        return [run_ids[number] for number in numbers]


class RunScripts(RecordScriptStubs):
    """What is done with one run. Each method takes one round trip."""

    async def run_create(
        self, arguments: RunCreate, serves: bytes = b""
    ) -> RunCreateResult | ThreadChanged | LeftoversExist:
        """`serves`: what the process with an `inline_worker` serves (`ServedGraphs.packed`)."""
        sent = {name: argument for name, argument in arguments.items() if argument and name != "kwargs"}
        reply = await self._pipeline.run(
            _RUN_CREATE,
            [],
            [*self._of_thread(arguments["thread_id"], **sent), arguments["kwargs"], serves],
            may_be_overtaken=True,
        )
        if reply[0] == b"created":
            fields = _as_bytes(arguments["fields"]) | {"kwargs": arguments["kwargs"]}
            credit_bytes = int(reply[2]) if len(reply) > 2 else None
            created = fields | fields_of(reply[1]) | _as_bytes(arguments["members"])
            return RunCreated(created, credit_bytes)
        return _CREATE_RESULTS[reply[0]](*reply[1:])

    async def run_read(self, run_id: str, thread_id: str) -> Fields | None:
        """The fields of the run. None if the thread has no such run."""
        record = self._shards.of_thread(thread_id).run(run_id)
        fields = fields_of(await self._pipeline.run(_RUN_READ, [record], [thread_id]))
        return fields if "phase" in fields else None

    async def run_owned(self, run_id: str, incarnation: str, attempt: int, worker: str) -> bool:
        """Whether this attempt owns the run, and this worker has claimed it."""
        args: list[Arg] = [self._shards.of_run(run_id).prefix, run_id, attempt, incarnation, worker]
        return bool(await self._pipeline.run(_RUN_OWNED, [], args))

    def run_apply(
        self,
        run_id: str,
        incarnation: str,
        attempt: int,
        seq: int,
        entries: Sequence[Entry],
        commands: Sequence[RedisCommand],
        usage: str = "",
        spans: SpanPart = NO_SPANS,
        counts: bytes = b"",
    ) -> asyncio.Future[Sequence[bytes]]:
        """Sends a write group. `applied` converts the reply. `incarnation` is the creation time of the run. The stored
        usage stays as it is if `usage` is empty. It is not a coroutine, because this path is called most often and a
        coroutine would need a task."""
        prefix = self._shards.of_run(run_id).prefix
        args: list[Arg] = [prefix, run_id, attempt, incarnation, seq, usage, *spans, counts, len(entries)]
        args.extend(_event_arguments(entries))
        args.extend(packed(commands))
        return self._pipeline.run(_RUN_APPLY, [], args, may_be_overtaken=True)

    def commands_of_other_shards(self, run_id: str, commands: Sequence[RedisCommand]) -> Sequence[RedisCommand]:
        """Those of the commands whose keys are not in the shard of the run."""
        if not self._shards.tagged:
            return ()
        own = shard_in(self._shards.of_run(run_id).prefix)
        return [command for command in commands if shard_in(str(command[1])) != own]

    async def apply_unfenced(self, commands: Sequence[RedisCommand]) -> None:
        """Executes commands of any shards without a condition."""
        await CheckpointScripts(self._pipeline, self._shards).apply_unfenced(commands)

    async def last_frames(self, run_id: str) -> set[bytes]:
        """The frames of the last `LAST_EVENTS` events of a run's log."""
        entries = await LogReads(self._pipeline, self._keys).newest(run_id, LAST_EVENTS)
        place = log_place(run_id)
        return {opened(dict(zip(flat[::2], flat[1::2], strict=True))[b"f"], place) for _, flat in entries}

    async def logged_events(self, run_id: str) -> LoggedEvents:
        """What all attempts have appended to a run's log."""
        return await read_logged_events(LogScripts(self._pipeline, self._keys).page, run_id)

    @staticmethod
    def applied(reply: Sequence[bytes]) -> ApplyResult:
        """The result of `run_apply`, from its reply."""
        if reply[0] == b"ok":
            return Applied(Action(reply[1].decode())) if reply[1] else _APPLIED
        return AttemptFenced() if reply[0] == b"fenced" else WriteGroupMissing()

    async def will_be_executed(self) -> bool:
        """See `Pipeline.will_be_executed`."""
        return await self._pipeline.will_be_executed()

    async def run_settle(
        self,
        arguments: RunSettle,
        commands: Sequence[RedisCommand],
        spans: SpanPart = NO_SPANS,
        counts: bytes = b"",
    ) -> SettleResult:
        values, interrupts, entries = arguments["values"], arguments["interrupts"], arguments["entries"]
        reviews = arguments["reviews"]
        small = {
            **arguments,
            "result": None,
            "values": None,
            "interrupts": None,
            "entries": None,
            "events": len(entries),
            "trace_bytes": spans[1] or None,
            "reviews": [review.arguments for review in reviews] if reviews else None,
        }
        args: list[Arg] = [
            *self._of_run(arguments["run_id"], **small),
            arguments["result"],
            values or b"",
            interrupts or b"",
        ]
        args += (spans[0], counts)
        args += _event_arguments(entries)
        if reviews:
            args += [review.question for review in reviews]
        args += packed(commands)
        reply = await self._pipeline.run(_RUN_SETTLE, [], args, may_be_overtaken=True)
        if reply[0] == b"cancel":
            return CancelRequested(Action(reply[1].decode()))
        return Settled() if reply[0] == b"ok" else AttemptFenced()

    async def run_release(
        self,
        arguments: RunRelease,
        commands: Sequence[RedisCommand],
        spans: SpanPart = NO_SPANS,
        counts: bytes = b"",
    ) -> Released | None:
        """Gives the run back to the queue, or pauses it. None if this attempt does not own it."""
        entries = arguments["entries"]
        small = {**arguments, "entries": None, "events": len(entries), "trace_bytes": spans[1] or None}
        args = self._of_run(arguments["run_id"], **small)
        words = [*args, spans[0], counts, *_event_arguments(entries), *packed(commands)]
        reply = await self._pipeline.run(_RUN_RELEASE, [], words)
        return Released(*(part.decode() for part in reply[1:])) if reply[0] == b"ok" else None

    async def give_back(self, fields: Fields, reason: str, delay_ms: int) -> str:
        """Gives a claimed run back whose record cannot be read, because this process lacks its encryption key. The
        attempt does not count. Returns the id of the run."""
        run_id = fields["run_id"].decode()
        arguments: RunRelease = {
            "run_id": run_id,
            "graph_id": fields["graph_id"].decode(),
            "incarnation": fields["created_us"].decode(),
            "attempt": int(fields["attempt"]),
            "seq": 1,
            "announce": int(fields["attempt"]) > 1,
            "reason": reason,
            "delay_ms": delay_ms,
            "switch": None,
            "pause": None,
            "version": None,
            "usage": fields.get("usage", b"[]").decode(),
            "entries": [],
        }
        await self.run_release(arguments, [])
        return run_id

    async def run_cancel(
        self,
        run_id: str,
        thread_id: str,
        *,
        action: str,
        cause: str,
        reason: str | None,
        event_ttl_s: int,
        by: str | None = None,
        overdue: str | None = None,
    ) -> CancelResult:
        """`by` is the operator who cancels, for the audit trail. `overdue` is the review whose due time has come."""
        arguments = {
            "run_id": run_id,
            "action": action,
            "cause": cause,
            "reason": reason,
            "event_ttl_s": event_ttl_s,
            "by": by,
            "overdue": overdue,
        }
        return CancelResult(_status(await self._pipeline.run(_RUN_CANCEL, [], self._of_thread(thread_id, **arguments))))

    async def run_pause(self, run_id: str, pause: OperatorPause) -> PauseResult:
        return _pause_result(await self._pipeline.run(_RUN_PAUSE, [], self._of_run(run_id, pause=pause.stored())))

    async def run_resume(
        self,
        run_id: str,
        *,
        by: str,
        reason: str | None,
        action: str = "run.resumed",
        details: Mapping[str, Any] | None = None,
        skip: Sequence[str] | None = None,
        edit: str | None = None,
        version: str | None = None,
    ) -> PauseResult:
        """Queues a paused run, with the tasks to `skip`, or after an `edit` of its state (its digest). With `version`
        it continues on this version of its graph only."""
        args = self._of_run(
            run_id,
            by=by,
            reason=reason,
            action=action,
            details=dumps({**(details or {}), "reason": reason}).decode(),
            skip=None if skip is None else list(skip),
            edit=edit,
            version=version,
        )
        return _pause_result(await self._pipeline.run(_RUN_RESUME, [], args))

    async def run_raise_ceilings(
        self, run_id: str, limits: Mapping[str, float], *, by: str, reason: str | None
    ) -> tuple[str, str]:
        """Raises ceilings. The outcome (`ok`, `not_found`, `running`, `ended`, `lower`, `unlimited`), and its detail:
        for `ok`, `1` if a limit was raised; for the last two, the name of the ceiling."""
        arguments = self._of_run(run_id, limits=dict(limits), by=by, reason=reason)
        outcome, *detail = await self._pipeline.run(_RUN_RAISE_CEILINGS, [], arguments)
        return outcome.decode(), detail[0].decode() if detail else ""

    async def run_delete(self, run_id: str, thread_id: str) -> DeleteResult:
        arguments = self._of_thread(thread_id, run_id=run_id)
        return DeleteResult(_status(await self._pipeline.run(_RUN_DELETE, [], arguments)))

    async def audit_append(self, run_id: str, action: str, actor: str, details: str) -> bool:
        """Appends an entry to the audit trail; `details` are in their stored form. False if the run does not exist."""
        arguments = (self._shards.of_run(run_id).prefix, run_id, action, actor, details)
        return _status(await self._pipeline.run(_AUDIT_APPEND, [], arguments)) == "ok"


def _pause_result(reply: Sequence[bytes]) -> PauseResult:
    status, *rest = (part.decode() for part in reply)
    match status:
        case "off":
            return SwitchIsOff(reply[1])
        case "missing":
            return RunNotFound()
        case "final":
            return RunHasEnded(rest[0])
        case "cancelled":
            return RunIsCancelled()
        case "version":
            return VersionUnknown(rest[0])
    return PhaseAfter(rest[0], changed=status == "ok")


def _event_arguments(entries: Sequence[Entry]) -> Iterator[Arg]:
    """Name and frame of each event. Not in the map of arguments: Lua's MessagePack knows no binary values."""
    return itertools.chain.from_iterable(entries)


def run_index_check(pipeline: Pipeline, keys: Keys) -> IndexCheck:
    """The check of the indexes of runs."""
    return IndexCheck(pipeline, keys, _RUN_INDEX_CHECK)


def run_walk(pipeline: Pipeline, keys: Keys) -> IndexWalk:
    """A walk through the indexes of runs of one shard. The sets have the name of a phase or of an index term, and are
    ordered by `created_at`. None of them has all runs, so a query needs a condition."""
    return IndexWalk(pipeline, keys, _RUN_INDEX, _RUN_SEARCH)


_RUN_INDEX: Final = Index(lambda keys: keys.runs_with(UNFINISHED), Keys.runs_with)


_APPLIED: Final = Applied()

_CREATE_RESULTS: Final[Mapping[bytes, Callable[..., RunCreateResult | ThreadChanged | LeftoversExist]]] = {
    b"exists": lambda flat: RunExists(fields_of(flat)),
    b"no_thread": ThreadNotFound,
    b"thread_exists": ThreadExists,
    b"changed": ThreadChanged,
    b"busy": lambda run_id: ThreadBusy(run_id.decode()),
    b"answered": lambda run_id, options: InterruptAnswered(run_id.decode(), options),
    b"unchecked": AnswersUnchecked,
    b"budget": BudgetUsed,
    b"cancelled": lambda run_id: AskingRunCancelled(run_id.decode()),
    b"due_time_handled": DueTimeHandled.from_reply,
    b"leftovers": LeftoversExist,
    b"not_ended": lambda phase: RunNotEnded(phase.decode()),
    b"continued": ThreadContinued,
}


def _as_bytes(flat: Sequence[str]) -> Fields:
    """Fields as they are read, from the list in which they are sent."""
    return {name: value.encode() for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _status(reply: Sequence[bytes]) -> str:
    return reply[0].decode()
