"""The cursor of a page: the position where a list continues, as a text for clients, who must not interpret it."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

import orjson

from slipway.errors import InvalidRequest
from slipway.indexes.scripts import Position

_SCORE: Final = re.compile(r"[0-9]{1,17}")


def cursor_of(position: Position, digest: str) -> str:
    """`digest` is that of the conditions of the list."""
    return base64.urlsafe_b64encode(orjson.dumps([position.score, position.record_id, digest])).decode()


def position_in(cursor: str, digest: str) -> Position:
    """Raises `InvalidRequest` for a text that is no cursor, and for the cursor of a list with other conditions."""
    try:
        parts: Any = orjson.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        score, record_id, of = parts
        if not _SCORE.fullmatch(score):
            raise ValueError(score)
    except (binascii.Error, ValueError, TypeError):
        raise InvalidRequest("cursor", "is not the member `next` of a page") from None
    if of != digest or not isinstance(record_id, str):
        raise InvalidRequest("cursor", "belongs to a list with other conditions; a page continues the same list")
    return Position(score, record_id)
