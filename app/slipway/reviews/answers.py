"""Answers: converts the decisions of people to the value that a question expects, and back, and validates both.

A person decides on the review desk, or any client sends the value with `command.resume`. Both are checked by the same
rules: the number of decisions, the allowed kinds, the members that a kind has, and the schemas of the question. Every
error is an `InvalidRequest` that names the field of the request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from slipway.errors import InvalidRequest
from slipway.json_comparison import equal
from slipway.json_schemas import InvalidSchema, SchemaProblem, SchemaValidator, joined_path
from slipway.reviews.questions import DecisionKind, Question, RequestedAction, Shape

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about one action, or their answer to a free question. None of a member: it was not given,
    except that `value` may be null."""

    kind: DecisionKind
    name: str | None = None
    """The other action, of an edit."""
    args: Mapping[str, Any] | None = None
    """The arguments of the action, of an edit."""
    message: str | None = None
    """The reason of a rejection, or a response."""
    value: Any = None
    """The answer to a free question."""

    def public(self) -> dict[str, Any]:
        """The decision as JSON, with the members of its kind."""
        if self.kind is DecisionKind.ANSWER:
            return {"kind": self.kind.value, "value": self.value}
        members = {"name": self.name, "args": self.args, "message": self.message}
        return {"kind": self.kind.value} | {name: member for name, member in members.items() if member is not None}


_MEMBERS: Final[Mapping[DecisionKind, frozenset[str]]] = {
    DecisionKind.APPROVE: frozenset(),
    DecisionKind.EDIT: frozenset({"name", "args"}),
    DecisionKind.REJECT: frozenset({"message"}),
    DecisionKind.RESPOND: frozenset({"message"}),
    DecisionKind.IGNORE: frozenset(),
    DecisionKind.ANSWER: frozenset({"value"}),
}
_REQUIRED: Final[Mapping[DecisionKind, str]] = {
    DecisionKind.EDIT: "args",
    DecisionKind.RESPOND: "message",
    DecisionKind.ANSWER: "value",
}
_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "name": (str, "must be a text"),
    "args": (dict, "must be a JSON object"),
    "message": (str, "must be a text"),
}


def decisions_from(question: Question, body: Mapping[str, Any], path: str = "") -> tuple[Decision, ...]:
    """The decisions of a request: `{"decisions": […]}`, or the members of the only decision. Raises `InvalidRequest`
    if a decision has not the members of its kind; `resume_value` checks everything else. `path` is that of `body`."""
    if "decisions" not in body:
        return (_decision_from(body, question.allowed(0), path),)
    for name in body:
        if name != "decisions":
            raise InvalidRequest(joined_path((name,), path), "is not possible beside decisions")
    listed, start = body["decisions"], joined_path(("decisions",), path)
    if not isinstance(listed, list):
        raise InvalidRequest(start, "must be a list of decisions, one for each action")
    _check_count(question, len(listed), start)
    return tuple(
        _decision_from(each, question.allowed(position), f"{start}[{position}]") for position, each in enumerate(listed)
    )


def _decision_from(members: Any, allowed: Sequence[DecisionKind], path: str) -> Decision:
    if not isinstance(members, dict):
        raise InvalidRequest(path, 'must be a JSON object such as {"kind": "approve"}')
    kind = _kind(members.get("kind"), list(DecisionKind), joined_path(("kind",), path), choices=allowed)
    given = {name: member for name, member in members.items() if name != "kind"}
    for name, member in given.items():
        if name not in _MEMBERS[kind]:
            known = sorted({"kind", *_MEMBERS[kind]})
            raise InvalidRequest(joined_path((name,), path), f"is not a member of the decision {kind.value!r}", known)
        required_type, problem = _TYPES.get(name, (object, ""))
        if not isinstance(member, required_type):
            raise InvalidRequest(joined_path((name,), path), problem)
    required = _REQUIRED.get(kind)
    if required is not None and required not in given:
        raise InvalidRequest(joined_path((required,), path), f"is required for the decision {kind.value!r}")
    return Decision(kind, **given)


def _kind(
    name: Any, allowed: Sequence[DecisionKind], path: str, *, choices: Sequence[DecisionKind] | None = None
) -> DecisionKind:
    """The kind with this name. Raises `InvalidRequest` if it is not one of `allowed`; the error lists the `choices`, by
    default those."""
    found = next((kind for kind in allowed if kind.value == name), None)
    if found is None:
        raise InvalidRequest(path, _not_allowed(name), [kind.value for kind in choices or allowed])
    return found


def _not_allowed(name: Any) -> str:
    return "is missing" if name is None else f"{_short(name)} is not an allowed decision"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _check_count(question: Question, count: int, path: str) -> None:
    if count != question.decisions:
        actions = "1 action" if question.decisions == 1 else f"{question.decisions} actions"
        raise InvalidRequest(path, f"the question has {actions}, but there are {count} decisions")


# from decisions to the value


def resume_value(question: Question, decisions: Sequence[Decision], path: str = "decisions") -> Any:
    """The value that answers the question, in its shape. Raises `InvalidRequest` if the number or the kind of the
    decisions is not allowed, or if the value does not match the schemas of the question. `path` is that of the list of
    decisions in the request; if it is empty, the request has the members of the only decision."""
    _check_count(question, len(decisions), path)
    for position, decision in enumerate(decisions):
        _check_decision(question, decision, position, _decision_path(path, position))
    value = _BUILDERS[question.shape](question, decisions)
    problem = _schema_problem(question, value)
    if problem is not None:
        position, inner = _LOCATIONS[question.shape](problem.path)
        raise InvalidRequest(joined_path(inner, _decision_path(path, position)), problem.message)
    return value


def _decision_path(path: str, position: int) -> str:
    return f"{path}[{position}]" if path else ""


def _check_decision(question: Question, decision: Decision, position: int, path: str) -> None:
    _kind(decision.kind.value, question.allowed(position), joined_path(("kind",), path))
    if decision.args is not None:
        _check_args(question.actions[position], decision.name, decision.args, joined_path(("args",), path))


def _check_args(action: RequestedAction, name: str | None, args: Mapping[str, Any], path: str) -> None:
    """Raises `InvalidRequest` if edited arguments do not match the schema of the action. That of another action is not
    known here."""
    if action.args_schema is None or name not in (None, action.name):
        return
    problem = _problem(action.args_schema, dict(args))
    if problem is not None:
        raise InvalidRequest(joined_path(problem.path, path), problem.message)


def _call_answer(action: RequestedAction, decision: Decision) -> dict[str, Any]:
    """One decision in the format of LangChain's middleware."""
    if decision.kind is DecisionKind.EDIT:
        edited = {"name": decision.name or action.name, "args": dict(decision.args or {})}
        return {"type": "edit", "edited_action": edited}
    answer = {"type": decision.kind.value}
    return answer if decision.message is None else answer | {"message": decision.message}


_INBOX_TYPES: Final[Mapping[DecisionKind, str]] = {
    DecisionKind.APPROVE: "accept",
    DecisionKind.EDIT: "edit",
    DecisionKind.RESPOND: "response",
    DecisionKind.IGNORE: "ignore",
}


def _inbox_answer(action: RequestedAction, decision: Decision) -> dict[str, Any]:
    args: Any = decision.message
    if decision.kind is DecisionKind.EDIT:
        args = {"action": decision.name or action.name, "args": dict(decision.args or {})}
    return {"type": _INBOX_TYPES[decision.kind], "args": args}


def _actions_value(question: Question, decisions: Sequence[Decision]) -> Any:
    return {"decisions": [_call_answer(*pair) for pair in zip(question.actions, decisions, strict=True)]}


def _call_value(question: Question, decisions: Sequence[Decision]) -> Any:
    return _call_answer(question.actions[0], decisions[0])


def _inbox_value(question: Question, decisions: Sequence[Decision]) -> Any:
    return [_inbox_answer(*pair) for pair in zip(question.actions, decisions, strict=True)]


def _free_value(question: Question, decisions: Sequence[Decision]) -> Any:
    return decisions[0].value


_BUILDERS: Final[Mapping[Shape, Callable[[Question, Sequence[Decision]], Any]]] = {
    Shape.ACTIONS: _actions_value,
    Shape.TOOL_CALL: _call_value,
    Shape.INBOX: _inbox_value,
    Shape.FREE: _free_value,
}


# from a problem in the value to the field of the decision


def _call_field(path: Path) -> Path:
    """`edited_action.args.amount` as `args.amount`."""
    match path:
        case ("type", *_):
            return ("kind",)
        case ("edited_action", *inner):
            return tuple(inner)
        case _:
            return path


def _call_location(path: Path) -> tuple[int, Path]:
    return 0, _call_field(path)


def _actions_location(path: Path) -> tuple[int, Path]:
    match path:
        case ("decisions", int(position), *inner):
            return position, _call_field(tuple(inner))
        case _:
            return 0, ()


def _inbox_location(path: Path) -> tuple[int, Path]:
    match path:
        case (int(position), "type", *_):
            return position, ("kind",)
        case (int(position), "args", "action", *_):
            return position, ("name",)
        case (int(position), "args", "args", *inner):
            return position, ("args", *inner)
        case (int(position), "args"):
            return position, ("message",)
        case _:
            return 0, ()


def _free_location(path: Path) -> tuple[int, Path]:
    return 0, ("value", *path)


_LOCATIONS: Final[Mapping[Shape, Callable[[Path], tuple[int, Path]]]] = {
    Shape.ACTIONS: _actions_location,
    Shape.TOOL_CALL: _call_location,
    Shape.INBOX: _inbox_location,
    Shape.FREE: _free_location,
}


# from the value to decisions


def decisions_in(question: Question, value: Any, path: str = "command.resume") -> tuple[Decision, ...]:
    """The decisions in a value with which a client answers the question. Raises `InvalidRequest` if it has not the
    shape that the question expects, if a decision is not allowed, or if the value does not match the schemas of the
    question. `path` is that of `value` in the request."""
    value, path = _without_list(question, value, path)
    decisions = _READERS[question.shape](question, value, path)
    problem = _schema_problem(question, value)
    if problem is not None:
        raise InvalidRequest(joined_path(problem.path, path), problem.message)
    return decisions


def _without_list(question: Question, value: Any, path: str) -> tuple[Any, str]:
    """The only decision of the list in which a client sends it that has read the question about one call of a tool as
    one about several actions. The tool gateway asks in both formats."""
    asks_twice = question.shape is Shape.TOOL_CALL and "action_requests" in question.value
    if not asks_twice or not isinstance(value, dict) or not isinstance(value.get("decisions"), list):
        return value, path
    decisions, listed = value["decisions"], f"{path}.decisions"
    _check_count(question, len(decisions), listed)
    return _with_types(question.actions[0], decisions[0]), f"{listed}[0]"


def _with_types(action: RequestedAction, decision: Any) -> Any:
    """An edit with the types of the arguments that were asked about: such a client sends texts from its text fields."""
    match decision:
        case {"edited_action": {"name": action.name, "args": dict(args)} as edited}:
            typed = {name: _with_type_of(action.args.get(name), arg) for name, arg in args.items()}
            return {**decision, "edited_action": {**edited, "args": typed}}
    return decision


def _with_type_of(asked: Any, arg: Any) -> Any:
    if not isinstance(arg, str) or asked is None or isinstance(asked, str):
        return arg
    try:
        value = orjson.loads(arg)
    except orjson.JSONDecodeError:
        return arg
    both_numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (asked, value))
    return value if both_numbers or type(value) is type(asked) else arg


def _actions_in(question: Question, value: Any, path: str) -> tuple[Decision, ...]:
    listed = value.get("decisions") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise InvalidRequest(path, 'must be {"decisions": […]} with one decision for each action')
    start = f"{path}.decisions"
    _check_count(question, len(listed), start)
    return tuple(
        _call_decision(action, each, f"{start}[{position}]")
        for position, (action, each) in enumerate(zip(question.actions, listed, strict=True))
    )


def _call_in(question: Question, value: Any, path: str) -> tuple[Decision, ...]:
    return (_call_decision(question.actions[0], value, path),)


def _call_decision(action: RequestedAction, answer: Any, path: str) -> Decision:
    members = _object(answer, path, 'such as {"type": "approve"}')
    kind = _kind(members.get("type"), action.allowed, f"{path}.type")
    if kind is DecisionKind.EDIT:
        edited = _object(members.get("edited_action"), f"{path}.edited_action", 'with "name" and "args"')
        return _edit(action, edited, "name", f"{path}.edited_action")
    message = members.get("message")
    if kind is DecisionKind.RESPOND or message is not None:
        _check_text(message, f"{path}.message")
    return Decision(kind, message=message if "message" in _MEMBERS[kind] else None)


def _inbox_in(question: Question, value: Any, path: str) -> tuple[Decision, ...]:
    if not isinstance(value, list):
        raise InvalidRequest(path, "must be a list with one response for each request")
    _check_count(question, len(value), path)
    return tuple(
        _inbox_decision(action, each, f"{path}[{position}]")
        for position, (action, each) in enumerate(zip(question.actions, value, strict=True))
    )


def _inbox_decision(action: RequestedAction, answer: Any, path: str) -> Decision:
    members = _object(answer, path, 'such as {"type": "accept", "args": null}')
    names = {_INBOX_TYPES[kind]: kind for kind in action.allowed}
    name, args = members.get("type"), members.get("args")
    kind = names.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidRequest(f"{path}.type", _not_allowed(name), names)
    match kind:
        case DecisionKind.EDIT:
            return _edit(action, _object(args, f"{path}.args", 'with "action" and "args"'), "action", f"{path}.args")
        case DecisionKind.RESPOND:
            _check_text(args, f"{path}.args")
            return Decision(kind, message=args)
        case DecisionKind.APPROVE if args is not None and not _is_request(action, args):
            raise InvalidRequest(
                f"{path}.args", "differs from the request; to execute it with other args, send an edit"
            )
        case _:
            return Decision(kind)


def _is_request(action: RequestedAction, args: Any) -> bool:
    """Whether a client repeated the request in its approval, as the agent inbox does."""
    return equal(args, {"action": action.name, "args": action.args})


def _edit(action: RequestedAction, edited: Mapping[str, Any], name_member: str, path: str) -> Decision:
    name, args = edited.get(name_member), _object(edited.get("args"), f"{path}.args", "with the arguments")
    _check_text(name, f"{path}.{name_member}")
    _check_args(action, name, args, f"{path}.args")
    return Decision(DecisionKind.EDIT, None if name == action.name else name, args)


def _free_in(question: Question, value: Any, path: str) -> tuple[Decision, ...]:
    return (Decision(DecisionKind.ANSWER, value=value),)


_READERS: Final[Mapping[Shape, Callable[[Question, Any, str], tuple[Decision, ...]]]] = {
    Shape.ACTIONS: _actions_in,
    Shape.TOOL_CALL: _call_in,
    Shape.INBOX: _inbox_in,
    Shape.FREE: _free_in,
}


def _object(value: Any, path: str, example: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest(path, "is missing" if value is None else f"must be a JSON object {example}")
    return value


def _check_text(value: Any, path: str) -> None:
    if not isinstance(value, str):
        raise InvalidRequest(path, "is missing" if value is None else "must be a text")


# schemas


def schema_fault(question: Question) -> str:
    """Why a schema of the question cannot be used, as a sentence for people; empty if it can. Answers are not checked
    with such a schema, because a person could never answer otherwise."""
    schemas = [question.response_schema, *(action.args_schema for action in question.actions)]
    for schema in schemas:
        try:
            if schema is not None:
                SchemaValidator(schema)
        except InvalidSchema as error:
            return f"The answer is not checked, because the schema of the question is invalid: {error}"
    return ""


def _schema_problem(question: Question, value: Any) -> SchemaProblem | None:
    return None if question.response_schema is None else _problem(question.response_schema, value)


def _problem(schema: Mapping[str, Any], value: Any) -> SchemaProblem | None:
    try:
        return SchemaValidator(schema).problem(value)
    except InvalidSchema:
        return None
