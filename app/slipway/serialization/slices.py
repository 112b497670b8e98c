"""Encodes large values in slices, between which the event loop continues with the work of other runs and requests.

orjson and ormsgpack hold the interpreter lock until they return, so a thread would not help. Instead, the members of a
large container are encoded a few at a time. The joined slices are the same bytes as the value encoded at once.

Between two slices, other code may change the value. So only the caller knows whether slices are allowed: nothing else
may use the value meanwhile (ARCHITECTURE.md, "Large values are encoded while no node runs").
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any, Final, Protocol

from slipway.serialization.turns import Turn

LARGE_BYTES: Final = 256 * 1024
"""The estimated size from which a value is encoded in slices."""
SLICE_BYTES: Final = 64 * 1024
"""About the size of a slice. A text is never divided."""

_SAMPLES: Final = 3
"""How many members of a container are looked at to estimate its size."""
_FEW_MEMBERS: Final = 64
"""In a container with at most so many members, each is estimated: a state usually has one large channel."""
_DEEPEST: Final = 6
"""Levels of containers that are estimated and divided."""
_SCALAR_BYTES: Final = 6
_SCALARS: Final = frozenset({int, float, bool, type(None)})


class Format(Protocol):
    """A format in which the members of a container follow each other."""

    lists: Collection[type]
    """The types that are encoded as lists."""
    between: bytes
    """What separates two members."""

    def encoded(self, value: Any) -> bytes:
        """The value, encoded at once."""
        ...

    def opening(self, container: Any) -> bytes:
        """What precedes the members."""
        ...

    def closing(self, container: Any) -> bytes:
        """What follows the members."""
        ...

    def key(self, key: str) -> bytes:
        """A key with what separates it from its value."""
        ...


async def in_turns(slices: Iterator[bytes]) -> bytes:
    """Joins the slices. The event loop continues between turns."""
    parts, turn = [], Turn()
    for part in slices:
        parts.append(part)
        if turn.is_over:
            await turn.pause()
    return b"".join(parts)


def is_large(value: Any) -> bool:
    """Whether the value should be encoded in slices. Estimated from samples, in a few microseconds."""
    return type(value) not in _SCALARS and _estimated_bytes(value, _DEEPEST) >= LARGE_BYTES


def _estimated_bytes(value: Any, levels: int) -> float:
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value)
    if kind in _SCALARS or not levels:
        return _SCALAR_BYTES
    if kind is dict:
        members = value.values()
    elif kind is list or kind is tuple:
        members = value
    elif (members := _attributes(value)) is None:
        return _SCALAR_BYTES
    size = len(members)
    if not size:
        return _SCALAR_BYTES
    if size <= _SAMPLES:
        samples: Collection[Any] = members
    elif kind is list:
        samples = members[:: size // _SAMPLES][:_SAMPLES]
    else:
        samples = list(islice(members, _FEW_MEMBERS if size <= _FEW_MEMBERS else _SAMPLES))
    sampled = 0.0
    for each in samples:
        sampled += _estimated_bytes(each, levels - 1)
    return _SCALAR_BYTES * size + sampled * size / len(samples)


def _attributes(value: Any) -> Collection[Any] | None:
    """The attributes of an object whose class stores them in a dictionary, and what a `Send` has; None for any other
    value."""
    if _is_send(type(value)):
        return (value.arg,)
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return attributes.values() if type(attributes) is dict else None


def _is_send(kind: type) -> bool:
    """Whether it is LangGraph's `Send`. Importing LangGraph takes a second, so it is only looked for."""
    langgraph_types = sys.modules.get("langgraph.types")
    return langgraph_types is not None and kind is langgraph_types.Send


def slices_of(value: Any, format_: Format, levels: int = _DEEPEST) -> Iterator[bytes]:
    """Yields the parts of the encoded value."""
    kind = type(value)
    if levels and value and kind is dict and _has_plain_keys(value):
        yield format_.opening(value)
        members = value.copy()
        yield from (_few if len(members) <= _FEW_MEMBERS else _many)(members.items(), dict, format_, levels)
        yield format_.closing(value)
    elif levels and value and kind in format_.lists:
        yield format_.opening(value)
        members = list(value)
        yield from (_few if len(members) <= _FEW_MEMBERS else _many)(members, list, format_, levels)
        yield format_.closing(value)
    else:
        yield format_.encoded(value)


def _has_plain_keys(value: dict[Any, Any]) -> bool:
    """Whether each key is a text that every format encodes alone as it does inside a dictionary."""
    return all(type(key) is str and key.isascii() for key in value)


def _few(members: Collection[Any], gather: type, format_: Format, levels: int) -> Iterator[bytes]:
    """The members, of which large ones are divided and the others are encoded together. Those of a dictionary are pairs
    of key and value."""
    small: list[Any] = []
    separator = b""
    for member in members:
        key, value = member if gather is dict else (None, member)
        if not is_large(value):
            small.append(member)
            continue
        if small:
            yield separator + _inner(gather(small), format_)
            small, separator = [], format_.between
        yield separator if key is None else separator + format_.key(key)
        yield from slices_of(value, format_, levels - 1)
        separator = format_.between
    if small:
        yield separator + _inner(gather(small), format_)


def _many(members: Collection[Any], gather: type, format_: Format, levels: int) -> Iterator[bytes]:
    """The members in groups of about `SLICE_BYTES`."""
    remaining, count, separator = iter(members), 1, b""
    while group := gather(islice(remaining, count)):
        part = _inner(group, format_)
        yield separator + part
        separator, count = format_.between, max(1, min(2 * count, SLICE_BYTES * count // max(1, len(part))))


def _inner(container: Any, format_: Format) -> bytes:
    """The encoded members of a container, without what precedes and follows them."""
    encoded = format_.encoded(container)
    return encoded[len(format_.opening(container)) : len(encoded) - len(format_.closing(container))]
