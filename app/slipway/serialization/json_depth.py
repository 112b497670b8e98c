"""How deeply a JSON value is nested, without a walk through it."""

from __future__ import annotations

from typing import Any, Final

import orjson

_ORJSON_LEVELS: Final = 254
"""The levels of nesting that orjson encodes."""


def exceeds_depth(raw: bytes, value: Any, levels: int) -> bool:
    """Whether a value that was parsed from `raw` is nested deeper than `levels`. orjson counts the levels while it
    encodes the value: a walk through the values would block the event loop for seconds."""
    if raw.count(b"[") + raw.count(b"{") <= levels:
        return False
    for _ in range(_ORJSON_LEVELS - levels):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError:  # orjson encodes everything else that it has parsed
        return True
    return False
