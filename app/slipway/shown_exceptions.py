"""The text of a graph's exceptions that clients receive: the message, if the class is written for people to read; for
all other classes one fixed sentence, because the message may contain addresses and passwords."""

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
    """The message of an exception if clients may receive it, else the fixed sentence."""
    return message_of(error) if is_a(error, SHOWN) else HIDDEN


def public_repr(error: BaseException) -> str:
    """`repr` for states and streams, with the fixed sentence if clients may not receive the message."""
    return repr_of(error) if is_a(error, SHOWN) else f"{class_name(error)}({HIDDEN!r})"
