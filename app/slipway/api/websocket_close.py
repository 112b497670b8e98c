"""How a WebSocket is closed with the HTTP status of an error."""

from __future__ import annotations

from typing import Final

CLOSED_BY_STATUS: Final = 4000
"""A WebSocket that is turned away is closed with this and the HTTP status."""
_REASON_BYTES: Final = 123
"""What the frame that closes a WebSocket has room for (RFC 6455, 5.5). A longer reason would break the connection, and
the client would get no code."""


def close_reason(text: str) -> str:
    """`text`, cut to what fits into the frame that closes a WebSocket."""
    return text.encode("utf-8", "replace")[:_REASON_BYTES].decode("utf-8", "ignore")
