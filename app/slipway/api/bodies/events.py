"""Request bodies of the event protocol: subscriptions, and the parameters of commands."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, Field, model_validator

from slipway.api.bodies.body import Body, Metadata
from slipway.api.bodies.config import ConfigBody
from slipway.event_protocol.event_filters import EventFilter
from slipway.graphs.official_sections import Whole
from slipway.protocol_types import CommandBody, Goto, JsonObject

Seq = Annotated[Whole, Field(ge=0, le=2**53)]
MAX_PREFIXES = 1000


class EventsBody(Body):
    """Selects the events of a thread that the client receives."""

    channels: list[str] = Field(default_factory=list, max_length=MAX_PREFIXES)
    namespaces: Annotated[list[list[str]], Field(max_length=MAX_PREFIXES)] | None = None
    depth: Annotated[Whole, Field(ge=0)] | None = None
    since: Seq = 0

    @property
    def filter(self) -> EventFilter:
        """Raises `RefusedRequest` for an unknown channel."""
        return EventFilter.from_request(self.channels, self.namespaces, self.depth)


class CommandFrame(Body):
    """A command. Its response has the same `id`."""

    id: Whole
    method: str
    params: JsonObject = Field(default_factory=dict)


class StartParams(Body):
    """`run.start`. `config.configurable.checkpoint_id` is the checkpoint from which the run starts."""

    assistant_id: str
    input: Any = None
    config: ConfigBody = ConfigBody()
    metadata: Metadata = Field(default_factory=dict)
    multitask_strategy: str = Field("enqueue", validation_alias=AliasChoices("multitask_strategy", "multitaskStrategy"))

    def run(self, answers: JsonObject | None) -> JsonObject:
        """The body of the request for the run. With `answers` the run resumes the thread, and `input` is not used."""
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
    """The answer to one interrupt."""

    interrupt_id: str
    response: Any = None
    namespace: list[str] = Field(default_factory=list)


class RespondParams(Body):
    """`input.respond`: one answer, or several answers for one run."""

    responses: Annotated[list[ResponseBody], Field(min_length=1)]
    update: JsonObject | list[Any] | None = None
    goto: Goto = None
    config: ConfigBody = ConfigBody()
    metadata: Metadata = Field(default_factory=dict)
    strict_resume: bool = False

    @model_validator(mode="before")
    @classmethod
    def _list_of_one(cls, params: Any) -> Any:
        if isinstance(params, dict) and "responses" not in params and "interrupt_id" in params:
            one = {name: params[name] for name in ("interrupt_id", "response", "namespace") if name in params}
            return params | {"responses": [one]}
        return params

    @property
    def answers(self) -> JsonObject:
        return {each.interrupt_id: each.response for each in self.responses}

    def run(self, assistant_id: str) -> JsonObject:
        """The body of the request for the run that has these answers. Members that are not sent keep their defaults."""
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
    """`agent.getTree`. Without `run_id`: the run of the thread that started last."""

    run_id: str | None = None


class SubscribeParams(EventsBody):
    """`subscription.subscribe` and `subscription.reconnect`."""

    subscription_id: str | None = None


class UnsubscribeParams(Body):
    subscription_id: str
