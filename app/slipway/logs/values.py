"""Values of log lines: nothing that code passes to a log call makes a line too long, or raises."""

from __future__ import annotations

import threading
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from slipway.exception_text import class_name, is_a, repr_of
from slipway.redaction.redact import redact_message

LONGEST_TEXT: Final = 8192
"""The most characters of a value. The rest is cut."""

LONGEST_LINE: Final = 65_536
"""The most characters of all values of a line together."""

_MOST_ITEMS: Final = 100
"""The most items of a list or an object."""

_DEEPEST: Final = 6
"""The most levels of lists and objects in each other."""

_LARGEST_NUMBER: Final = 2**63
_AS_TEXT: Final = (date, time, timedelta, UUID, PurePath, Decimal)
"""Classes whose `str` is the value."""


class _Describing(threading.local):
    """Whether this thread calls the `repr` of a value, which may log as well."""

    now = False


_DESCRIBING: Final = _Describing()


class Values:
    """The values of one line."""

    __slots__ = ("_left", "are_cut")

    def __init__(self) -> None:
        self._left = LONGEST_LINE
        self.are_cut = False
        """Whether something was left out."""

    def of(self, value: object, depth: int = 0) -> Any:  # what JSON has types for
        """The value, converted to what JSON has types for, and cut."""
        kind = type(value)
        if kind is str:
            return self.text(value)  # type: ignore[arg-type]  # `kind` says it
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            return value if -_LARGEST_NUMBER < value < _LARGEST_NUMBER else self.text(hex(value))  # type: ignore[operator, arg-type]
        if kind in (dict, list, tuple, set, frozenset):
            return self._container(value, depth)
        return self.text(_described(value))

    def text(self, text: str, most: int = LONGEST_TEXT) -> str:
        """The text, cut to `most` characters and to what is left of the line."""
        length = len(text)
        if length <= most and length <= self._left:
            self._left -= length
            return text
        most = min(most, self._left)
        self.are_cut = True
        self._left -= most
        # a secret that the cut would split is replaced first
        return f"{redact_message(text[: 2 * most + LONGEST_TEXT])[:most]}… ({length - most} more characters)"

    def _container(self, value: Any, depth: int) -> Any:
        if depth == _DEEPEST or self._left <= 0:
            self.are_cut = True
            return f"<{class_name(value)} with {len(value)} items>"
        left_out = len(value) - _MOST_ITEMS
        if left_out > 0:
            self.are_cut = True
        if type(value) is dict:
            shown = {
                self.text(name if type(name) is str else _described(name), 256): self.of(each, depth + 1)
                for _, (name, each) in zip(range(_MOST_ITEMS), value.items(), strict=False)
            }
            return shown | {"…": f"{left_out} more"} if left_out > 0 else shown
        items = [self.of(each, depth + 1) for _, each in zip(range(_MOST_ITEMS), value, strict=False)]
        return [*items, f"… {left_out} more"] if left_out > 0 else items


def _described(value: object) -> str:
    """A text for an object of any class. Never raises."""
    if is_a(value, str):
        return str.__str__(value)
    if is_a(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "backslashreplace")  # type: ignore[call-overload, no-any-return]
    if is_a(value, bool):
        return "true" if value else "false"
    if is_a(value, int):
        return hex(int.__int__(value))  # type: ignore[arg-type]
    if type(value) in _AS_TEXT:
        return str(value)
    if _DESCRIBING.now:  # the `repr` of another value logs this one: it could be the same
        return f"<{class_name(value)}>"
    _DESCRIBING.now = True
    try:
        return repr_of(value)
    finally:
        _DESCRIBING.now = False
