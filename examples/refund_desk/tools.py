"""The tool that pays refunds, and the rule that says which refunds a person must approve.

langgraph.json grants the tool to the node `issue_refund`, and says until when a person must decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from langgraph.config import get_store
from pydantic import Field

import slipway.tools
from examples.refund_desk.ledger import Entry, add_refund
from examples.refund_desk.orders import parse_amount
from examples.refund_desk.rules import REVIEW_ABOVE

Amount = Annotated[str, Field(pattern=r"^[0-9]{1,7}\.[0-9]{2}$", description="Such as 129.90")]


def needs_approval(args: Mapping[str, Any]) -> bool:
    """Whether a person must approve the refund."""
    return parse_amount(args["amount"], "amount") > REVIEW_ABOVE


@slipway.tools.tool(access="write", timeout_s=30, retries=2, approval=needs_approval)
async def issue_refund(order_id: str, item: str, amount: Amount, currency: str, reason: str, at_most: Amount) -> Entry:
    """Pays money back to the customer: with all earlier refunds of the order, at most `at_most`."""
    # the ledger has one line for each idempotency key, however often this call is executed, and compares the amount
    # again: another request for the order may have been paid while this one waited for a person
    key = slipway.tools.idempotency_key()
    return await add_refund(order_id, amount, currency, key, get_store(), at_most=Decimal(at_most))
