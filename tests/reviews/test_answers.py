"""Decisions become the value that a question expects, values become decisions, and what is invalid names its field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.errors import InvalidRequest
from slipway.reviews.answers import Decision, decisions_from, decisions_in, resume_value, schema_fault
from slipway.reviews.questions import DecisionKind, Question, question_of
from tests.reviews.questions import ARGS, BATCHED, CALL, INBOX, call_question, call_schema

APPROVE, EDIT, REJECT, RESPOND, IGNORE, ANSWER = DecisionKind
CHANGED = {"order_id": "A-1", "amount": 5}
ONE = {"action_requests": BATCHED["action_requests"][:1], "review_configs": BATCHED["review_configs"][:1]}

CALL_ANSWERS: list[tuple[Decision, dict[str, Any]]] = [
    (Decision(APPROVE), {"type": "approve"}),
    (Decision(EDIT, args=CHANGED), {"type": "edit", "edited_action": {"name": "refund", "args": CHANGED}}),
    (Decision(REJECT), {"type": "reject"}),
    (Decision(REJECT, message="no"), {"type": "reject", "message": "no"}),
    (Decision(RESPOND, message="done"), {"type": "respond", "message": "done"}),
]
INBOX_ANSWERS: list[tuple[Decision, dict[str, Any]]] = [
    (Decision(APPROVE), {"type": "accept", "args": None}),
    (Decision(EDIT, args=CHANGED), {"type": "edit", "args": {"action": "refund", "args": CHANGED}}),
    (Decision(EDIT, "credit", {}), {"type": "edit", "args": {"action": "credit", "args": {}}}),
    (Decision(RESPOND, message="done"), {"type": "response", "args": "done"}),
    (Decision(IGNORE), {"type": "ignore", "args": None}),
]


@pytest.mark.parametrize(("decision", "answer"), CALL_ANSWERS)
def test_a_call_is_answered_with_one_decision(decision: Decision, answer: dict[str, Any]) -> None:
    assert resume_value(call_question(), [decision]) == answer
    assert decisions_in(call_question(), answer) == (decision,)


@pytest.mark.parametrize(("decision", "answer"), CALL_ANSWERS)
def test_a_batch_is_answered_by_position(decision: Decision, answer: dict[str, Any]) -> None:
    value = {"decisions": [answer, {"type": "reject"}]}
    assert resume_value(question_of(BATCHED), [decision, Decision(REJECT)]) == value
    assert decisions_in(question_of(BATCHED), value) == (decision, Decision(REJECT))


@pytest.mark.parametrize(("decision", "answer"), INBOX_ANSWERS)
@pytest.mark.parametrize("value", [INBOX, [INBOX]], ids=["object", "list"])
def test_an_inbox_question_is_answered_with_a_list(decision: Decision, answer: dict[str, Any], value: Any) -> None:
    assert resume_value(question_of(value), [decision]) == [answer]
    assert decisions_in(question_of(value), [answer]) == (decision,)


@pytest.mark.parametrize("value", [None, 5, "text", [1], {"decisions": []}, {"type": "approve"}])
def test_a_free_question_is_answered_with_any_value(value: Any) -> None:
    question = question_of("How much?")
    assert resume_value(question, [Decision(ANSWER, value=value)]) == value
    assert decisions_in(question, value) == (Decision(ANSWER, value=value),)


def test_an_edit_may_name_another_action() -> None:
    decision = Decision(EDIT, "credit", {"points": 3})
    value = {"decisions": [{"type": "edit", "edited_action": {"name": "credit", "args": {"points": 3}}}]}
    assert resume_value(question_of(ONE), [decision]) == value
    assert decisions_in(question_of(ONE), value) == (decision,)


def test_the_agent_inbox_accepts_with_the_request_itself() -> None:
    accepted = [{"type": "accept", "args": {"args": dict(reversed(ARGS.items())), "action": "refund"}}]
    assert decisions_in(question_of(INBOX), accepted) == (Decision(APPROVE),)


# what is invalid

Refused = tuple[Question, Any, str]


def _edit(**args: Any) -> dict[str, Any]:
    return {"type": "edit", "edited_action": {"name": "refund", "args": args}}


TWO = question_of(BATCHED)
NUMBER = question_of("How much?", {"type": "object", "properties": {"sum": {"type": "number"}}, "required": ["sum"]})
CHECKED = question_of(
    {
        "action_requests": [{"name": "refund", "args": ARGS}],
        "review_configs": [
            {
                "action_name": "refund",
                "allowed_decisions": ["edit"],
                "args_schema": {"properties": {"amount": {"type": "number"}}},
            }
        ],
    }
)

VALUES: list[Refused] = [
    (TWO, "approve", "command.resume"),
    (TWO, {"type": "approve"}, "command.resume"),
    (TWO, {"decisions": [{"type": "approve"}]}, "command.resume.decisions"),
    (TWO, {"decisions": [{"type": "approve"}] * 3}, "command.resume.decisions"),
    (TWO, {"decisions": [{"type": "approve"}, "x"]}, "command.resume.decisions[1]"),
    (TWO, {"decisions": [{"type": "approve"}, {}]}, "command.resume.decisions[1].type"),
    (TWO, {"decisions": [{"type": "approve"}, {"type": "edit"}]}, "command.resume.decisions[1].type"),
    (TWO, {"decisions": [{"type": ["approve"]}, {"type": "reject"}]}, "command.resume.decisions[0].type"),
    (TWO, {"decisions": [{"type": "edit"}, {"type": "reject"}]}, "command.resume.decisions[0].edited_action"),
    (
        TWO,
        {"decisions": [{"type": "edit", "args": {"action": "refund", "args": {}}}, {"type": "reject"}]},
        "command.resume.decisions[0].edited_action",
    ),
    (
        TWO,
        {"decisions": [{"type": "edit", "edited_action": {"name": "refund"}}, {"type": "reject"}]},
        "command.resume.decisions[0].edited_action.args",
    ),
    (
        TWO,
        {"decisions": [{"type": "edit", "edited_action": {"args": {}}}, {"type": "reject"}]},
        "command.resume.decisions[0].edited_action.name",
    ),
    (TWO, {"decisions": [{"type": "respond"}, {"type": "reject"}]}, "command.resume.decisions[0].message"),
    (TWO, {"decisions": [{"type": "reject", "message": 1}, {"type": "reject"}]}, "command.resume.decisions[0].message"),
    (call_question(), {"decisions": [{"type": "approve"}]}, "command.resume.type"),
    (call_question(), [], "command.resume"),
    (call_question(), {"type": "ignore"}, "command.resume.type"),
    (call_question(), _edit(order_id="A-1", amount="5"), "command.resume.edited_action.args.amount"),
    (call_question(), _edit(amount=5), "command.resume.edited_action.args.order_id"),
    (call_question(), _edit(order_id="A-1", amount=0), "command.resume.edited_action.args.amount"),
    (
        call_question(),
        {"type": "edit", "edited_action": {"name": "credit", "args": CHANGED}},
        "command.resume.edited_action.name",
    ),
    (question_of(INBOX), {"type": "accept"}, "command.resume"),
    (question_of(INBOX), [], "command.resume"),
    (question_of(INBOX), ["accept"], "command.resume[0]"),
    (question_of(INBOX), [{"type": "approve"}], "command.resume[0].type"),
    (question_of(INBOX), [{"type": {}}], "command.resume[0].type"),
    (question_of(INBOX), [{"type": "edit", "args": None}], "command.resume[0].args"),
    (question_of(INBOX), [{"type": "edit", "args": {"args": {}}}], "command.resume[0].args.action"),
    (question_of(INBOX), [{"type": "edit", "args": {"action": "refund"}}], "command.resume[0].args.args"),
    (question_of(INBOX), [{"type": "response", "args": None}], "command.resume[0].args"),
    (question_of(INBOX), [{"type": "accept", "args": {"action": "refund", "args": CHANGED}}], "command.resume[0].args"),
    (NUMBER, {"sum": "five"}, "command.resume.sum"),
    (NUMBER, {}, "command.resume.sum"),
    (NUMBER, 5, "command.resume"),
    (CHECKED, {"decisions": [_edit(amount="5")]}, "command.resume.decisions[0].edited_action.args.amount"),
]


@pytest.mark.parametrize(("question", "value", "field"), VALUES, ids=lambda part: part if isinstance(part, str) else "")
def test_an_invalid_value_names_its_field(question: Question, value: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        decisions_in(question, value)
    assert raised.value.field == field


DECISIONS: list[tuple[Question, list[Decision], str]] = [
    (TWO, [Decision(APPROVE)], "decisions"),
    (TWO, [Decision(APPROVE), Decision(EDIT, args={})], "decisions[1].kind"),
    (TWO, [Decision(IGNORE), Decision(APPROVE)], "decisions[0].kind"),
    (TWO, [Decision(ANSWER, value=1), Decision(APPROVE)], "decisions[0].kind"),
    (question_of(INBOX), [Decision(REJECT)], "decisions[0].kind"),
    (question_of("?"), [Decision(APPROVE)], "decisions[0].kind"),
    (question_of("?"), [], "decisions"),
    (call_question(), [Decision(EDIT, args={"order_id": "A-1", "amount": "5"})], "decisions[0].args.amount"),
    (call_question(), [Decision(EDIT, args={"amount": 5})], "decisions[0].args.order_id"),
    (call_question(), [Decision(EDIT, "credit", CHANGED)], "decisions[0].name"),
    (NUMBER, [Decision(ANSWER, value={"sum": "five"})], "decisions[0].value.sum"),
    (NUMBER, [Decision(ANSWER, value=5)], "decisions[0].value"),
    (CHECKED, [Decision(EDIT, args={"amount": "5"})], "decisions[0].args.amount"),
]


@pytest.mark.parametrize(("question", "decisions", "field"), DECISIONS)
def test_an_invalid_decision_names_its_field(question: Question, decisions: list[Decision], field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        resume_value(question, decisions)
    assert raised.value.field == field


def test_the_field_of_an_only_decision_has_no_position() -> None:
    with pytest.raises(InvalidRequest) as raised:
        resume_value(call_question(), [Decision(EDIT, args={"amount": 5})], "")
    assert raised.value.field == "args.order_id"


def test_a_decision_that_is_not_allowed_lists_those_that_are() -> None:
    with pytest.raises(InvalidRequest) as raised:
        resume_value(TWO, [Decision(APPROVE), Decision(EDIT, args={})])
    assert raised.value.known == ["approve", "reject"]


SCHEMAS: list[tuple[Any, Any, Callable[[Any], Any]]] = [
    (
        BATCHED,
        {"properties": {"decisions": {"items": {"properties": {"message": {"maxLength": 2}}}}}},
        lambda d: [d, d],
    ),
    ([INBOX], {"items": {"properties": {"args": {"maxLength": 2}}}}, lambda d: [d]),
]


@pytest.mark.parametrize(("value", "schema", "several"), SCHEMAS)
def test_a_schema_of_the_whole_answer_names_the_field_of_the_decision(
    value: Any, schema: dict[str, Any], several: Callable[[Any], list[Any]]
) -> None:
    kind = RESPOND if isinstance(value, list) else REJECT
    with pytest.raises(InvalidRequest) as raised:
        resume_value(question_of(value, schema), several(Decision(kind, message="no!")))
    assert raised.value.field == "decisions[0].message"


@pytest.mark.parametrize("schema", [{"type": 5}, {"$ref": "https://example.org/x"}, {"pattern": "("}])
def test_a_question_with_an_invalid_schema_can_be_answered(schema: dict[str, Any]) -> None:
    question = question_of("How much?", schema)
    assert "the schema of the question is invalid" in schema_fault(question)
    assert resume_value(question, [Decision(ANSWER, value=5)]) == 5
    assert schema_fault(NUMBER) == ""


# the body of a request

BODIES: list[tuple[Any, tuple[Decision, ...]]] = [
    ({"kind": "approve"}, (Decision(APPROVE),)),
    ({"kind": "edit", "args": {"a": 1}, "name": "b"}, (Decision(EDIT, "b", {"a": 1}),)),
    ({"kind": "answer", "value": None}, (Decision(ANSWER),)),
    (
        {"decisions": [{"kind": "approve"}, {"kind": "reject", "message": "no"}]},
        (Decision(APPROVE), Decision(REJECT, message="no")),
    ),
]


@pytest.mark.parametrize(("body", "decisions"), BODIES)
def test_decisions_are_read_from_a_body(body: dict[str, Any], decisions: tuple[Decision, ...]) -> None:
    question = TWO if len(decisions) == 2 else question_of(ONE)
    assert decisions_from(question, body) == decisions
    assert [decision.public() for decision in decisions] == body.get("decisions", [body])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"kind": "shout"}, "kind"),
        ({"kind": ["approve"]}, "kind"),
        ({"kind": "approve", "message": "fine"}, "message"),
        ({"kind": "edit"}, "args"),
        ({"kind": "edit", "args": []}, "args"),
        ({"kind": "edit", "args": {}, "name": 1}, "name"),
        ({"kind": "respond"}, "message"),
        ({"kind": "reject", "message": None}, "message"),
        ({"kind": "answer"}, "value"),
        ({"decisions": [], "kind": "approve"}, "kind"),
        ({"decisions": {}}, "decisions"),
        ({"decisions": []}, "decisions"),
        ({"decisions": [{"kind": "approve"}, 1]}, "decisions[1]"),
        ({"decisions": [{"kind": "approve"}, {"kind": "x"}]}, "decisions[1].kind"),
    ],
)
def test_an_invalid_body_names_its_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        decisions_from(TWO, body)
    assert raised.value.field == field


# any question and any decisions

NAMES, JSON_ARGS = (
    st.text(max_size=5),
    st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
)


@st.composite
def answered_questions(draw: st.DrawFn) -> tuple[Question, list[Decision]]:
    """A question in any shape, and decisions that it allows."""
    shape = draw(st.sampled_from(["actions", "call", "inbox", "free"]))
    count = draw(st.integers(1, 3)) if shape != "call" else 1
    requests = [{"name": draw(NAMES), "args": draw(JSON_ARGS)} for _ in range(count)]
    kinds = draw(st.lists(st.sampled_from(["approve", "edit", "reject", "respond"]), min_size=1, unique=True))
    if shape == "free":
        return question_of(draw(NAMES)), [Decision(ANSWER, value=draw(JSON_ARGS))]
    if shape == "inbox":
        parts = [{**INBOX, "action_request": {"action": each["name"], "args": each["args"]}} for each in requests]
        question = question_of(parts)
    elif shape == "call":
        question = question_of({**CALL, **requests[0]}, call_schema("approve", "reject", "respond"))
    else:
        configs = [{"allowed_decisions": kinds} for _ in requests]
        question = question_of({"action_requests": requests, "review_configs": configs})
    return question, [_decision(draw, question, position) for position in range(count)]


def _decision(draw: st.DrawFn, question: Question, position: int) -> Decision:
    kind = draw(st.sampled_from(question.allowed(position)))
    name = draw(NAMES.filter(lambda name: name not in ("", question.actions[position].name)) | st.none())
    return {
        EDIT: Decision(EDIT, name, draw(JSON_ARGS)),
        REJECT: Decision(REJECT, message=draw(NAMES | st.none())),
        RESPOND: Decision(RESPOND, message=draw(NAMES)),
    }.get(kind, Decision(kind))


@settings(max_examples=60, deadline=None)
@given(answered_questions())
def test_the_decisions_in_a_built_value_are_those_it_was_built_from(answered: tuple[Question, list[Decision]]) -> None:
    question, decisions = answered
    value = resume_value(question, decisions)
    assert decisions_in(question, value) == tuple(decisions)
    assert decisions_from(question, {"decisions": [decision.public() for decision in decisions]}) == tuple(decisions)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "args",
                    "decisions",
                    "action",
                    "name",
                    "edited_action",
                    "message",
                    "config",
                    "action_request",
                    "action_requests",
                    "review_configs",
                    "allowed_decisions",
                    "response_schema",
                    "$ref",
                    "oneOf",
                    "properties",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(JSON, JSON, st.sampled_from([BATCHED, CALL, INBOX, [INBOX], "free"]))
def test_any_json_is_read_or_refused_with_a_field(value: Any, answer: Any, known: Any) -> None:
    question_of(value, value if isinstance(value, dict) else None)
    assert _refused_field(question_of(known), answer).removeprefix("command.resume")[:1] in ("", ".", "[")


def _refused_field(question: Question, answer: Any) -> str:
    """The field of the error; empty if the answer is valid."""
    try:
        decisions_in(question, answer)
    except InvalidRequest as refused:
        return refused.field
    return ""
