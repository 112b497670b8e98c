"""The error reply of a script that stores nothing because Redis is short of memory."""

from __future__ import annotations

from typing import Final

from slipway.errors import Overloaded

RETRY_AFTER_S: Final = 5
"""Seconds after which clients may repeat a request that was rejected."""


def overloaded_from(error_reply: str) -> Overloaded | None:
    """The error that `OVERLOADED <used> <reserved> <mark>` means: three parts of the server's memory. None for any
    other error reply."""
    word, *parts = error_reply.split()
    if word != "OVERLOADED":
        return None
    used, reserved, mark = map(float, parts)
    return Overloaded(used, mark, RETRY_AFTER_S, reserved=reserved)
