"""Questions: what an interrupt asks a person, read from the formats that agents use.

========== ==================================================================================== ======================
shape      value of the interrupt                                                               answer
========== ==================================================================================== ======================
actions    `{"action_requests": [{"name", "args", "description"}], "review_configs": [          `{"decisions": […]}`,
           {"action_name", "allowed_decisions"}]}`: LangChain's middleware, all calls of one     one for each action,
           message in one interrupt                                                             by position
tool_call  `{"type": "tool_approval", "tool_call_id", "name", "args", "description"}` with a     one decision
           `response_schema`: one interrupt for each call of a tool
inbox      `{"action_request": {"action", "args"}, "config": {"allow_accept", "allow_edit",      a list with one
           "allow_respond", "allow_ignore"}, "description"}`, mostly in a list: the agent inbox  response for each
free       any other value                                                                      any JSON value
========== ==================================================================================== ======================

A value that looks like one of the first three shapes but has an invalid part is a free question, so that a person can
answer it nevertheless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

MAX_REFERENCES: Final = 20
"""How many references of a schema are followed, one after another."""


class Shape(StrEnum):
    """The format of a question, which decides the format of its answer."""

    ACTIONS = "actions"
    TOOL_CALL = "tool_call"
    INBOX = "inbox"
    FREE = "free"


class DecisionKind(StrEnum):
    """What a person can decide about an action. `ANSWER` is the only kind for a free question."""

    APPROVE = "approve"
    """Execute the action as it was shown."""
    EDIT = "edit"
    """Execute it with other arguments, or another action."""
    REJECT = "reject"
    """Do not execute it; the message says why."""
    RESPOND = "respond"
    """Do not execute it; the message takes the place of its result."""
    IGNORE = "ignore"
    """Neither execute it nor respond to it."""
    ANSWER = "answer"
    """Any JSON value."""


@dataclass(frozen=True, slots=True)
class RequestedAction:
    """An action about which a person decides, mostly the call of a tool. `allowed` is not empty."""

    name: str
    args: Mapping[str, Any]
    description: str
    allowed: tuple[DecisionKind, ...]
    args_schema: Mapping[str, Any] | None = None
    """What edited arguments must match, if the question says so outside of its `response_schema`."""

    def public(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "args": dict(self.args),
            "description": self.description,
            "allowed_decisions": [kind.value for kind in self.allowed],
        }


@dataclass(frozen=True, slots=True)
class Question:
    """What one interrupt asks. `actions` is empty for a free question."""

    shape: Shape
    value: Any
    """The value of the interrupt, unchanged."""
    actions: tuple[RequestedAction, ...] = ()
    response_schema: Mapping[str, Any] | None = None
    """What the answer as a whole must match."""
    tool_call_id: str | None = None
    """The call of a tool, for shape `tool_call`."""

    @property
    def decisions(self) -> int:
        """The number of decisions that answer the question."""
        return max(len(self.actions), 1)

    def allowed(self, position: int) -> tuple[DecisionKind, ...]:
        """The kinds of the decision at this position."""
        return self.actions[position].allowed if self.actions else (DecisionKind.ANSWER,)

    def public(self) -> dict[str, Any]:
        """The question as JSON for clients that show it. `value` is only in a free question."""
        shown: dict[str, Any] = {
            "shape": self.shape.value,
            "actions": [action.public() for action in self.actions],
            "response_schema": self.response_schema,
        }
        return shown if self.actions else shown | {"value": self.value}


def question_of(value: Any, response_schema: Mapping[str, Any] | None = None) -> Question:
    """The question of an interrupt with this value, which must be JSON. `response_schema` is that of the interrupt; the
    value may have one instead, as a member. Never raises."""
    own_schema = value.get("response_schema") if isinstance(value, dict) else None
    schema = response_schema or (own_schema if isinstance(own_schema, dict) else None)
    if (call := _tool_call(value, schema)) is not None:
        call_id = value.get("tool_call_id")
        return Question(Shape.TOOL_CALL, value, (call,), schema, call_id if isinstance(call_id, str) else None)
    if actions := _actions(value):
        return Question(Shape.ACTIONS, value, actions, schema)
    if actions := _inbox_actions(value):
        return Question(Shape.INBOX, value, actions, schema)
    return Question(Shape.FREE, value, (), schema)


_SAFE: Final = (DecisionKind.APPROVE, DecisionKind.REJECT)
"""What is allowed if a question does not say it."""

_CALL_KINDS: Final = (DecisionKind.APPROVE, DecisionKind.EDIT, DecisionKind.REJECT, DecisionKind.RESPOND)


def _known_kinds(names: Any) -> tuple[DecisionKind, ...]:
    """The kinds of decisions among these names, each once. What is not a list has none."""
    listed = names if isinstance(names, list) else []
    return tuple(kind for kind in _CALL_KINDS if kind.value in listed)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


# shape `tool_call`


def _tool_call(value: Any, schema: Mapping[str, Any] | None) -> RequestedAction | None:
    if not isinstance(value, dict) or value.get("type") != "tool_approval":
        return None
    name, args = value.get("name"), value.get("args")
    if not isinstance(name, str) or not isinstance(args, dict):
        return None
    allowed = _SAFE if schema is None else _kinds_in(schema)
    return RequestedAction(name, args, _text(value.get("description")), allowed)


def _kinds_in(schema: Mapping[str, Any]) -> tuple[DecisionKind, ...]:
    """The kinds that the alternatives of a schema have in their member `type`. All kinds if it says none."""
    names = [name for branch in _alternatives(schema, schema) for name in _constants(branch, schema)]
    return _known_kinds(names) or _CALL_KINDS


def _alternatives(schema: Any, root: Mapping[str, Any], depth: int = 0) -> Iterator[Mapping[str, Any]]:
    resolved = resolved_schema(schema, root)
    inner = [each for name in ("oneOf", "anyOf") for each in _listed(resolved.get(name))]
    if not inner or depth > MAX_REFERENCES:
        yield resolved
    for each in inner if depth <= MAX_REFERENCES else ():
        yield from _alternatives(each, root, depth + 1)


def _constants(branch: Mapping[str, Any], root: Mapping[str, Any]) -> list[Any]:
    properties = branch.get("properties")
    kind = resolved_schema(properties.get("type") if isinstance(properties, dict) else None, root)
    return [kind["const"]] if "const" in kind else _listed(kind.get("enum"))


def resolved_schema(part: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema to which `$ref` refers, in the same document. Empty if it refers to nothing."""
    for _ in range(MAX_REFERENCES):
        if not isinstance(part, dict):
            return {}
        reference = part.get("$ref")
        if not isinstance(reference, str):
            return part
        part = _at_pointer(root, reference)
    return {}


def _at_pointer(root: Mapping[str, Any], reference: str) -> Any:
    if not reference.startswith("#/"):
        return root if reference == "#" else None
    found: Any = root
    for step in reference[2:].split("/"):
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# shape `actions`


def _actions(value: Any) -> tuple[RequestedAction, ...]:
    """The actions of one request, or of a list of requests. Empty if a part is invalid."""
    parts = value if isinstance(value, list) else [value]
    actions = [action for part in parts for action in _actions_of(part)]
    return () if None in actions else tuple(action for action in actions if action is not None)


def _actions_of(part: Any) -> list[RequestedAction | None]:
    requests = part.get("action_requests") if isinstance(part, dict) else None
    if not isinstance(requests, list) or not requests:
        return [None]
    configs = [each for each in _listed(part.get("review_configs")) if isinstance(each, dict)]
    return [_action(request, configs, position) for position, request in enumerate(requests)]


def _action(request: Any, configs: Sequence[Mapping[str, Any]], position: int) -> RequestedAction | None:
    if not isinstance(request, dict) or not isinstance(request.get("name"), str):
        return None
    name, args = request["name"], request.get("args", request.get("arguments", {}))
    config = _config_of(name, configs, position)
    names = config.get("allowed_decisions")
    allowed = _known_kinds(names) if names else _SAFE
    if not isinstance(args, dict) or not allowed:
        return None
    schema = config.get("args_schema")
    return RequestedAction(
        name, args, _text(request.get("description")), allowed, schema if isinstance(schema, dict) else None
    )


def _config_of(name: str, configs: Sequence[Mapping[str, Any]], position: int) -> Mapping[str, Any]:
    """The config with this name, else the one at this position."""
    named = next((config for config in configs if config.get("action_name") == name), None)
    return named if named is not None else configs[position] if position < len(configs) else {}


# shape `inbox`

_PERMISSIONS: Final[Mapping[DecisionKind, str]] = {
    DecisionKind.APPROVE: "allow_accept",
    DecisionKind.EDIT: "allow_edit",
    DecisionKind.RESPOND: "allow_respond",
    DecisionKind.IGNORE: "allow_ignore",
}


def _inbox_actions(value: Any) -> tuple[RequestedAction, ...]:
    """The actions of one request, or of a list of requests. Empty if a part is invalid."""
    parts = value if isinstance(value, list) else [value]
    actions = [_inbox_action(part) for part in parts]
    return () if None in actions else tuple(action for action in actions if action is not None)


def _inbox_action(part: Any) -> RequestedAction | None:
    request, config = (part.get("action_request"), part.get("config")) if isinstance(part, dict) else (None, None)
    if not isinstance(request, dict) or not isinstance(config, dict):
        return None
    name, args = request.get("action"), request.get("args", {})
    allowed = tuple(kind for kind, permission in _PERMISSIONS.items() if config.get(permission) is True)
    if not isinstance(name, str) or not isinstance(args, dict) or not allowed:
        return None
    return RequestedAction(name, args, _text(part.get("description")), allowed)
