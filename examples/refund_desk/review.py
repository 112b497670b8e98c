"""The interrupt that a person answers, in the format of approval cards, and the parser of the answer."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from examples.refund_desk.orders import money, written

ACTION: Final = "issue_refund"
_YES: Final = frozenset(
    ["approve", "approved", "accept", "accepted", "yes", "y", "ok", "okay", "true", "confirm", "confirmed"]
)
_NO: Final = frozenset(
    ["reject", "rejected", "refuse", "refused", "deny", "denied", "no", "n", "false", "decline", "declined"]
)


class Garbled(ValueError):
    """The answer is invalid; the message says what is valid."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the person decided. `amount` is None unless they changed it."""

    decision: Literal["approve", "reject"]
    amount: Decimal | None = None
    message: str = ""


def request(args: dict[str, str], why: str, problem: str = "") -> dict[str, Any]:
    """The interrupt's value. `problem` says why the answer before was not taken."""
    description = (
        f"Refund {args['amount']} {args['currency']} for order {args['order_id']} ({args['item']}).\n"
        f"Reason given: {args['reason']}\nWhy you are asked: {why}."
    )
    if problem:
        description = f"The last answer was not taken: {problem}\n\n{description}"
    return {
        "action_requests": [{"name": ACTION, "args": args, "description": description}],
        "review_configs": [{"action_name": ACTION, "allowed_decisions": ["approve", "edit", "reject"]}],
    }


def understood(value: object, most: Decimal) -> Answer:
    """The decision in a resume value; at most `most` may be paid. Raises `Garbled`.

    Taken: {"decisions": [{"type": "approve"}]}, the single decision itself, a list with it, "approve" or "reject", true
    or false. An edit carries the new amount as {"edited_action": {"args": {"amount": …}}}, {"args": {"amount": …}} or
    {"amount": …}.
    """
    value = _single(value)
    if isinstance(value, bool):
        return Answer("approve" if value else "reject")
    if isinstance(value, str):
        return Answer(_decision(value))
    if not isinstance(value, dict):
        raise Garbled(f"{_short(value)} is no decision; answer approve, reject or edit")
    kind = value.get("type", value.get("decision", value.get("action")))
    if not isinstance(kind, str):
        raise Garbled(
            'it has no "type"; answer {"type": "approve"}, {"type": "reject"} or {"type": "edit", "amount": …}'
        )
    message = str(value.get("message") or value.get("reason") or "")
    if kind.strip().lower() in ("edit", "edited"):
        return Answer("approve", _edited(value, most), message)
    return Answer(_decision(kind), None, message)


def _single(value: object) -> object:
    """The one decision inside the wrappings that clients use."""
    for _ in range(3):
        if isinstance(value, dict) and "decisions" in value:
            value = value["decisions"]
        elif isinstance(value, list):
            if len(value) != 1:
                raise Garbled(f"one decision is expected, not {len(value)}")
            value = value[0]
    return value


def _decision(word: str) -> Literal["approve", "reject"]:
    plain = word.strip().strip(".!").lower()
    if plain in _YES:
        return "approve"
    if plain in _NO:
        return "reject"
    raise Garbled(f"{_short(word)} is no decision; answer approve, reject or edit")


def _edited(value: dict[str, Any], most: Decimal) -> Decimal:
    action = value.get("edited_action", value)
    args = action.get("args", action) if isinstance(action, dict) else {}
    if not isinstance(args, dict) or "amount" not in args:
        raise Garbled("an edit needs the new amount")
    try:
        amount = money(args["amount"], "amount")
    except ValueError as error:
        raise Garbled(str(error)) from None
    if amount > most:
        raise Garbled(f"at most {written(most)} can be refunded, not {written(amount)}")
    return amount


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
