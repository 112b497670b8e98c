"""How a span names the exception that ended it."""

from __future__ import annotations

import asyncio
from typing import cast

from slipway.errors import CeilingHit, SlipwayError
from slipway.exception_text import class_name, is_a

CANCELLED = "cancelled"


def error_of(error: BaseException) -> str:
    """The stable code of an error of Slipway, `cancelled`, or the class of the exception. Never its message, which may
    quote what users have put in."""
    if is_a(error, (asyncio.CancelledError, GeneratorExit)):
        return CANCELLED
    if is_a(error, CeilingHit):
        return cast(CeilingHit, error).full_code
    return cast(SlipwayError, error).code if is_a(error, SlipwayError) else class_name(error)
