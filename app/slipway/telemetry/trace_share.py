"""Shares of all traces, by their ids: the last digits of an id are random, and a share has those below a bound."""

from __future__ import annotations

from typing import Final

_ABOVE_ALL_DIGITS: Final = "g"
"""A text that all texts of hexadecimal digits are below."""


def bound_of(ratio: float, digits: int) -> str:
    """What the last `digits` hexadecimal digits of an id are below if the trace belongs to the share `ratio`, between 0
    and 1. They are compared as texts: digits in lower case have the order of the numbers, and nobody has to read
    these."""
    bound = round(ratio * 16**digits)
    return f"{bound:0{digits}x}" if bound < 16**digits else _ABOVE_ALL_DIGITS
