"""The tool that sends mails, and the rule that says who must approve them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from langgraph.config import get_store
from typing_extensions import TypedDict

import slipway.tools

NAMESPACE: Final = ("outreach", "outbox")
MANY_RECIPIENTS: Final = 50
"""Two people must approve a mail to more recipients."""

_MESSAGES: Final = uuid.UUID("0b9d1c64-7d0e-4b0e-8e8c-6f7f6e4d6c10")


class Receipt(TypedDict):
    """What the mail service returns."""

    message_id: str
    subject: str
    recipients: int


def approval_policy(args: Mapping[str, Any]) -> str:
    """The policy of `slipway.approval_policies` for a mail."""
    return "two_people" if len(args["to"]) > MANY_RECIPIENTS else "one_person"


@slipway.tools.tool(access="write", timeout_s=30, approval=approval_policy)
async def send_mail(to: list[str], subject: str, body: str) -> Receipt:
    """Sends a mail to these addresses."""
    # the mail service of this example is an outbox in the store, which has one mail for each idempotency key
    message_id = uuid.uuid5(_MESSAGES, slipway.tools.idempotency_key()).hex
    await get_store().aput(NAMESPACE, message_id, {"to": to, "subject": subject, "body": body})
    return {"message_id": message_id, "subject": subject, "recipients": len(to)}
