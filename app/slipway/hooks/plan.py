"""What a delivery to a hook asks for, by the mapping of the hook. Nothing is read or stored here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from slipway.errors import HookMappingFailed, SlipwayError
from slipway.graphs.hook_mapping import Leaf, MappingError, Template, path_text
from slipway.graphs.hooks_section import HookConfig
from slipway.hooks.payload import payload_of
from slipway.json_expressions import Budget
from slipway.protocol_types import MultitaskStrategy

MOST_CHARACTERS: Final = 500
"""Of a delivery id, an event type, or a text that names a thread."""
_SHORT: Final = 200


@dataclass(frozen=True, slots=True)
class Ignore:
    """Nothing is done."""

    reason: str


@dataclass(frozen=True, slots=True)
class ThreadName:
    """Names a thread: by its id, or by a text from which the id is made. Neither means a new thread."""

    text: str | None = None
    thread_id: str | None = None


@dataclass(frozen=True, slots=True)
class StartRun:
    """A run with `input`."""

    input: Any
    thread: ThreadName
    create_thread: bool
    metadata: Mapping[str, Any]
    multitask_strategy: MultitaskStrategy


@dataclass(frozen=True, slots=True)
class ResumeRun:
    """The answer to the interrupt of a waiting run, which `thread` or `run_id` names."""

    answer: Any
    thread: ThreadName
    run_id: str | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DecideReview:
    """A decision about a review."""

    review_id: str
    decision: Mapping[str, Any]


Action = Ignore | StartRun | ResumeRun | DecideReview


@dataclass(frozen=True, slots=True)
class Incoming:
    """A verified delivery as it was received. `headers` are those that are kept, in lower case."""

    headers: Mapping[str, str]
    body: bytes
    digest: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a delivery. `error` is set, and the action is None, if the mapping has no result; the delivery id
    is then the digest, if there is no other."""

    delivery_id: str
    event: str | None
    action: Action | None
    error: SlipwayError | None = None


def planned(config: HookConfig, incoming: Incoming) -> Plan:
    """Evaluates the mapping of the hook. Takes at most `Budget.cpu_s` seconds and a little."""
    plan = Plan(incoming.digest, None, None)
    try:
        seen = {
            "body": payload_of(incoming.headers.get("content-type", ""), incoming.body),
            "headers": dict(incoming.headers),
            "digest": incoming.digest,
            "hook": config.name,
        }
        mapping = _Mapping(config, seen, Budget())
        event = mapping.event()
        plan = Plan(incoming.digest, event, None)
        delivery_id = mapping.delivery_id()
        plan = Plan(delivery_id, event, None)
        return Plan(delivery_id, event, mapping.action(event))
    except MappingError as error:
        failure = HookMappingFailed(config.name, path_text(error.path), error.problem)
        return Plan(plan.delivery_id, plan.event, None, failure)
    except SlipwayError as error:
        return Plan(plan.delivery_id, plan.event, None, error)


class _Mapping:
    """The expressions of a hook, evaluated for one delivery. All share one budget."""

    def __init__(self, config: HookConfig, seen: dict[str, Any], budget: Budget) -> None:
        self._config, self._seen, self._budget = config, seen, budget

    def event(self) -> str | None:
        """The event type, which later expressions see."""
        leaf = self._config.event
        value = None if leaf is None else leaf.evaluate(self._seen, self._budget)
        if value is not None and not isinstance(value, str):
            raise MappingError(("event",), f"must be a text, found {_kind(value)}")
        event = value[:_SHORT] if value else None
        self._seen["event"] = event
        return event

    def delivery_id(self) -> str:
        """The delivery id, which later expressions see."""
        self._seen["id"] = delivery_id = _text(self._config.delivery_id, self._value(self._config.delivery_id))
        return delivery_id

    def action(self, event: str | None) -> Action:
        config = self._config
        if (reason := self._ignored(event)) is not None:
            return Ignore(reason)
        if config.review is not None and config.decision is not None:
            decision = config.decision.evaluate(self._seen, self._budget)
            if not isinstance(decision, dict):
                raise MappingError(("decide", "decision"), f"must be an object, found {_kind(decision)}")
            return DecideReview(_text(config.review, self._value(config.review)), decision)
        thread, metadata = self._thread(), self._metadata()
        if config.resume is not None:
            answer = config.resume.evaluate(self._seen, self._budget)
            return ResumeRun(answer, thread, self._optional_text(config.run_id), metadata)
        assert config.input is not None
        section = config.section
        return StartRun(
            input=config.input.evaluate(self._seen, self._budget),
            thread=thread,
            create_thread=(section.if_not_exists or ("reject" if section.thread_id else "create")) == "create",
            metadata=metadata,
            multitask_strategy=section.multitask_strategy,
        )

    def _ignored(self, event: str | None) -> str | None:
        """Why the delivery is ignored; None if it is not."""
        section, when = self._config.section, self._config.when
        if section.events is not None:
            if not any(_is_kind_of(event, each) for each in section.events):
                kind = "it has no event type" if event is None else f"the event type is {event!r}"
                return f"{kind}; slipway.hooks.{self._config.name}.events has {', '.join(section.events)}"
        elif section.verify.scheme == "github" and event == "ping":
            return "a ping, by which GitHub tests the hook"
        if when is not None and when.evaluate(self._seen, self._budget) in (None, False, "", [], {}):
            return f"slipway.hooks.{self._config.name}.when is not true for it"
        return None

    def _thread(self) -> ThreadName:
        config = self._config
        return ThreadName(self._optional_text(config.thread), self._optional_text(config.thread_id))

    def _metadata(self) -> Mapping[str, Any]:
        template: Template | None = self._config.metadata
        metadata: dict[str, Any] = {} if template is None else template.evaluate(self._seen, self._budget)
        owner = self._config.section.owner
        own = {"hook": self._config.name} | ({} if owner is None else {"owner": owner})
        return metadata | own

    def _optional_text(self, leaf: Leaf | None) -> str | None:
        return None if leaf is None else _text(leaf, self._value(leaf))

    def _value(self, leaf: Leaf) -> Any:
        return leaf.evaluate(self._seen, self._budget)


def _is_kind_of(event: str | None, wanted: str) -> bool:
    """`pull_request.opened` is a kind of `pull_request`."""
    return event is not None and (event == wanted or event.startswith(f"{wanted}."))


def _text(leaf: Leaf, value: Any) -> str:
    """A text, or a whole number as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise MappingError(leaf.path, f"must be a text or a whole number, found {_kind(value)}")
    if not value.strip() or len(value) > MOST_CHARACTERS:
        raise MappingError(leaf.path, f"must have 1 to {MOST_CHARACTERS} characters, found {len(value)}")
    return value


def _kind(value: object) -> str:
    """The type of a value in words, without the value: it is of the delivery."""
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", bool: "a boolean", int: "a number", float: "a number", str: "a text"}
    return names.get(type(value), type(value).__name__)
