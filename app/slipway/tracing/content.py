"""Inputs and outputs as attributes of spans: only where `SLIPWAY_TRACE_CONTENT` is on."""

from __future__ import annotations

from typing import Final

from slipway.exception_text import class_name
from slipway.redaction.trace_contents import redact_trace_content
from slipway.serialization.json_encoding import dumps
from slipway.serialization.slices import is_large

LONGEST_CONTENT: Final = 8 * 1024
"""Bytes of one input or output."""
_ELLIPSIS: Final = "…"


def content_of(value: object) -> str:
    """JSON of the value, without secrets and without what looks like one, shortened to `LONGEST_CONTENT`. Of a large
    value only its class: to encode it would hold up the event loop. Never raises."""
    try:
        if is_large(value):
            return f"<large {class_name(value)}>"
        text = redact_trace_content(dumps(value)).decode()
    except Exception:
        return f"<{class_name(value)}>"
    encoded = text.encode()
    if len(encoded) <= LONGEST_CONTENT:
        return text
    return encoded[: LONGEST_CONTENT - len(_ELLIPSIS.encode())].decode(errors="ignore") + _ELLIPSIS
