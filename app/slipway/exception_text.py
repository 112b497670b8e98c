"""Texts of exceptions and values that come from a graph's code. No function here raises, whatever that code does.

An exception may be hostile: its `__str__`, `__repr__` or `__class__` raises, its metaclass returns a wrong name, or its
message has a gigabyte. So classes are compared with `type()`, and not with attributes of the object. Names are read
without calling metaclasses. Every text is cut to a length that fits into a record. An exception that is raised while
another one is described is discarded, including `SystemExit`.

An exception of a provider's package may quote its API key: a key that ends with a line break is in the message of the
exception that says so. So secrets are replaced in every text (`slipway.redaction`).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

from slipway.redaction.known_secrets import remember_environment
from slipway.redaction.redact import redact_message

LONGEST_TEXT: Final = 8192
"""The most characters of a message or a representation. The rest is cut."""

LONGEST_TRACEBACK: Final = 32_768
"""The most characters of a traceback. A longer traceback is logged without causes, and its message is cut."""

_LONGEST_CHAIN: Final = 20
"""The most causes of an exception in a traceback. If it has more causes, none is included."""

_FRAMES: Final = 60
"""The most frames in a traceback."""

_name_of: Final = type.__dict__["__name__"].__get__
_traceback_of: Final = BaseException.__dict__["__traceback__"].__get__
_cause_of: Final = BaseException.__dict__["__cause__"].__get__
_context_of: Final = BaseException.__dict__["__context__"].__get__


def is_a(error: object, kinds: type | tuple[type, ...]) -> bool:
    """`isinstance`, without evaluating the `__class__` of the object."""
    return issubclass(type(error), kinds)


def class_name(value: object) -> str:
    return _plain(_name_of(type(value)))


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """The exception, then what caused it (`raise … from`), at most `_LONGEST_CHAIN`."""
    cause: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if cause is None:
            return
        yield cause
        cause = _cause_of(cause)


def message_of(error: BaseException) -> str:
    """The message of an exception, or the name of its class if the message is empty."""
    return _describe_safely(str, error) or class_name(error)


def repr_of(value: object) -> str:
    """`repr(value)`, at most `LONGEST_TEXT` characters."""
    return _describe_safely(repr, value) or f"<{class_name(value)}>"


def traceback_of(error: BaseException) -> str:
    """The traceback for the log, as several lines: where the exception was raised, its causes, and its message."""
    raised: TracebackType | None = _traceback_of(error)
    try:
        text = "".join(
            traceback.format_exception(type(error), error, raised, -_FRAMES, chain=_has_short_chain(error))
        ).rstrip("\n")
    except BaseException:
        text = ""
    if not text or len(text) > LONGEST_TRACEBACK:
        text = "".join([*traceback.format_tb(raised, -_FRAMES), f"{class_name(error)}: {message_of(error)}"])
    return _without_secrets(text)


def exception_being_handled(error: BaseException, folder: str) -> BaseException | None:
    """The exception that code in `folder` was handling when it raised `error` unintentionally. None if it handled none,
    or if `error` was raised intentionally (`raise … from`)."""
    caught: BaseException | None = _context_of(error)
    if caught is None or _cause_of(error) is not None:
        return None
    where: TracebackType | None = _traceback_of(caught)
    if where is None or not where.tb_frame.f_code.co_filename.startswith(folder):
        return None
    frames = (frame for frame, _ in traceback.walk_tb(_traceback_of(error)))
    return caught if any(frame is where.tb_frame for frame in frames) else None


def _describe_safely(describe: Callable[[Any], str], value: object) -> str:
    try:
        return _without_secrets(_bounded(_plain(describe(value))))
    except BaseException as error:
        return f"<{class_name(value)}: its {describe.__name__}() raises {class_name(error)}>"


def _without_secrets(text: str) -> str:
    """The text without secrets, also those that the project's code has put into the environment since the start."""
    remember_environment()
    return redact_message(text)


def _bounded(text: str) -> str:
    more = len(text) - LONGEST_TEXT
    return text if more <= 0 else f"{text[:LONGEST_TEXT]}… ({more} more characters)"


def _plain(text: str) -> str:
    """Converts a subclass of `str`, whose methods may be hostile, to `str`."""
    return str.__str__(text)


def _has_short_chain(error: BaseException) -> bool:
    """Whether the exception has at most `_LONGEST_CHAIN` causes."""
    following: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if following is None:
            return True
        following = _cause_of(following) or _context_of(following)
    return False
