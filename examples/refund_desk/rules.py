"""The refund policy: whether money may go back, and how much."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from examples.refund_desk.orders import Order, format_amount

WINDOW_DAYS: Final = 30
WARRANTY_DAYS: Final = 36 * 30
REVIEW_ABOVE: Final = Decimal("200.00")
"""A person must approve a refund above this amount, in the currency of the order."""
_FAULTY: Final = re.compile(
    r"\b(?:fault|faulty|broken?|broke|defect\w*|damaged|dead|doesn['’]?t work|does not work|not working"
    r"|cracked|kaputt|defekt)\b",
    re.IGNORECASE,
)

Outcome = Literal["approve", "refuse"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of the policy, with the reason as a sentence for the customer."""

    outcome: Outcome
    amount: Decimal
    why: str


def apply_policy(order: Order, reason: str, requested: Decimal | None) -> Verdict:
    """Applies the policy to a refund of `requested`, or of the whole remaining amount when it is None."""
    remaining = Decimal(order["total"]) - Decimal(order.get("refunded", "0.00"))
    days = order.get("delivered_days_ago", 0)
    faulty = bool(_FAULTY.search(reason))
    currency = order.get("currency", "EUR")
    if remaining <= 0:
        return Verdict("refuse", Decimal(0), "the order has been refunded in full already")
    amount = remaining if requested is None else requested
    if amount > remaining:
        return Verdict(
            "refuse",
            Decimal(0),
            f"{format_amount(amount)} {currency} is more than the remaining {format_amount(remaining)} {currency}",
        )
    if order.get("made_to_order") and not faulty:
        return Verdict("refuse", Decimal(0), "an item made to order can be returned only when it is faulty")
    if days > WARRANTY_DAYS or (days > WINDOW_DAYS and not faulty):
        window = f"{WINDOW_DAYS} days" if not faulty else "36 months of warranty"
        return Verdict("refuse", Decimal(0), f"it was delivered {days} days ago, and the window of {window} has closed")
    kind = (
        "it is faulty"
        if faulty and days > WINDOW_DAYS
        else f"it was delivered {days} days ago, within the {WINDOW_DAYS} days"
    )
    return Verdict("approve", amount, kind)
