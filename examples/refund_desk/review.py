"""The interrupt that a person answers, in the format of approval cards, and the parser of the answer."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from examples.refund_desk.orders import format_amount, parse_amount

ACTION: Final = "issue_refund"
_YES: Final = frozenset(
    ["approve", "approved", "accept", "accepted", "yes", "y", "ok", "okay", "true", "confirm", "confirmed"]
)
_NO: Final = frozenset(
    ["reject", "rejected", "refuse", "refused", "deny", "denied", "no", "n", "false", "decline", "declined"]
)


class InvalidAnswer(ValueError):
    """The answer is invalid; the message says what is valid."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the person decided. `amount` is None unless they changed it."""

    decision: Literal["approve", "reject"]
    amount: Decimal | None = None
    message: str = ""


def request(args: dict[str, str], why: str, problem: str = "") -> dict[str, Any]:
    """The value of the interrupt. `problem` says why the last answer was rejected."""
    description = (
        f"Refund {args['amount']} {args['currency']} for order {args['order_id']} ({args['item']}).\n"
        f"Reason given: {args['reason']}\nWhy a person must decide: {why}."
    )
    if problem:
        description = f"The last answer was rejected: {problem}\n\n{description}"
    return {
        "action_requests": [{"name": ACTION, "args": args, "description": description}],
        "review_configs": [{"action_name": ACTION, "allowed_decisions": ["approve", "edit", "reject"]}],
    }


def parse_answer(value: object, most: Decimal) -> Answer:
    """Parses an answer. An edited amount is at most `most`. Raises `InvalidAnswer`.

    Valid: {"decisions": [{"type": "approve"}]}, the single decision itself, a list with it, "approve" or "reject", true
    or false. An edit carries the new amount as {"edited_action": {"args": {"amount": …}}}, {"args": {"amount": …}} or
    {"amount": …}.
    """
    value = _single(value)
    if isinstance(value, bool):
        return Answer("approve" if value else "reject")
    if isinstance(value, str):
        return Answer(_decision(value))
    if not isinstance(value, dict):
        raise InvalidAnswer(f"{_short(value)} is not a decision; answer approve, reject or edit")
    kind = value.get("type", value.get("decision", value.get("action")))
    if not isinstance(kind, str):
        raise InvalidAnswer(
            'it has no "type"; answer {"type": "approve"}, {"type": "reject"} or {"type": "edit", "amount": …}'
        )
    message = str(value.get("message") or value.get("reason") or "")
    if kind.strip().lower() in ("edit", "edited"):
        return Answer("approve", _edited(value, most), message)
    return Answer(_decision(kind), None, message)


def _single(value: object) -> object:
    """Removes the lists and objects that clients put around a decision."""
    for _ in range(3):
        if isinstance(value, dict) and "decisions" in value:
            value = value["decisions"]
        elif isinstance(value, list):
            if len(value) != 1:
                raise InvalidAnswer(f"one decision is expected, not {len(value)}")
            value = value[0]
    return value


def _decision(text: str) -> Literal["approve", "reject"]:
    plain = text.strip().strip(".!").lower()
    if plain in _YES:
        return "approve"
    if plain in _NO:
        return "reject"
    raise InvalidAnswer(f"{_short(text)} is not a decision; answer approve, reject or edit")


def _edited(value: dict[str, Any], most: Decimal) -> Decimal:
    action = value.get("edited_action", value)
    args = action.get("args", action) if isinstance(action, dict) else {}
    if not isinstance(args, dict) or "amount" not in args:
        raise InvalidAnswer("an edit needs the new amount")
    try:
        amount = parse_amount(args["amount"], "amount")
    except ValueError as error:
        raise InvalidAnswer(str(error)) from None
    if amount > most:
        raise InvalidAnswer(f"at most {format_amount(most)} can be refunded, not {format_amount(amount)}")
    return amount


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
