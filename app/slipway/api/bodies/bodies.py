"""Request bodies, as clients of the LangGraph protocol send them.

Unknown fields are ignored and null means absent, except where null is a value (`input`, `values`, `resume`). Types are
strict: a number in quotes is not a number.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from slipway.api.request_parsing import checked_uuid
from slipway.assistants.stored_assistants import Changes
from slipway.errors import InvalidRequest
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
    Update,
    Webhook,
)
from slipway.threads.extracts import Path, paths_of
from slipway.threads.ttl import ThreadTtl


def _uuid(text: str) -> str:
    try:
        return checked_uuid(text, "")
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _open_metadata(metadata: JsonObject) -> JsonObject:
    return {name: value for name, value in metadata.items() if name not in RESERVED_METADATA}


def _open_config(config: JsonObject) -> JsonObject:
    return {name: value for name, value in config.items() if not name.startswith(RESERVED_CONFIG)}


Uuid = Annotated[str, AfterValidator(_uuid)]
Metadata = Annotated[JsonObject, AfterValidator(_open_metadata)]
"""Without the keys that only the server writes."""
Configurable = Annotated[JsonObject, AfterValidator(_open_config)]
StreamModes = Annotated[list[StreamMode], BeforeValidator(_one_or_many)]
Order = Literal["asc", "desc"]


class Body(BaseModel):
    """The habits all bodies share."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, given: Any) -> Any:
        if isinstance(given, dict) and None in given.values():
            return {name: value for name, value in given.items() if value is not None}
        return given


# runs


class ConfigBody(Body):
    """`config`: the parts of a RunnableConfig that a client may set."""

    tags: list[str] = []
    recursion_limit: RecursionLimit | None = None
    configurable: Configurable = {}
    metadata: Metadata = {}
    max_concurrency: MaxConcurrency | None = None
    run_name: str | None = None

    def public(self) -> JsonObject:
        """As Run.kwargs shows it."""
        shown: JsonObject = {"configurable": self.configurable, "metadata": self.metadata}
        for name in ("tags", "recursion_limit", "max_concurrency", "run_name"):
            if value := getattr(self, name):
                shown[name] = value
        return shown

    def given(self) -> JsonObject:
        """Only what was given: what an assistant keeps."""
        return {name: value for name, value in self.public().items() if value}


class CheckpointBody(Body):
    """Where in a thread's past: all parts optional."""

    checkpoint_id: str | None = None
    checkpoint_ns: str | None = None
    checkpoint_map: JsonObject | None = None
    thread_id: str | None = None

    def public(self) -> JsonObject:
        """Without what is absent, and without the thread, which is that of the path."""
        return self.model_dump(exclude_none=True, exclude={"thread_id"})


class RunBody(Body):
    """A run to be made on a thread."""

    assistant_id: str
    input: Any = None
    command: CommandBody | None = None
    config: ConfigBody = Field(default_factory=ConfigBody)
    context: Configurable = {}
    metadata: Metadata = {}
    checkpoint: CheckpointBody | None = None
    checkpoint_id: Uuid | None = None
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    stream_mode: StreamModes = ["values"]
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    multitask_strategy: MultitaskStrategy = "enqueue"
    if_not_exists: Literal["reject", "create"] = "reject"
    on_disconnect: Literal["cancel", "continue"] = "continue"
    on_completion: Literal["delete", "keep"] = "delete"
    after_seconds: DelayS = 0
    webhook: Webhook | None = None
    durability: Durability | None = None
    checkpoint_during: bool | None = None
    feedback_keys: list[str] | None = None
    strict_resume: bool = False

    @property
    def durable(self) -> str:
        """`checkpoint_during` is the old spelling: true is async, false is exit."""
        if self.durability is not None:
            return self.durability
        return "exit" if self.checkpoint_during is False else "async"

    @property
    def start_from(self) -> JsonObject | None:
        """The checkpoint to start from, however it was said."""
        place = self.checkpoint.public() if self.checkpoint else {}
        if self.checkpoint_id:
            place.setdefault("checkpoint_id", self.checkpoint_id)
        return place or None


# threads


class StateUpdateBody(Body):
    """One update of a superstep to be replayed."""

    values: Update = None
    command: CommandBody | None = None
    as_node: str | None = None


class SuperstepBody(Body):
    """Updates that count as one superstep."""

    updates: list[StateUpdateBody] = Field(min_length=1)


class TtlBody(Body):
    """How long a thread lives, and what is done then."""

    ttl: Minutes | None = None
    strategy: Strategy = "delete"


def _ttl(value: Any) -> Any:
    """A bare number is minutes."""
    return {"ttl": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


TtlGiven = Annotated[TtlBody | None, BeforeValidator(_ttl, json_schema_input_type=Minutes | TtlBody | None)]


class LivingBody(Body):
    """What may say how long a thread lives."""

    ttl: TtlGiven = None

    @property
    def living(self) -> ThreadTtl | None:
        """How long, if that was said."""
        given = self.ttl
        return None if given is None or given.ttl is None else ThreadTtl(given.ttl, given.strategy)


class ThreadBody(LivingBody):
    """A thread to be made."""

    thread_id: Uuid | None = None
    metadata: Metadata = {}
    if_exists: Literal["raise", "do_nothing"] = "raise"
    supersteps: list[SuperstepBody] = []


class ThreadPatchBody(LivingBody):
    """Metadata to be merged."""

    metadata: Metadata = {}


class ThreadConfigBody(Body):
    """Metadata to be merged, as an old client sends it."""

    metadata: Metadata = {}


class PruneBody(Body):
    """Threads to be deleted, or to be kept with their latest checkpoints alone."""

    thread_ids: Annotated[list[Uuid], Field(max_length=10_000)]
    strategy: Strategy = "delete"


class ThreadFilterBody(Body):
    """Which threads: metadata and values by containment."""

    metadata: JsonObject | None = None
    values: JsonObject | None = None
    status: Literal["idle", "busy", "interrupted", "error"] | None = None


class ThreadSearchBody(ThreadFilterBody):
    """A page of threads."""

    ids: list[Uuid] | None = None
    limit: Limit = 10
    offset: Offset = 0
    sort_by: Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"] = "updated_at"
    sort_order: Order = "desc"
    select: (
        list[
            Literal[
                "thread_id",
                "created_at",
                "updated_at",
                "state_updated_at",
                "metadata",
                "config",
                "status",
                "values",
                "interrupts",
                "error",
            ]
        ]
        | None
    ) = None
    extract: dict[str, str] = {}

    @property
    def paths(self) -> dict[str, Path]:
        """What is to be taken out of each thread, checked."""
        return paths_of(self.extract, _EXTRACT_TAKEN)


_EXTRACT_TAKEN: Final = frozenset(
    {"thread_id", "created_at", "updated_at", "state_updated_at", "metadata", "config", "status", "values"}
    | {"interrupts", "error", "ttl", "extracted"}
)


class StateReadBody(Body):
    """The state at a checkpoint."""

    checkpoint: CheckpointBody
    subgraphs: bool = False
    select: list[str] = []


class StateWriteBody(Body):
    """A state to be written as if `as_node` had returned `values`."""

    values: Update = None
    as_node: str | None = None
    checkpoint: CheckpointBody | None = None
    checkpoint_id: str | None = None

    @property
    def start_from(self) -> JsonObject:
        """The checkpoint to fork from; empty for the latest."""
        place = self.checkpoint.public() if self.checkpoint else {}
        return place | ({"checkpoint_id": self.checkpoint_id} if self.checkpoint_id else {})


def _before(value: Any) -> Any:
    """A checkpoint id, a checkpoint, or a config: always the id."""
    if isinstance(value, dict):
        value = value.get("configurable", value)
        return value.get("checkpoint_id") if isinstance(value, dict) else value
    return value


class HistoryBody(Body):
    """A page of past states, newest first."""

    limit: Limit = 1
    before: Annotated[str | None, BeforeValidator(_before)] = None
    metadata: JsonObject | None = None
    checkpoint: CheckpointBody | None = None
    select: list[str] = []


# runs in bulk


class CancelBody(Body):
    """Which runs to cancel: all of a status, or those named of one thread."""

    status: Literal["pending", "running", "all"] | None = None
    thread_id: Uuid | None = None
    run_ids: Annotated[list[Uuid], Field(min_length=1, max_length=10_000)] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> CancelBody:
        named = self.thread_id is not None and self.run_ids is not None
        if (self.thread_id is None) != (self.run_ids is None) or named == (self.status is not None):
            raise ValueError("give either status, or thread_id and run_ids")
        return self


# assistants


class AssistantPatchBody(Body):
    """What is to be changed of an assistant; metadata is merged, the rest replaced."""

    graph_id: str | None = None
    config: ConfigBody | None = None
    context: Configurable | None = None
    metadata: Metadata = {}
    name: str | None = None
    description: str | None = None

    def changes(self) -> Changes:
        """What was given."""
        return Changes(
            graph_id=self.graph_id,
            name=self.name,
            description=self.description,
            config=self.config.given() if self.config else None,
            context=self.context,
            metadata=self.metadata,
        )


class AssistantBody(AssistantPatchBody):
    """An assistant to be made."""

    graph_id: str
    assistant_id: Uuid | None = None
    name: str = "Untitled"
    if_exists: Literal["raise", "do_nothing"] = "raise"


class AssistantVersionsBody(Body):
    """A page of an assistant's versions, newest first."""

    metadata: JsonObject | None = None
    limit: Limit = 10
    offset: Offset = 0


class AssistantLatestBody(Body):
    """Which version is to be the present one."""

    version: Annotated[Whole, Field(ge=1, le=2**31)]


class AssistantFilterBody(Body):
    """Which assistants: metadata by containment, name as a part of it."""

    metadata: JsonObject | None = None
    graph_id: str | None = None
    name: str | None = None


class AssistantSearchBody(AssistantFilterBody):
    """A page of assistants."""

    limit: Limit = 10
    offset: Offset = 0
    sort_by: Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"] = "created_at"
    sort_order: Order = "desc"
    select: (
        list[
            Literal[
                "assistant_id",
                "graph_id",
                "name",
                "description",
                "config",
                "context",
                "created_at",
                "updated_at",
                "metadata",
                "version",
            ]
        ]
        | None
    ) = None
