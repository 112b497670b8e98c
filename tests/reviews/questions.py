"""Questions in each shape, as agents ask them."""

from __future__ import annotations

from typing import Any

from slipway.reviews.questions import Question, question_of

ARGS: dict[str, Any] = {"order_id": "A-1", "amount": 12.5}

BATCHED: dict[str, Any] = {
    "action_requests": [
        {"name": "refund", "args": ARGS, "description": "Refund 12.50"},
        {"name": "mail", "args": {"to": "a@example.org"}, "description": "Send it"},
    ],
    "review_configs": [
        {"action_name": "refund", "allowed_decisions": ["approve", "edit", "reject", "respond"]},
        {"action_name": "mail", "allowed_decisions": ["approve", "reject"]},
    ],
}

CALL: dict[str, Any] = {
    "type": "tool_approval",
    "tool_call_id": "call-1",
    "name": "refund",
    "args": ARGS,
    "description": "Refund 12.50",
}

INBOX: dict[str, Any] = {
    "action_request": {"action": "refund", "args": ARGS},
    "config": {"allow_accept": True, "allow_edit": True, "allow_respond": True, "allow_ignore": True},
    "description": "Refund 12.50",
}


def call_schema(*kinds: str) -> dict[str, Any]:
    """A `response_schema` of the form that LangChain's middleware publishes for one call of `refund`."""
    edited = {
        "properties": {"name": {"const": "refund"}, "args": {"$ref": "#/$defs/Args"}},
        "required": ["name", "args"],
    }
    amount = {"type": "number", "exclusiveMinimum": 0}
    branches = {
        "approve": _branch("approve"),
        "edit": _branch("edit", ["edited_action"], edited_action=edited),
        "reject": _branch("reject", message={"type": "string"}),
        "respond": _branch("respond", ["message"], message={"type": "string"}),
    }
    args = {"type": "object", "properties": {"amount": amount}, "required": ["order_id", "amount"]}
    return {
        "$defs": {"Args": args, **{kind: branches[kind] for kind in kinds}},
        "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in kinds],
    }


def _branch(kind: str, required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"type": {"const": kind}, **properties},
        "required": ["type", *(required or [])],
    }


def call_question() -> Question:
    return question_of(CALL, call_schema("approve", "edit", "reject", "respond"))
