"""Encodes any value of a graph as JSON, for states, events and results that clients receive.

`dumps` never raises: a state that clients cannot read would hide what went wrong in it. A value that JSON has no type
for is converted to the nearest type: models and messages to objects, sets to lists, times to ISO 8601, timedelta to
seconds, Decimal to a number, bytes to base64, exceptions to their `repr`, NaN and infinity to null, and any other
object to its `str`. NUL characters and lone surrogates, which many clients and databases reject, become U+FFFD.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import re
from collections import deque
from collections.abc import Collection, Mapping
from datetime import timedelta, timezone
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
from pydantic import BaseModel

from slipway.exception_text import class_name, repr_of
from slipway.serialization.slices import in_turns, is_large, slices_of

DEEPEST: Final = 200
"""Levels of nesting that are encoded. orjson itself allows 254."""

_OPTIONS: Final = orjson.OPT_NON_STR_KEYS
_NUL: Final = rb"\u0000"
_LONE_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def dumps(value: Any) -> bytes:
    """`value` as compact JSON."""
    encoded = _with_nul(value)
    return _LONE_NUL.sub(rb"\1\\ufffd", encoded) if _NUL in encoded else encoded


def has_nul(value: Any) -> bool:
    """Whether a text or a name inside the value contains a NUL character, which `dumps` would replace."""
    encoded = _with_nul(value)
    return _NUL in encoded and _LONE_NUL.search(encoded) is not None


def _with_nul(value: Any) -> bytes:
    try:
        return orjson.dumps(value, _default, _OPTIONS)
    except BaseException:  # methods of the project's classes may raise anything, also `SystemExit`
        return orjson.dumps(_plain(value, 0), option=_OPTIONS)


async def dumps_in_turns(value: Any) -> bytes:
    """The same bytes as `dumps`. A large value is encoded in slices, between which the event loop continues. Nothing
    else may change the value meanwhile."""
    return await in_turns(slices_of(value, JSON)) if is_large(value) else dumps(value)


class _Json:
    """JSON, for `slices_of`."""

    lists: Collection[type] = frozenset({list, tuple})
    between = b","

    def encoded(self, value: Any) -> bytes:
        return dumps(value)

    def opening(self, container: Any) -> bytes:
        return b"{" if type(container) is dict else b"["

    def closing(self, container: Any) -> bytes:
        return b"}" if type(container) is dict else b"]"

    def key(self, key: str) -> bytes:
        return dumps(key) + b":"


JSON: Final = _Json()


def clean(text: str) -> str:
    """Replaces lone surrogates."""
    return _SURROGATES.sub("\ufffd", text)


def _default(value: Any) -> Any:
    """Converts a value that orjson does not support by one step. orjson calls this again for the parts of the
    result."""
    match value:
        case BaseModel():
            return value.model_dump(warnings=False, serialize_as_any=True)
        case set() | frozenset() | deque():
            return list(value)
        case Decimal():
            return _number(value)
        case timedelta():
            return value.total_seconds()
        case timezone() | ZoneInfo():
            return str(value)
        case PurePath():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode()
        case BaseException():
            return repr_of(value)
        case tuple() if hasattr(value, "_asdict"):
            return value._asdict()
        case tuple():
            return list(value)
        case int():
            return orjson.Fragment(str(int(value)).encode())
        case float():
            return float(value)
        case re.Pattern():
            return value.pattern
        case type():
            return f"{value.__module__}.{value.__qualname__}"
        case Mapping():
            return dict(value)
    return _by_its_own_method(value)


def _by_its_own_method(value: Any) -> Any:
    for name in ("model_dump", "dict", "tolist", "isoformat"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    slots = getattr(type(value), "__slots__", None)
    if type(value).__module__.startswith("langgraph.") and slots:
        return {name: getattr(value, name) for name in slots}
    return str(value)


def _number(value: Decimal) -> int | float | None:
    if not value.is_finite():
        return None
    return int(value) if value == value.to_integral_value() and abs(value) < 2**63 else float(value)


def _plain(value: Any, depth: int) -> Any:
    """Rebuilds the value from plain types; slow, used when orjson fails. A part that cannot be converted becomes
    text."""
    if depth > DEEPEST:
        return "…"
    try:
        return _rebuilt(value, depth)
    except BaseException:
        return _as_text(value)


def _rebuilt(value: Any, depth: int) -> Any:
    match value:
        case None | bool():
            return value
        case enum.Enum():
            return _plain(value.value, depth + 1)
        case str():
            return clean(str(value))
        case int():
            return int(value) if -(2**63) <= value < 2**64 else orjson.Fragment(str(int(value)).encode())
        case float():
            return float(value)
        case Mapping():
            return {_key(key): _plain(item, depth + 1) for key, item in value.items()}
        case list() | set() | frozenset() | deque():
            return [_plain(item, depth + 1) for item in value]
        case tuple() if not hasattr(value, "_asdict"):
            return [_plain(item, depth + 1) for item in value]
        case orjson.Fragment():
            return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name, None), depth + 1) for field in dataclasses.fields(value)}
    return _plain(_step(value), depth + 1)


def _step(value: Any) -> Any:
    """Converts a scalar as orjson does (dates, UUIDs), or any other value by one step."""
    try:
        return orjson.loads(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))
    except TypeError:
        return _default(value)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return clean(str(key.value if isinstance(key, enum.Enum) else key))
    try:
        ((name, _),) = orjson.loads(orjson.dumps({key: 0}, option=_OPTIONS)).items()
    except (TypeError, ValueError):
        return str(_as_text(key))
    return str(name)


def _as_text(value: Any) -> str:
    try:
        return clean(str.__str__(str(value)))
    except BaseException:
        return clean(f"<{class_name(value)}>")


def json_members(members: dict[str, Any]) -> dict[str, str]:
    """Encodes each member separately, for records that are merged member by member."""
    return {name: dumps(value).decode() for name, value in members.items()}
