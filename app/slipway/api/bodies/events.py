"""Bodies of the event protocol: subscriptions, and the parameters of commands."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, Field, model_validator

from slipway.api.bodies.body import Body, Metadata
from slipway.api.bodies.config import ConfigBody
from slipway.event_protocol.event_filters import EventFilter
from slipway.graphs.sections import Whole
from slipway.protocol_types import CommandBody, Goto, JsonObject

Seq = Annotated[Whole, Field(ge=0, le=2**53)]
MOST_PREFIXES = 1000


class EventsBody(Body):
    """What a client wants to hear of a thread."""

    channels: list[str] = Field(default_factory=list, max_length=MOST_PREFIXES)
    namespaces: Annotated[list[list[str]], Field(max_length=MOST_PREFIXES)] | None = None
    depth: Annotated[Whole, Field(ge=0)] | None = None
    since: Seq = 0

    @property
    def filter(self) -> EventFilter:
        """The same as a filter. Raises `RefusedRequest` for a channel that there is not."""
        return EventFilter.from_request(self.channels, self.namespaces, self.depth)


class CommandFrame(Body):
    """A command: `id` comes back with its answer."""

    id: Whole
    method: str
    params: JsonObject = Field(default_factory=dict)


class StartParams(Body):
    """`run.start`."""

    assistant_id: str
    input: Any = None
    config: ConfigBody = ConfigBody()
    metadata: Metadata = Field(default_factory=dict)
    multitask_strategy: str = Field("enqueue", validation_alias=AliasChoices("multitask_strategy", "multitaskStrategy"))

    def run(self, answers: JsonObject | None) -> JsonObject:
        """The same as the body of a run; with `answers` it resumes instead."""
        body: JsonObject = {
            "assistant_id": self.assistant_id,
            "input": self.input if answers is None else None,
            "config": self.config,
            "metadata": self.metadata,
            "multitask_strategy": self.multitask_strategy,
            "if_not_exists": "create",
        }
        if checkpoint_id := self.config.configurable.get("checkpoint_id"):
            body["checkpoint_id"] = checkpoint_id
        return body if answers is None else body | {"command": CommandBody(resume=answers)}


class ResponseBody(Body):
    """An answer to one interrupt."""

    interrupt_id: str
    response: Any = None
    namespace: list[str] = Field(default_factory=list)


class RespondParams(Body):
    """`input.respond`: one response, or several that one run takes."""

    responses: Annotated[list[ResponseBody], Field(min_length=1)]
    update: JsonObject | list[Any] | None = None
    goto: Goto = None
    config: ConfigBody = ConfigBody()
    metadata: Metadata = Field(default_factory=dict)
    strict_resume: bool = False

    @model_validator(mode="before")
    @classmethod
    def _one_is_several(cls, given: Any) -> Any:
        if isinstance(given, dict) and "responses" not in given and "interrupt_id" in given:
            one = {name: given[name] for name in ("interrupt_id", "response", "namespace") if name in given}
            return given | {"responses": [one]}
        return given

    @property
    def answers(self) -> JsonObject:
        """Interrupt → answer."""
        return {one.interrupt_id: one.response for one in self.responses}

    def run(self, assistant_id: str) -> JsonObject:
        """The same as the body of a run."""
        command: JsonObject = {"resume": self.answers}
        command |= {name: value for name in ("update", "goto") if (value := getattr(self, name)) is not None}
        return {
            "assistant_id": assistant_id,
            "command": CommandBody(**command),
            "config": self.config,
            "metadata": self.metadata,
            "strict_resume": self.strict_resume,
        }


class TreeParams(Body):
    """`agent.getTree`."""

    run_id: str | None = None


class SubscribeParams(EventsBody):
    """`subscription.subscribe` and `subscription.reconnect`."""

    subscription_id: str | None = None


class UnsubscribeParams(Body):
    """`subscription.unsubscribe`."""

    subscription_id: str
