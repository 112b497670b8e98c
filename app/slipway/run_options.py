"""The run options: what the graph of a run is called with. The protocol shows them as `kwargs` of the run.

They are stored as one JSON object in the field `kwargs` of the run's record, without members that have their default
value, and without `config.metadata`, which is part of the run's metadata. They never change after the run is created.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Strict

from slipway.graphs.spec import Durability
from slipway.protocol_types import (
    CommandBody,
    JsonObject,
    MaxConcurrency,
    Nodes,
    RecursionLimit,
    StreamMode,
    Webhook,
)
from slipway.serialization.at_rest import opened, opened_in_thread
from slipway.serialization.json_slices import loads_in_turns
from slipway.serialization.places import run_place


class RunConfig(BaseModel):
    """A RunnableConfig. Members that are not named here are passed to the graph unchanged."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, hide_input_in_errors=True)

    configurable: JsonObject = {}
    metadata: JsonObject = {}
    tags: list[str] = []
    recursion_limit: RecursionLimit | None = None
    max_concurrency: MaxConcurrency | None = None
    run_name: str | None = None


def _checked_command(command: JsonObject) -> JsonObject:
    CommandBody.model_validate(command)
    return command


def _checked_config(config: JsonObject) -> JsonObject:
    RunConfig.model_validate(config)
    return config


def _object_if_none(value: Any) -> Any:
    return {} if value is None else value


Flag = Annotated[bool, Strict()]
"""A JSON boolean. Numbers and texts are rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The run options. The annotations are only checked for options that an authorize handler has written. Those of a
    request are checked by its body (`api/bodies/runs.py`)."""

    __pydantic_config__ = ConfigDict(extra="forbid", hide_input_in_errors=True)

    input: Any = None
    """The input of the graph. If it is None and there is no command, the run continues from the thread's last
    checkpoint."""
    command: Annotated[JsonObject, AfterValidator(_checked_command)] | None = None
    """LangGraph's Command: `resume`, `update` and `goto`. `resume` answers an interrupt."""
    config: Annotated[JsonObject, AfterValidator(_checked_config)] = field(default_factory=dict)
    """The RunnableConfig of the request over that of the assistant. See `RunConfig`."""
    context: Annotated[JsonObject, BeforeValidator(_object_if_none)] = field(default_factory=dict)
    """What nodes read as `runtime.context`: the context of the request over that of the assistant."""
    stream_mode: list[StreamMode | Literal["checkpoints/brief"]] = field(default_factory=lambda: ["values"])
    """The stream modes whose events are appended to the event log."""
    interrupt_before: Nodes | None = None
    """The nodes before which there is a breakpoint."""
    interrupt_after: Nodes | None = None
    """The nodes after which there is a breakpoint."""
    webhook: Webhook | None = None
    """A URL, or a path of this deployment, that is called when the run has ended."""
    feedback_keys: list[str] | None = None
    """Stored and shown, never read."""
    temporary: Flag = False
    """The thread was created for this run and is deleted when the run ends."""
    subgraphs: Flag = False
    """Events of subgraphs are appended as well."""
    resumable: Flag = False
    """Stored and shown. Every event stream can be resumed."""
    checkpoint_during: Flag = True
    """The older option for `durability`. True means a durability other than `exit`, and always agrees with it."""
    durability: Durability = "async"
    """When a checkpoint is stored: before the next superstep (`sync`), during it (`async`), or when the run ends
    (`exit`). With `replicated`, replicas of Redis have the run, each checkpoint before the next superstep, and the
    end."""
    checkpoint: JsonObject | None = None
    """The checkpoint from which the run starts: `checkpoint_id`, `checkpoint_ns`, `checkpoint_map`. None for the latest
    one."""
    strict_resume: Flag = False
    """The run fails if its `resume` matches no open interrupt."""

    @property
    def is_replicated(self) -> bool:
        """Whether what the run writes is acknowledged when replicas of Redis have it."""
        return self.durability == "replicated"

    @property
    def answers_interrupt(self) -> bool:
        return bool(self.command and "resume" in self.command)

    @property
    def continues(self) -> bool:
        """Whether the run continues from the state of the thread: with an answer, or without input."""
        return self.answers_interrupt or (self.command is None and self.input is None)

    @property
    def configurable(self) -> JsonObject:
        """Empty if `config` has no such member."""
        return self.config.get("configurable") or {}

    def stored(self) -> dict[str, Any]:
        """The members that the record stores."""
        config = {name: value for name, value in self.config.items() if value and name != "metadata"}
        members = {**self.members(), "config": config}
        return {name: value for name, value in members.items() if value != _DEFAULTS[name]}

    def members(self) -> dict[str, Any]:
        """All members in the protocol's order. The values are shared with these options."""
        return {name: getattr(self, name) for name in _NAMES}

    def public(self, ids: Mapping[str, str], metadata: Mapping[str, Any], attempt: int) -> dict[str, Any]:
        """`kwargs` as clients receive it. Its `config` contains what nodes find there: the run's `ids`, its metadata,
        the number of the attempt (0 before the first claim), and the checkpoint from which it starts."""
        config = {
            **self.config,
            "configurable": {**self.configurable, **(self.checkpoint or {}), **ids},
            "metadata": {**metadata, "run_attempt": attempt} if attempt else metadata,
        }
        return {**self.members(), "config": config}


async def options_in_turns(stored: bytes, run_id: str) -> RunOptions:
    """The same as `options_from`. Large options are parsed in slices, between which the event loop continues."""
    return RunOptions(**await loads_in_turns(await opened_in_thread(stored, run_place(run_id))))


def options_from(stored: bytes, run_id: str) -> RunOptions:
    """The options of the field `kwargs` of a run's record."""
    return RunOptions(**orjson.loads(opened(stored, run_place(run_id))))


_NAMES: Final = tuple(each.name for each in fields(RunOptions))
_DEFAULTS: Final[Mapping[str, Any]] = RunOptions().members()
