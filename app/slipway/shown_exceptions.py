"""The text that clients receive of an exception of a graph. It is the message, if messages of that class are written
for people. For all other classes it is a fixed sentence, because the message may contain addresses and passwords.
`SystemExit` has a sentence of its own, because the author of the graph must know why the process did not end."""

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
EXITED: Final = "The graph called sys.exit(), which fails only its run. Raise an exception that says why instead."


def public_text(error: BaseException) -> str:
    """The message of an exception if clients may receive it, else a fixed sentence."""
    if is_a(error, SystemExit):
        return EXITED
    return message_of(error) if is_a(error, SHOWN) else HIDDEN


def public_repr(error: BaseException) -> str:
    """The `repr` for states and streams. It contains a fixed sentence if clients may not receive the message."""
    return repr_of(error) if is_a(error, SHOWN) else f"{class_name(error)}({public_text(error)!r})"
