"""Types of the protocol that request bodies and handler values share, so that both are validated in the same way."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from slipway.graphs.official_sections import Whole

JsonObject: TypeAlias = dict[str, Any]

StreamMode = Literal[
    "values",
    "messages",
    "messages-tuple",
    "updates",
    "events",
    "tasks",
    "checkpoints",
    "debug",
    "custom",
    "tools",
    "lifecycle",
]
Strategy = Literal["delete", "keep_latest"]
"""What happens to a thread when its time to live ends."""
MultitaskStrategy = Literal["reject", "interrupt", "rollback", "enqueue"]

SYSTEM_MARK: Final = "slipway_system"
"""The member of metadata by which access filters find the system assistants. It is not stored, and clients cannot write
it."""
RESERVED_METADATA: Final = frozenset(
    {"thread_id", "assistant_id", "run_id", "cron_id", "counters_since_delta_snapshot", SYSTEM_MARK}
)
RESERVED_CONFIG: Final = (
    "langgraph_auth_",
    "langgraph_request_id",
    "__langsmith_project__",
    "__langsmith_example_id__",
    "__request_start_time_ms__",
    "__after_seconds__",
    "__otel_",
    "__dd_trace_headers__",
    "__pregel_node_finished",
    "__context_provided__",
)
_INTERNAL_MEMBERS: Final = frozenset(
    {
        "assistant_id",
        "ceilings",
        "checkpoint_id",
        "checkpoint_map",
        "checkpoint_ns",
        "cron_id",
        "graph_id",
        "priority",
        "run_attempt",
        "run_id",
        "thread_id",
        "thread_ts",
        "user_id",
    }
)
LONGEST_WEBHOOK: Final = 65536
LONGEST_DELAY_S: Final = 366 * 86400


def is_internal_member(name: str) -> bool:
    """Whether Slipway or LangGraph reads or writes the member `name` of `configurable`."""
    return name in _INTERNAL_MEMBERS or name.startswith(("__", *RESERVED_CONFIG))


def one_error(message: str) -> WrapValidator:
    """Replaces the errors of a union, of which pydantic reports one for each alternative, by `message`."""

    def checked(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
        try:
            return inner(value)
        except ValidationError:
            raise ValueError(message) from None

    return WrapValidator(checked)


Nodes = Annotated[
    Literal["*"] | list[str], Field(union_mode="left_to_right"), one_error('must be "*" or a list of nodes\' names')
]
Update = Annotated[JsonObject | list[Any] | None, one_error("must be an object, or a list of pairs")]
Limit = Annotated[Whole, Field(ge=1, le=1000)]
Offset = Annotated[Whole, Field(ge=0, le=2**31)]
RecursionLimit = Annotated[Whole, Field(ge=1, le=2**31 - 1)]
MaxConcurrency = Annotated[Whole, Field(ge=1, le=10_000)]
DelayS = Annotated[Whole, Field(ge=0, le=LONGEST_DELAY_S)]

Webhook = Annotated[
    str,
    Field(max_length=LONGEST_WEBHOOK, pattern=r"^(https?://[^\s/]|/)\S*$"),
    one_error(
        f"must be an absolute URL with http or https, or a path of this server, of at most {LONGEST_WEBHOOK} characters"
    ),
]


class SendBody(BaseModel):
    """A node to execute next, with the input for that node."""

    model_config = ConfigDict(extra="ignore", strict=True)

    node: str
    input: Any = None


Goto = Annotated[
    str | SendBody | list[str | SendBody] | None,
    one_error("must be a node's name, an object with node and input, or a list of these"),
]


class CommandBody(BaseModel):
    """`command`: an answer to an interrupt, a state update, or the nodes to execute next."""

    model_config = ConfigDict(extra="ignore", strict=True)

    resume: Any = None
    update: Update = None
    goto: Goto = None

    def public(self) -> JsonObject:
        """The members that were sent. Null means absent, except a `resume` of null that is the only member."""
        sent = self.model_dump(include={"resume", "update", "goto"} & self.model_fields_set)
        return {name: value for name, value in sent.items() if value is not None or len(sent) == 1}
