"""What authorize handlers are shown of an operation, and may write: one record for each, with the members that
`langgraph_sdk.auth.types` documents.

A handler gets a copy as a plain dict, with `UUID` objects for ids. What it leaves there is checked as strictly as a
request is, and becomes a new record: the only thing that a route gets back. Whatever a handler writes is thereby what
is stored, searched for or used; what cannot be is an error of the handler (`AuthBroken`), and nothing is done:

- a member of a wrong type, or out of bounds;
- a member that is removed, and one that the operation does not have;
- an id that says which record is meant (`FIXED`), changed to another;
- a name that only the server writes, in metadata or `configurable`.

One exception: `metadata` may be written for every operation, since handlers commonly stamp the owner on all of them.
Operations without a member `metadata` neither store nor search by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, get_args
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError

from slipway.access.filters import EVERYTHING, Filter
from slipway.errors import AuthBroken
from slipway.graphs.sections import Minutes, Whole
from slipway.protocol_types import (
    RESERVED_CONFIG,
    RESERVED_METADATA,
    CommandBody,
    DelayS,
    Durability,
    JsonObject,
    Limit,
    MaxConcurrency,
    MultitaskStrategy,
    Nodes,
    Offset,
    RecursionLimit,
    Strategy,
    StreamMode,
    Webhook,
)

Operation = Literal[
    "assistants:create",
    "assistants:read",
    "assistants:update",
    "assistants:delete",
    "assistants:search",
    "threads:create",
    "threads:read",
    "threads:update",
    "threads:delete",
    "threads:search",
    "threads:create_run",
    "crons:create",
    "crons:read",
    "crons:update",
    "crons:delete",
    "crons:search",
    "store:put",
    "store:get",
    "store:search",
    "store:delete",
    "store:list_namespaces",
]
"""Resource and action, as authorize handlers know them. Runs belong to their thread."""

_Value = TypeVar("_Value", bound="Value")


def _label(text: str) -> str:
    if not text or "." in text or "\0" in text:
        raise ValueError("a label of a namespace must not be empty, and has no dot and no NUL")
    return text


def _object_if_none(value: Any) -> Any:
    return {} if value is None else value


def _command(value: JsonObject) -> JsonObject:
    CommandBody.model_validate(value)
    return value


Id = Annotated[UUID, Strict(False)]
Metadata = Annotated[JsonObject, BeforeValidator(_object_if_none)]
Label = Annotated[str, AfterValidator(_label)]
"""One part of a namespace of the store."""
Namespace = Annotated[tuple[Label, ...], Strict(False)]
IfExists = Literal["raise", "do_nothing"]
IfNotExists = Literal["create", "reject"]
Action = Literal["interrupt", "rollback"]
RunStatus = Literal["pending", "running", "success", "error", "timeout", "interrupted"]
ThreadStatus = Literal["idle", "busy", "interrupted", "error"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Value(_Record):
    """The `value` of one operation. `FIXED` members say what is asked about; `STORES` says that `metadata` is stored,
    so that names which only the server writes are refused in it."""

    OPERATION: ClassVar[Operation]
    FIXED: ClassVar[frozenset[str]] = frozenset()
    STORES: ClassVar[bool] = False

    def shown(self) -> dict[str, Any]:
        """For a handler: nothing in it is shared with this record."""
        return self.model_dump(warnings=False)

    def left(self: _Value, shown: Mapping[str, Any]) -> _Value:
        """The record that a handler left of what it was shown. Raises `AuthBroken`."""
        encoded = _encoded(self.OPERATION, shown)
        if encoded == _encoded(self.OPERATION, self.shown()):
            return self
        found = self._parsed(self._own(orjson.loads(encoded)))
        for name in sorted(self.FIXED):
            if getattr(found, name) != getattr(self, name):
                raise self.broken(f"changed {name}, which says what is asked about and cannot be changed")
        for path, names in found.reserved(self):
            raise self.broken(f"wrote {path}.{names[0]}, which only the server writes")
        return found

    def narrows(self) -> Filter:
        """What of the value is a filter on the records."""
        return EVERYTHING

    def broken(self, what: str) -> AuthBroken:
        """The error of a handler that did this."""
        return AuthBroken(f"the authorize handler of {self.OPERATION} {what}")

    def reserved(self, before: Value) -> list[tuple[str, list[str]]]:
        """Names that only the server writes, where the handler has written them: the place, and the names."""
        found = []
        if self.STORES:
            old, new = getattr(before, "metadata", None) or {}, getattr(self, "metadata", None) or {}
            names = [name for name in new if name in RESERVED_METADATA and new[name] != old.get(name)]
            found.append(("metadata", names))
        return [(path, names) for path, names in found if names]

    def _own(self, left: dict[str, Any]) -> dict[str, Any]:
        """Without the metadata that handlers stamp on operations that have none. Raises for what is removed."""
        members = type(self).model_fields
        if "metadata" in left and "metadata" not in members:
            if not isinstance(left["metadata"], dict):
                raise self.broken("left metadata that is no object")
            left = {name: value for name, value in left.items() if name != "metadata"}
        if removed := sorted(members.keys() - left.keys()):
            raise self.broken(f"removed {removed[0]} from its value; set what is not wanted to None")
        if unknown := sorted(left.keys() - members.keys()):
            raise self.broken(f"wrote {unknown[0]}, which is no member; there is {', '.join(members)}")
        return left

    def _parsed(self: _Value, left: dict[str, Any]) -> _Value:
        try:
            return type(self).model_validate(left)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
            path = ".".join(str(part) for part in problem["loc"])
            raise self.broken(f"left {path} as it cannot be: {problem['msg'].removeprefix('Value error, ')}") from None


def _encoded(operation: Operation, shown: Mapping[str, Any]) -> bytes:
    """As JSON, which is how it is stored. What is parsed from it shares nothing with objects that a handler keeps."""
    try:
        return orjson.dumps(dict(shown))
    except TypeError as error:
        raise AuthBroken(f"the authorize handler of {operation} left what is no JSON: {error}") from None


def _reserved_config(path: str, new: object, old: object) -> list[tuple[str, list[str]]]:
    new, old = (each if isinstance(each, Mapping) else {} for each in (new, old))
    names = [name for name in new if name.startswith(RESERVED_CONFIG) and new[name] != old.get(name)]
    return [(path, names)] if names else []


def _configurable(config: JsonObject | None) -> object:
    return (config or {}).get("configurable")


# threads


class Ttl(_Record):
    """How long a thread lives, in minutes, and what is done then."""

    ttl: Minutes
    strategy: Strategy = "delete"


class ThreadsCreate(Value):
    """A thread to be made."""

    OPERATION = "threads:create"
    STORES = True

    thread_id: Id
    metadata: Metadata
    if_exists: IfExists
    ttl: Ttl | None = None


class ThreadsMade(ThreadsCreate):
    """A thread that is made for a run, whose id and fate are the run's."""

    FIXED = frozenset({"thread_id", "if_exists", "ttl"})


class ThreadsCopied(ThreadsCreate):
    """A thread that is made with the past of another."""

    FIXED = frozenset({"if_exists", "ttl"})


class ThreadsRead(Value):
    """A thread, or a run of it."""

    OPERATION = "threads:read"
    FIXED = frozenset({"thread_id", "run_id"})

    thread_id: Id
    run_id: Id | None = None


class ThreadsUpdate(Value):
    """Metadata to be merged into a thread."""

    OPERATION = "threads:update"
    FIXED = frozenset({"thread_id", "action"})
    STORES = True

    thread_id: Id
    metadata: Metadata
    action: Action | None = None


class ThreadsWritten(Value):
    """A state to be written."""

    OPERATION = "threads:update"
    FIXED = frozenset({"thread_id"})

    thread_id: Id


class RunsToCancel(_Record):
    """Which runs: those with these ids, or those of a status."""

    model_config = ConfigDict(extra="allow")

    run_ids: list[Id] | None
    status: Literal["pending", "running", "all"] | None


class RunsCancelled(Value):
    """Runs to be cancelled, of one thread or of all."""

    OPERATION = "threads:update"
    FIXED = frozenset({"thread_id"})

    thread_id: Id | None
    action: Action
    metadata: RunsToCancel


class RunCancelled(RunsCancelled):
    """One run to be cancelled."""

    thread_id: Id

    def left(self, shown: Mapping[str, Any]) -> RunCancelled:
        found = super().left(shown)
        if (found.metadata.run_ids, found.metadata.status) != (self.metadata.run_ids, self.metadata.status):
            raise self.broken("changed metadata.run_ids or metadata.status, which say what is asked about")
        return found


class BusyCancelled(RunCancelled):
    """Whatever a thread is busy with, to be cancelled for a new run by the run's strategy."""

    FIXED = frozenset({"thread_id", "action"})


class ThreadsDelete(Value):
    """A thread, or a run of it; no thread means all those that are wanted."""

    OPERATION = "threads:delete"
    FIXED = frozenset({"thread_id", "run_id"})

    thread_id: Id | None
    run_id: Id | None = None


class ThreadsSearch(Value):
    """Threads that are searched for."""

    OPERATION = "threads:search"

    metadata: Metadata
    values: Metadata
    status: ThreadStatus | None
    limit: Limit
    offset: Offset
    ids: list[Id] | None = None
    thread_id: Id | None = None


class ThreadsCount(ThreadsSearch):
    """Threads that are counted: a count has no page, so both are 0."""

    FIXED = frozenset({"limit", "offset"})

    limit: Offset = 0
    offset: Offset = 0


class RunsSearch(Value):
    """Runs of a thread that are listed."""

    OPERATION = "threads:search"
    FIXED = frozenset({"thread_id"})

    thread_id: Id
    metadata: Metadata
    status: RunStatus | None
    limit: Limit
    offset: Offset


# runs


class RunConfig(_Record):
    """A RunnableConfig; what else is in it is handed to the graph as it is."""

    model_config = ConfigDict(extra="allow")

    configurable: JsonObject = {}
    metadata: JsonObject = {}
    tags: list[str] = []
    recursion_limit: RecursionLimit | None = None
    max_concurrency: MaxConcurrency | None = None
    run_name: str | None = None


def _checked_config(config: JsonObject) -> JsonObject:
    RunConfig.model_validate(config)
    return config


class RunKwargs(_Record):
    """What a run is called with. `temporary` says that its thread goes with it."""

    input: Any = None
    command: Annotated[JsonObject, AfterValidator(_command)] | None = None
    config: Annotated[JsonObject, AfterValidator(_checked_config)] = {}
    context: Metadata = {}
    stream_mode: list[StreamMode | Literal["checkpoints/brief"]] = ["values"]
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    webhook: Webhook | None = None
    feedback_keys: list[str] | None = None
    temporary: bool = False
    subgraphs: bool = False
    resumable: bool = False
    checkpoint_during: bool = True
    durability: Durability = "async"
    checkpoint: JsonObject | None = None
    strict_resume: bool = False


class RunsCreate(Value):
    """A run to be made."""

    OPERATION = "threads:create_run"
    FIXED = frozenset({"assistant_id", "thread_id", "run_id", "status", "action"})
    STORES = True

    assistant_id: Id
    thread_id: Id
    run_id: Id
    status: Literal["pending"] = "pending"
    metadata: Metadata
    prevent_insert_if_inflight: bool
    multitask_strategy: MultitaskStrategy
    if_not_exists: IfNotExists
    after_seconds: DelayS
    kwargs: RunKwargs
    action: None = None

    def left(self, shown: Mapping[str, Any]) -> RunsCreate:
        found = super().left(shown)
        if found.kwargs.temporary != self.kwargs.temporary:
            raise self.broken("changed kwargs.temporary, which cannot be changed")
        return found.model_copy(update={"multitask_strategy": self._strategy(found), "kwargs": self._durable(found)})

    def reserved(self, before: Value) -> list[tuple[str, list[str]]]:
        assert isinstance(before, RunsCreate)
        new, old = self.kwargs, before.kwargs
        return (
            super().reserved(before)
            + _reserved_config("kwargs.config.configurable", _configurable(new.config), _configurable(old.config))
            + _reserved_config("kwargs.context", new.context, old.context)
        )

    def _strategy(self, found: RunsCreate) -> MultitaskStrategy:
        """`prevent_insert_if_inflight` and the strategy `reject` are one thing under two names."""
        if found.prevent_insert_if_inflight == (found.multitask_strategy == "reject"):
            return found.multitask_strategy
        if found.multitask_strategy != self.multitask_strategy:
            if found.prevent_insert_if_inflight == self.prevent_insert_if_inflight:
                return found.multitask_strategy
            raise self.broken("left prevent_insert_if_inflight and multitask_strategy that contradict each other")
        return "reject" if found.prevent_insert_if_inflight else "enqueue"

    def _durable(self, found: RunsCreate) -> RunKwargs:
        """`checkpoint_during` is the old spelling of `durability`."""
        kwargs, before = found.kwargs, self.kwargs
        durability = kwargs.durability
        if durability == before.durability and kwargs.checkpoint_during != before.checkpoint_during:
            durability = "async" if kwargs.checkpoint_during else "exit"
        return kwargs.model_copy(update={"durability": durability, "checkpoint_during": durability != "exit"})


# assistants


class _AssistantFields(Value):
    STORES = True

    config: JsonObject | None = None
    context: JsonObject | None = None
    metadata: Metadata
    description: str | None = None

    def reserved(self, before: Value) -> list[tuple[str, list[str]]]:
        assert isinstance(before, _AssistantFields)
        return (
            super().reserved(before)
            + _reserved_config("config.configurable", _configurable(self.config), _configurable(before.config))
            + _reserved_config("context", self.context, before.context)
        )


class AssistantsCreate(_AssistantFields):
    """An assistant to be made."""

    OPERATION = "assistants:create"

    assistant_id: Id
    graph_id: str
    name: str
    if_exists: IfExists


class AssistantsRead(Value):
    """An assistant; `metadata` is what it must have."""

    OPERATION = "assistants:read"
    FIXED = frozenset({"assistant_id"})

    assistant_id: Id
    metadata: Metadata = {}

    def narrows(self) -> Filter:
        return Filter((self.metadata,)) if self.metadata else EVERYTHING


class AssistantsUpdate(_AssistantFields):
    """A new version of an assistant."""

    OPERATION = "assistants:update"
    FIXED = frozenset({"assistant_id", "version"})

    assistant_id: Id
    graph_id: str | None
    name: str | None
    version: None = None


class AssistantsLatest(Value):
    """A version of an assistant that is to be the present one."""

    OPERATION = "assistants:update"
    FIXED = frozenset({"assistant_id"})

    assistant_id: Id
    version: Annotated[Whole, Field(ge=1, le=2**31)]


class AssistantsDelete(Value):
    """An assistant."""

    OPERATION = "assistants:delete"
    FIXED = frozenset({"assistant_id"})

    assistant_id: Id


class AssistantsSearch(Value):
    """Assistants that are searched for."""

    OPERATION = "assistants:search"

    graph_id: str | None
    metadata: Metadata
    limit: Limit
    offset: Offset


class AssistantsCount(AssistantsSearch):
    """Assistants that are counted: a count has no page, so both are 0."""

    FIXED = frozenset({"limit", "offset"})

    limit: Offset = 0
    offset: Offset = 0


# crons


class _CronFields(Value):
    """`payload` is the body of the request. What has a member of its own may be written in either place."""

    STORES = True

    payload: JsonObject
    metadata: Metadata
    end_time: str | None
    _TWICE: ClassVar[tuple[str, ...]] = ("schedule", "end_time", "metadata")

    def left(self: _Cron, shown: Mapping[str, Any]) -> _Cron:
        found = super().left(shown)
        payload, members = dict(found.payload), {}
        for name in self._TWICE:
            written, member = payload.get(name), getattr(found, name)
            if written != self.payload.get(name):
                if member not in (getattr(self, name), written):
                    raise self.broken(f"left {name} and payload.{name} that contradict each other")
                member = written
            elif member != getattr(self, name):
                payload[name] = member
            members[name] = member
        return found._parsed({**found.model_dump(), **members, "payload": payload})

    def reserved(self, before: Value) -> list[tuple[str, list[str]]]:
        assert isinstance(before, _CronFields)
        new, old = self.payload, before.payload
        config, was = new.get("config"), old.get("config")
        metadata, before_that = new.get("metadata") or {}, old.get("metadata") or {}
        names = [n for n in metadata if n in RESERVED_METADATA and metadata[n] != before_that.get(n)]
        return (
            super().reserved(before)
            + ([("payload.metadata", names)] if names else [])
            + _reserved_config("payload.context", new.get("context"), old.get("context"))
            + _reserved_config(
                "payload.config.configurable",
                config.get("configurable") if isinstance(config, dict) else None,
                was.get("configurable") if isinstance(was, dict) else None,
            )
        )


_Cron = TypeVar("_Cron", bound=_CronFields)


class CronsCreate(_CronFields):
    """A cron to be made."""

    OPERATION = "crons:create"
    FIXED = frozenset({"thread_id", "user_id"})

    cron_id: Id
    thread_id: Id | None
    user_id: str | None
    schedule: str


class CronsRead(Value):
    """A cron."""

    OPERATION = "crons:read"
    FIXED = frozenset({"cron_id"})

    cron_id: Id


class CronsUpdate(_CronFields):
    """What is to be changed of a cron; None is left as it is."""

    OPERATION = "crons:update"
    FIXED = frozenset({"cron_id"})
    _TWICE = ("schedule", "end_time", "enabled", "on_run_completed", "metadata")

    cron_id: Id
    schedule: str | None
    enabled: bool | None
    on_run_completed: Literal["delete", "keep"] | None


class CronsDelete(Value):
    """A cron."""

    OPERATION = "crons:delete"
    FIXED = frozenset({"cron_id"})

    cron_id: Id


class CronsSearch(Value):
    """Crons that are searched for."""

    OPERATION = "crons:search"

    assistant_id: Id | None
    thread_id: Id | None
    metadata: Metadata
    limit: Limit
    offset: Offset


class CronsCount(CronsSearch):
    """Crons that are counted: a count has no page, so both are 0."""

    FIXED = frozenset({"limit", "offset"})

    limit: Offset = 0
    offset: Offset = 0


# store


class StorePut(Value):
    """An item to be kept; a `ttl` is in minutes."""

    OPERATION = "store:put"

    namespace: Annotated[Namespace, Field(min_length=1)]
    key: Annotated[str, Field(min_length=1)]
    value: JsonObject
    index: Literal[False] | list[str] | None
    ttl: Minutes | None = None


class StoreGet(Value):
    """An item."""

    OPERATION = "store:get"

    namespace: Annotated[Namespace, Field(min_length=1)]
    key: Annotated[str, Field(min_length=1)]
    refresh_ttl: bool | None = None


class StoreDelete(Value):
    """An item."""

    OPERATION = "store:delete"

    namespace: Annotated[Namespace, Field(min_length=1)]
    key: Annotated[str, Field(min_length=1)]


class StoreSearch(Value):
    """Items that are searched for, below a namespace."""

    OPERATION = "store:search"

    namespace: Namespace
    filter: Metadata
    limit: Limit
    offset: Offset
    query: str | None
    refresh_ttl: bool | None = None


def _none_if_empty(value: Any) -> Any:
    return value or None


class StoreListNamespaces(Value):
    """Namespaces that are listed; `namespace` is what they begin with."""

    OPERATION = "store:list_namespaces"

    namespace: Annotated[Namespace | None, BeforeValidator(_none_if_empty)]
    suffix: Annotated[Namespace | None, BeforeValidator(_none_if_empty)]
    max_depth: Annotated[Whole, Field(ge=1, le=1000)] | None
    limit: Limit
    offset: Offset


def _all(kind: type[Value]) -> list[type[Value]]:
    return [
        each
        for child in kind.__subclasses__()
        for each in ([] if child.__name__.startswith("_") else [child]) + _all(child)
    ]


VALUES: Final = tuple(_all(Value))
"""Every kind of value; an operation has several where its routes differ."""
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)


def values_table() -> str:
    """The members of every operation, as the documents show them."""
    lines = ["| operation | members |", "|---|---|"]
    for operation in OPERATIONS:
        kinds = [kind for kind in VALUES if operation == kind.OPERATION]
        names = dict.fromkeys(name for kind in kinds for name in kind.model_fields)
        fixed = {name for name in names if all(name in kind.FIXED for kind in kinds if name in kind.model_fields)}
        shown = ", ".join(f"`{name}`{' (fixed)' if name in fixed else ''}" for name in names)
        lines.append(f"| `{operation}` | {shown} |")
    return "\n".join(lines) + "\n"
