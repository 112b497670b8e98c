"""Each shape of a question is read, and what has an invalid part is a free question."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.reviews.questions import DecisionKind, Shape, question_of, resolved_schema
from tests.reviews.questions import ARGS, BATCHED, CALL, INBOX, call_schema

APPROVE, EDIT, REJECT, RESPOND, IGNORE, ANSWER = DecisionKind


def test_a_batched_question_has_its_actions_in_order() -> None:
    question = question_of(BATCHED)
    assert question.shape is Shape.ACTIONS
    refund, mail = question.actions
    assert (refund.name, refund.args, refund.description) == ("refund", ARGS, "Refund 12.50")
    assert refund.allowed == (APPROVE, EDIT, REJECT, RESPOND)
    assert mail.allowed == (APPROVE, REJECT)
    assert question.decisions == 2


def test_several_batched_requests_in_a_list_are_one_question() -> None:
    question = question_of([BATCHED, BATCHED])
    assert [action.name for action in question.actions] == ["refund", "mail", "refund", "mail"]


@pytest.mark.parametrize(
    ("configs", "allowed"),
    [
        ([{"action_name": "refund", "allowed_decisions": ["edit"]}], (EDIT,)),
        ([{"action_name": "other", "allowed_decisions": ["reject"]}], (REJECT,)),
        ([{"action_name": "refund", "allowed_decisions": []}], (APPROVE, REJECT)),
        ([{"action_name": "refund", "allowed_decisions": ["shout", "edit"]}], (EDIT,)),
        ([], (APPROVE, REJECT)),
        (None, (APPROVE, REJECT)),
        (["no config"], (APPROVE, REJECT)),
    ],
)
def test_the_allowed_decisions_of_an_action_come_from_its_config(
    configs: Any, allowed: tuple[DecisionKind, ...]
) -> None:
    question = question_of({"action_requests": [{"name": "refund", "args": {}}], "review_configs": configs})
    assert question.actions[0].allowed == allowed


def test_an_action_may_have_its_args_as_arguments_and_a_schema_of_them() -> None:
    schema = {"type": "object"}
    config = {"action_name": "a", "allowed_decisions": ["edit"], "args_schema": schema}
    action = question_of(
        {"action_requests": [{"name": "a", "arguments": {"x": 1}}], "review_configs": [config]}
    ).actions[0]
    assert action.args == {"x": 1}
    assert action.args_schema == schema


@pytest.mark.parametrize("kinds", [("approve",), ("approve", "reject"), ("approve", "edit", "reject", "respond")])
def test_the_allowed_decisions_of_a_call_come_from_its_response_schema(kinds: tuple[str, ...]) -> None:
    schema = call_schema(*kinds)
    question = question_of(CALL, schema)
    assert question.shape is Shape.TOOL_CALL
    assert [kind.value for kind in question.actions[0].allowed] == list(kinds)
    assert (question.tool_call_id, question.response_schema) == ("call-1", schema)


@pytest.mark.parametrize(
    ("schema", "allowed"),
    [
        (None, (APPROVE, REJECT)),
        ({"type": "object"}, (APPROVE, EDIT, REJECT, RESPOND)),
        ({"properties": {"type": {"const": "approve"}}}, (APPROVE,)),
        ({"properties": {"type": {"enum": ["reject", "approve"]}}}, (APPROVE, REJECT)),
        ({"anyOf": [{"properties": {"type": {"const": "edit"}}}]}, (EDIT,)),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"type": {"const": "reject"}}}}}, (REJECT,)),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, (APPROVE, EDIT, REJECT, RESPOND)),
        ({"oneOf": [{"$ref": "#"}]}, (APPROVE, EDIT, REJECT, RESPOND)),
        ({"$ref": "https://example.org/schema"}, (APPROVE, EDIT, REJECT, RESPOND)),
    ],
)
def test_any_response_schema_of_a_call_is_read(schema: Any, allowed: tuple[DecisionKind, ...]) -> None:
    assert question_of(CALL, schema).actions[0].allowed == allowed


def test_a_call_may_have_its_response_schema_in_its_value() -> None:
    schema = call_schema("approve")
    question = question_of({**CALL, "response_schema": schema})
    assert question.response_schema == schema
    assert question.actions[0].allowed == (APPROVE,)


@pytest.mark.parametrize("value", [INBOX, [INBOX]])
def test_an_inbox_question_has_one_action(value: Any) -> None:
    question = question_of(value)
    assert question.shape is Shape.INBOX
    (action,) = question.actions
    assert (action.name, action.args, action.description) == ("refund", ARGS, "Refund 12.50")
    assert action.allowed == (APPROVE, EDIT, RESPOND, IGNORE)


def test_an_inbox_question_allows_what_its_config_permits() -> None:
    config = {"allow_accept": False, "allow_edit": True, "allow_respond": "yes", "allow_ignore": True}
    assert question_of({**INBOX, "config": config}).actions[0].allowed == (EDIT, IGNORE)


FREE: tuple[Any, ...] = (
    *(None, True, 0, "How much?", [], {}, {"question": "How much?"}),
    *({"action_requests": []}, {"action_requests": "x"}, {"action_requests": [{"args": {}}]}, [BATCHED, "x"]),
    {"action_requests": [{"name": "a", "args": "x"}]},
    {"action_requests": [{"name": "a"}], "review_configs": [{"action_name": "a", "allowed_decisions": ["shout"]}]},
    *({**CALL, "name": None}, {**CALL, "args": []}, {**CALL, "type": "other"}, [CALL]),
    *({**INBOX, "config": None}, {**INBOX, "action_request": "x"}, {**INBOX, "config": {"allow_accept": False}}),
    *(
        {**INBOX, "action_request": {"args": {}}},
        [INBOX, None],
        {**INBOX, "action_request": {"action": "a", "args": 1}},
    ),
)


@pytest.mark.parametrize("value", FREE, ids=repr)
def test_every_other_value_is_a_free_question(value: Any) -> None:
    question = question_of(value)
    assert (question.shape, question.value, question.actions) == (Shape.FREE, value, ())
    assert (question.decisions, question.allowed(0)) == (1, (ANSWER,))
    assert question.public()["value"] == value


def test_a_question_is_shown_as_json() -> None:
    assert question_of(BATCHED).public() == {
        "shape": "actions",
        "actions": [
            {
                "name": "refund",
                "args": ARGS,
                "description": "Refund 12.50",
                "allowed_decisions": ["approve", "edit", "reject", "respond"],
            },
            {
                "name": "mail",
                "args": {"to": "a@example.org"},
                "description": "Send it",
                "allowed_decisions": ["approve", "reject"],
            },
        ],
        "response_schema": None,
    }


def test_a_reference_is_resolved_in_its_own_document_only() -> None:
    root = {"$defs": {"a/b": {"type": "string"}, "c~d": {"$ref": "#/$defs/a~1b"}}}
    assert resolved_schema({"$ref": "#/$defs/c~0d"}, root) == {"type": "string"}
    assert resolved_schema({"$ref": "#/$defs/none"}, root) == {}
    assert resolved_schema({"$ref": "file:///etc/passwd"}, root) == {}
    assert resolved_schema({"$ref": "#"}, root) == root
