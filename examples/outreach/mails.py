"""Recipients and mails: reading the list, and writing one mail for each segment of it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final, NotRequired

from typing_extensions import TypedDict

MOST_RECIPIENTS: Final = 5000


class Recipient(TypedDict):
    """A person on the list. All recipients without a segment get the same mail."""

    email: str
    name: NotRequired[str]
    segment: NotRequired[str]


class Mail(TypedDict):
    """One mail to all recipients of a segment."""

    segment: str
    to: list[str]
    subject: str
    body: str


def segments_of(recipients: object) -> dict[str, list[str]]:
    """The addresses of each segment, each address once, in the order of the list. Raises ValueError, which names the
    field."""
    if not isinstance(recipients, list) or not recipients:
        raise ValueError("recipients: a list of objects with email is required")
    if len(recipients) > MOST_RECIPIENTS:
        raise ValueError(f"recipients: at most {MOST_RECIPIENTS} are possible, not {len(recipients)}")
    segments: dict[str, dict[str, None]] = defaultdict(dict)
    for position, recipient in enumerate(recipients):
        address, segment = _parse(recipient, f"recipients[{position}]")
        segments[segment][address] = None
    return {segment: list(addresses) for segment, addresses in segments.items()}


def _parse(recipient: Any, field: str) -> tuple[str, str]:
    address = recipient.get("email") if isinstance(recipient, dict) else None
    if not isinstance(address, str) or address.count("@") != 1 or any(map(str.isspace, address)):
        raise ValueError(f"{field}.email: an address such as ann@example.org is expected, not {str(address)[:60]!r}")
    return address.lower(), str(recipient.get("segment") or "everybody")


def draft(topic: str, segment: str, addresses: list[str]) -> Mail:
    """The mail to a segment, without a model: a subject and a short text."""
    subject = topic if segment == "everybody" else f"{topic} ({segment})"
    why = f"We write to you because you are on our list for {segment}. Reply to this mail to leave it."
    body = f"Hello,\n\n{topic}.\n\n{why}"
    return {"segment": segment, "to": addresses, "subject": subject[:200], "body": body}
