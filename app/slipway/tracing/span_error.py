"""How a span names the exception that ended it."""

from __future__ import annotations

import asyncio

from slipway.errors import SlipwayError
from slipway.exception_text import class_name, is_a

CANCELLED = "cancelled"


def error_of(error: BaseException) -> str:
    """The stable code of an error of Slipway, `cancelled`, or the class of the exception. Never its message, which may
    quote what users have put in."""
    if is_a(error, (asyncio.CancelledError, GeneratorExit)):
        return CANCELLED
    return error.code if isinstance(error, SlipwayError) else class_name(error)
