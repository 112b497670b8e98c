"""What clients may read of an exception that a graph's code raised (protocol 3.7): its text, for classes that are
written for people to read; of any other one fixed sentence, for it may hold addresses and passwords."""

from __future__ import annotations

from typing import Final

from langgraph.errors import EmptyInputError, GraphBubbleUp, InvalidUpdateError, TaskNotFound

from slipway.errors import SlipwayError
from slipway.exception_text import class_name, is_a, message_of, repr_of

SHOWN: Final = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RuntimeError,
    TimeoutError,
    InvalidUpdateError,
    GraphBubbleUp,
    EmptyInputError,
    TaskNotFound,
    SlipwayError,
)
HIDDEN: Final = "An internal error occurred. The worker's log has the details."


def public_text(error: BaseException) -> str:
    """What an exception says, if clients may read it."""
    return message_of(error) if is_a(error, SHOWN) else HIDDEN


def public_repr(error: BaseException) -> str:
    """As `repr`, with `public_text`: how states and streams show what a task raised."""
    return repr_of(error) if is_a(error, SHOWN) else f"{class_name(error)}({HIDDEN!r})"
