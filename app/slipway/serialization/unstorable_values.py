"""Builds the error for a value that cannot be stored: the path of the part, its class, and what to do instead."""

from __future__ import annotations

import functools
import io
import types
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Final

from slipway.errors import StateRefused
from slipway.serialization.data_classes import mro_of, name_of
from slipway.serialization.objects import RebuildContext, codec_of, plain_of

NO_DATA: Final = "it is not data"
"""The reason for an object whose class is not a data class."""

_DEEPEST: Final = 50
"""The most levels that are searched for the unstorable part."""

_LONGEST_NAME: Final = 100
"""The most characters of a key or field name in the message."""

_FUNCTIONS: Final = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    functools.partial,
)
_PRIMITIVES: Final = frozenset({"_thread", "threading", "asyncio", "queue", "_queue", "concurrent", "multiprocessing"})

_ELSEWHERE: Final = (
    "Keep it out of the state: store what it is created from, such as an id, a path or settings, and create it in the "
    "node that needs it"
)
_AS_DATA: Final = "or make its class a pydantic model, a dataclass, an enum or a named tuple"
_CONTAINERS: Final = (dict, list, tuple, set, frozenset, deque)


def unstorable_error(value: Any, error: StateRefused, context: RebuildContext) -> StateRefused:
    """Adds the path and class of the unstorable part of `value` to `error`."""
    try:
        path, part = _find_unstorable_part(value, context)
    except BaseException:  # code of a class failed, such as its __iter__: name the complete value instead
        path, part = "", value
    subject = f"{path} is" if path else "it is"
    if type(part) in _CONTAINERS:
        return StateRefused(f"{subject} a {type(part).__name__}: {error}")
    reason = str(error)
    described = f"{subject} {_kind(part)} ({'.'.join(name_of(type(part)))})"
    if reason != NO_DATA:
        return StateRefused(f"{described}: {reason}")
    advice = _ELSEWHERE if _is_never_data(part) else f"{_ELSEWHERE}, {_AS_DATA}"
    return StateRefused(f"{described}, which is not data. {advice}")


def _find_unstorable_part(value: Any, context: RebuildContext) -> tuple[str, Any]:
    """Returns the path and the value of the innermost part that is not storable."""
    path = ""
    for _ in range(_DEEPEST):
        unstorable = next(((step, part) for step, part in _parts(value, context) if not context.storable(part)), None)
        if unstorable is None:
            break
        path, value = path + unstorable[0], unstorable[1]
    return path.removeprefix("."), value


def _parts(value: Any, context: RebuildContext) -> Iterable[tuple[str, Any]]:
    bases = mro_of(type(value))
    if dict in bases:
        return [(_key(key), part) for key, part in dict.items(value)]
    if (codec := codec_of(type(value), context)) is not None:
        return _fields(codec[0], value)
    if any(kind in bases for kind in (list, tuple, set, frozenset, deque)):
        return [(f"[{position}]", part) for position, part in enumerate(value)]
    return []


def _fields(take_apart: Callable[[Any], Any], value: Any) -> Iterable[tuple[str, Any]]:
    try:
        fields = plain_of(take_apart(value))
    except BaseException:  # the class's own code failed: the value itself is the unstorable part
        return []
    if type(fields) is dict:
        return [(f".{_cut(name)}", part) for name, part in fields.items()]
    return [(f"[{position}]", part) for position, part in enumerate(fields)] if type(fields) is tuple else []


def _key(key: Any) -> str:
    return (
        f"[{_cut(repr(key))}]"
        if type(key) in (str, int, float, bool, bytes, type(None))
        else f"[a {type(key).__name__}]"
    )


def _cut(name: object) -> str:
    text = str(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"


def _kind(part: Any) -> str:
    bases = mro_of(type(part))
    if type in bases:
        return "a class"
    if any(base in bases for base in _FUNCTIONS):
        return "a function"
    if types.ModuleType in bases:
        return "a module"
    if issubclass(type(part), io.IOBase):
        return "an open file"
    if _is_primitive(part):
        return "a lock or a queue"
    if _is_iterator(part):
        return "an iterator, generator or coroutine"
    return "an object"


def _is_never_data(part: Any) -> bool:
    return _kind(part) != "an object"


def _is_primitive(part: Any) -> bool:
    return name_of(type(part))[0].partition(".")[0] in _PRIMITIVES


def _is_iterator(part: Any) -> bool:
    return any(issubclass(type(part), kind) for kind in (Iterator, AsyncIterator, Awaitable))
