"""The types of Python's library (and numpy's arrays) that state may contain: their type numbers and encoders.

The number is stored with each value, so a number is never reused.
"""

from __future__ import annotations

import datetime as dt
import importlib
import ipaddress
import pathlib
import re
import sys
import uuid
import zoneinfo
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from langgraph.checkpoint.serde.types import _DeltaSnapshot

from slipway.errors import StateRefused, StoredDataError

TypeEncoder = tuple[int, Callable[[Any], Any]]


def _take_apart_datetime(moment: dt.datetime) -> Any:
    zone = moment.tzinfo
    if isinstance(zone, zoneinfo.ZoneInfo) and zone.key:
        return [moment.replace(tzinfo=None, fold=0).isoformat(), moment.fold, zone.key]
    return [moment.replace(fold=0).isoformat(), moment.fold]


def _datetime(parts: list[Any]) -> dt.datetime:
    moment = dt.datetime.fromisoformat(parts[0]).replace(fold=parts[1])
    return moment.replace(tzinfo=zoneinfo.ZoneInfo(parts[2])) if len(parts) > 2 else moment


def _take_apart_timezone(zone: dt.timezone) -> Any:
    offset = zone.utcoffset(None)
    named = zone.tzname(None) != dt.timezone(offset).tzname(None)
    return [offset, zone.tzname(None)] if named else [offset]


def _take_apart_zone(zone: zoneinfo.ZoneInfo) -> str:
    if not zone.key:
        raise StateRefused("it has no key, so it could not be loaded again")
    return zone.key


def _take_apart_time(time: dt.time) -> Any:
    return [time.replace(tzinfo=None, fold=0).isoformat(), time.fold, time.tzinfo]


def _time(parts: list[Any]) -> dt.time:
    return dt.time.fromisoformat(parts[0]).replace(fold=parts[1], tzinfo=parts[2])


_PATHS: Final[dict[str, type[pathlib.PurePath]]] = {
    "PurePosixPath": pathlib.PurePosixPath,
    "PureWindowsPath": pathlib.PureWindowsPath,
    "PosixPath": pathlib.Path if sys.platform != "win32" else pathlib.PurePosixPath,
    "WindowsPath": pathlib.Path if sys.platform == "win32" else pathlib.PureWindowsPath,
}
_ADDRESSES: Final = (
    ipaddress.IPv4Address,
    ipaddress.IPv4Interface,
    ipaddress.IPv4Network,
    ipaddress.IPv6Address,
    ipaddress.IPv6Interface,
    ipaddress.IPv6Network,
)


def _take_apart_array(array: Any) -> Any:
    if array.dtype.hasobject or array.dtype.fields:
        raise StateRefused(f"it is an array of {array.dtype}; only arrays of plain numbers are stored")
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    return [array.dtype.str, list(array.shape), order, array.tobytes(order=order)]


def _array(parts: list[Any]) -> Any:
    numpy = importlib.import_module("numpy")  # imported late: only projects that store arrays need it

    kind = numpy.dtype(parts[0])
    if kind.hasobject:
        raise StoredDataError("a stored array holds objects")
    return numpy.frombuffer(parts[3], dtype=kind).reshape(parts[1], order=parts[2]).copy(order=parts[2])


def _scalar(parts: list[Any]) -> Any:
    return _array(parts)[()]


_WRITERS: Final[dict[type, TypeEncoder]] = {
    tuple: (1, list),
    set: (2, list),
    frozenset: (3, list),
    deque: (4, lambda queue: [queue.maxlen, list(queue)]),
    dt.datetime: (5, _take_apart_datetime),
    dt.date: (6, dt.date.isoformat),
    dt.time: (7, _take_apart_time),
    dt.timedelta: (8, lambda span: [span.days, span.seconds, span.microseconds]),
    dt.timezone: (9, _take_apart_timezone),
    zoneinfo.ZoneInfo: (10, _take_apart_zone),
    uuid.UUID: (11, lambda value: value.bytes),
    Decimal: (12, str),
    pathlib.PurePath: (13, lambda path: [_path_kind(path), str(path)]),
    re.Pattern: (14, lambda pattern: [pattern.pattern, pattern.flags]),
    int: (15, hex),
    _DeltaSnapshot: (16, lambda snapshot: snapshot.value),
    complex: (19, lambda number: [number.real, number.imag]),
    **{kind: (20 + position, str) for position, kind in enumerate(_ADDRESSES)},
}
_ARRAY: Final = 17
_SCALAR: Final = 18

READERS: Final[dict[int, Callable[[Any], Any]]] = {
    1: tuple,
    2: set,
    3: frozenset,
    4: lambda parts: deque(parts[1], parts[0]),
    5: _datetime,
    6: dt.date.fromisoformat,
    7: _time,
    8: lambda parts: dt.timedelta(*parts),
    9: lambda parts: dt.timezone(*parts),
    10: zoneinfo.ZoneInfo,
    11: lambda raw: uuid.UUID(bytes=raw),
    12: Decimal,
    13: lambda parts: _PATHS[parts[0]](parts[1]),
    14: lambda parts: re.compile(parts[0], parts[1]),
    15: lambda text: int(text, 16),
    16: _DeltaSnapshot,
    _ARRAY: _array,
    _SCALAR: _scalar,
    19: lambda parts: complex(*parts),
    **{20 + position: kind for position, kind in enumerate(_ADDRESSES)},
}

NAMES: Final[dict[int, str]] = {
    **{writer[0]: f"{kind.__module__}.{kind.__qualname__}" for kind, writer in _WRITERS.items()},
    _ARRAY: "numpy.ndarray",
    _SCALAR: "numpy.generic",
}
"""Type number to name, for messages."""


def encoder_of(cls: type) -> TypeEncoder | None:
    """Returns the type number and the encoder of a library type, or None for any other class."""
    if cls in _WRITERS:
        return _WRITERS[cls]
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(cls, numpy.ndarray):
        return _ARRAY, _take_apart_array
    if numpy is not None and issubclass(cls, numpy.generic):
        return _SCALAR, lambda scalar: _take_apart_array(numpy.asarray(scalar))
    if issubclass(cls, tuple):
        return None if hasattr(cls, "_fields") else _WRITERS[tuple]
    bases = (dt.datetime, dt.date, dt.time, dt.timedelta, pathlib.PurePath, zoneinfo.ZoneInfo, uuid.UUID, Decimal)
    for base in (*bases, deque, set, frozenset):
        if issubclass(cls, base) and not hasattr(cls, "__members__"):
            return _WRITERS[base]
    return None


def _path_kind(path: pathlib.PurePath) -> str:
    for kind in type(path).__mro__:
        if kind.__name__ in _PATHS:
            return kind.__name__
    raise StateRefused("it is neither a POSIX path nor a Windows path")
