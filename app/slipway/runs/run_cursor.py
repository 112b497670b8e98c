"""The cursor with which a client continues a list of runs: a position, and a digest of each condition of the search. A
cursor that is used with other conditions would silently omit runs or repeat them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from slipway.runs.run_position import RunPosition

_TIME_BYTES: Final = 8
_POSITION_BYTES: Final = _TIME_BYTES + 16
_DIGEST_BYTES: Final = 3
"""A multiple of 3, as is the length of a position: then Base64 needs no padding."""

Conditions = Mapping[str, object]
"""The name and the value of each condition, and of the order. All searches have the same names in the same order, and
the representations of equal values are equal."""


class OtherConditions(ValueError):
    """The cursor belongs to a search with another value of the condition `name`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def cursor_of(position: RunPosition, conditions: Conditions) -> str:
    """The position as a text for clients, who must not interpret it."""
    packed = position.created_us.to_bytes(_TIME_BYTES, "big", signed=True) + UUID(position.run_id).bytes
    return base64.urlsafe_b64encode(packed + b"".join(map(_digest, conditions.values()))).decode()


def position_of(cursor: str, conditions: Conditions) -> RunPosition:
    """Raises `OtherConditions`, and `ValueError` for a text that `cursor_of` has not returned."""
    try:
        packed = base64.b64decode(cursor, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(cursor) from None
    if len(packed) != _POSITION_BYTES + _DIGEST_BYTES * len(conditions):
        raise ValueError(cursor)
    for number, (name, value) in enumerate(conditions.items()):
        at = _POSITION_BYTES + _DIGEST_BYTES * number
        if packed[at : at + _DIGEST_BYTES] != _digest(value):
            raise OtherConditions(name)
    run_id = str(UUID(bytes=packed[_TIME_BYTES:_POSITION_BYTES]))
    return RunPosition(int.from_bytes(packed[:_TIME_BYTES], "big", signed=True), run_id)


def _digest(value: object) -> bytes:
    text = repr(value).encode("utf-8", "surrogatepass")
    return hashlib.sha1(text, usedforsecurity=False).digest()[:_DIGEST_BYTES]
