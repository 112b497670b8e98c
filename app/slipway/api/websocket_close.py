"""How a WebSocket is closed with the HTTP status of an error."""

from __future__ import annotations

from typing import Final

CLOSED_BY_STATUS: Final = 4000
"""A rejected WebSocket is closed with the code 4000 plus the HTTP status."""
_REASON_BYTES: Final = 123
"""The longest reason that a close frame can carry (RFC 6455, 5.5). A longer one would make the frame invalid, and the
client would receive no code."""


def close_reason(text: str) -> str:
    """`text`, truncated to the size of a close frame."""
    return text.encode("utf-8", "replace")[:_REASON_BYTES].decode("utf-8", "ignore")
