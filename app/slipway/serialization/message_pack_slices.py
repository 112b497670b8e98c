"""Decodes large MessagePack values in slices, between which the event loop continues.

ormsgpack decodes a value at once and holds the interpreter lock meanwhile. Here the members of a large container are
decoded in groups of about `SLICE_BYTES`. MessagePack does not say where a container ends, and ormsgpack does not say
how many bytes it has read. So a group is encoded again, which is five times as fast as decoding: if the bytes are those
of the message, the next member begins after them. Otherwise another encoder has written the message. Then the end of
the group is found by reading the type and the size of each of its parts in Python, which is four times slower.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

import ormsgpack

from slipway.serialization.slices import LARGE_BYTES, SLICE_BYTES
from slipway.serialization.turns import Turn

MOST_PARTS: Final = 16 * 1024
"""Parts (scalars, and heads of containers) that are read at once to find the end of a group. A member with more of them
is decoded in slices itself."""
Decoding = Generator[None, None, Any]
"""Yields between slices, and returns the value."""


class DamagedMessage(Exception):
    """The bytes are not one MessagePack value, or one that cannot be divided."""


async def decoded_in_turns(data: bytes, unpack: Callable[[bytes], Any], code: int, build: Callable[[Any], Any]) -> Any:
    """The same value as `unpack(data)`. An extension with the code `code` is what `build` makes of the value that it
    contains. Raises `DamagedMessage`, or what `unpack` and `build` raise, also for bytes that they can read: then the
    value must be decoded at once."""
    decoding, turn = _Reader(data, unpack, code, build).value(0), Turn()
    while True:
        try:
            next(decoding)
        except StopIteration as end:
            return end.value[0]
        if turn.is_over:
            await turn.pause()


_LIST, _DICT, _EXTENSION = "list", "dict", "extension"
_SIZES: Final = {0xC0: 1, 0xC2: 1, 0xC3: 1, 0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3,
                 0xD2: 5, 0xD3: 9, 0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18}  # fmt: skip
"""Types of a fixed size, which is that of the part in bytes."""
_LENGTHS: Final = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1), 0xD9: (1, 0),
                   0xDA: (2, 0), 0xDB: (4, 0)}  # fmt: skip
"""Types that are followed by their length, with the bytes of the length and the bytes between it and the content."""
_CONTAINERS: Final = {0xDC: (2, _LIST), 0xDD: (4, _LIST), 0xDE: (2, _DICT), 0xDF: (4, _DICT)}
"""Types that are followed by the number of their members, with the bytes of the number."""
_KEY_AND_VALUE: Final = 2
_OPTION: Final = ormsgpack.OPT_NON_STR_KEYS
_EXTENSIONS: Final = {0xC7: 1, 0xC8: 2, 0xC9: 4}
"""Extensions, with the bytes of the length."""


class _Reader:
    """Decodes parts of `data`. Positions are indexes in it."""

    def __init__(self, data: bytes, unpack: Callable[[bytes], Any], code: int, build: Callable[[Any], Any]) -> None:
        self._data, self._unpack, self._code, self._build = data, unpack, code, build

    def value(self, at: int) -> Decoding:
        """Decodes the value at a position. Returns it and its end."""
        kind, count, inside = _head(self._data, at)
        if kind is _LIST:
            return (yield from self._list(inside, count))
        if kind is _DICT:
            return (yield from self._dict(inside, count))
        if kind is _EXTENSION and self._data[inside - 1] == self._code:
            content, end = yield from self.value(inside)
            if end != inside + count:
                raise DamagedMessage
            return self._build(content), end
        end = self._end_of(at, 1)
        assert end is not None, "a scalar is one part"
        return self._unpack(self._data[at:end]), end

    def _list(self, at: int, left: int) -> Decoding:
        found: list[Any] = []
        count = 1
        while left:
            count = min(count, left)
            group = self._group(at, _list_head(count), count)
            if group is not None:
                found += group[0]
                left, at, count = left - count, group[1], _next_count(count, group[1] - at)
                yield
            elif count > 1:
                count = 1
            else:
                member, at = yield from self.value(at)
                found.append(member)
                left -= 1
        return found, at

    def _dict(self, at: int, left: int) -> Decoding:
        found: dict[Any, Any] = {}
        count = 1
        while left:
            count = min(count, left)
            group = self._group(at, _dict_head(count), 2 * count)
            if group is not None:
                found.update(group[0])
                left, at, count = left - count, group[1], _next_count(count, group[1] - at)
                yield
            elif count > 1:
                count = 1
            else:
                key, value_at = self._key(at)
                found[key], at = yield from self.value(value_at)
                left -= 1
        return found, at

    def _key(self, at: int) -> tuple[Any, int]:
        """A key, which is decoded otherwise than a value (a list is a tuple), and its end."""
        end = self._end_of(at, 1)
        if end is None:
            raise DamagedMessage
        (key,) = self._unpack(_dict_head(1) + self._data[at:end] + b"\xc0")
        return key, end

    def _group(self, at: int, head: bytes, values: int) -> tuple[Any, int] | None:
        """A container of so many values, of which `head` is the head, and the end of the last one. None if they should
        not be decoded together, or one alone be decoded in slices."""
        if values > _KEY_AND_VALUE and (encoded_again := self._encoded_again(at, head)) is not None:
            return encoded_again
        end = self._end_of_group(at, values)
        return None if end is None else (self._unpack(head + self._data[at:end]), end)

    def _encoded_again(self, at: int, head: bytes) -> tuple[Any, int] | None:
        """The same, if this encoder has written these values, and they are not longer than two slices."""
        extensions: list[int] = []

        def keep(code: int, content: bytes) -> Any:
            extensions.append(code)
            return ormsgpack.Ext(code, content)

        group = head + self._data[at : at + 2 * SLICE_BYTES]
        try:
            found = ormsgpack.unpackb(group, ext_hook=keep, option=_OPTION)
            encoded = ormsgpack.packb(found, option=_OPTION)
        except (ValueError, TypeError):  # they are longer, or have keys that are extensions
            return None
        inside = _head(encoded, 0)[2]
        if not group.startswith(encoded[inside:], len(head)):
            return None
        end = at + len(encoded) - inside
        return (self._unpack(head + self._data[at:end]) if extensions else found), end

    # the form of the bytes

    def _end_of_group(self, at: int, values: int) -> int | None:
        """The end of so many values. None if they should not be decoded together, or one alone be decoded in slices."""
        end = self._end_of(at, values)
        is_large = end is not None and end - at >= LARGE_BYTES
        return None if is_large and (values > 1 or _head(self._data, at)[0] is not None) else end

    def _end_of(self, at: int, values: int) -> int | None:
        """The end of so many values. None if they have more than `MOST_PARTS`. Raises `DamagedMessage`."""
        data, left = self._data, values
        try:
            for _ in range(MOST_PARTS):
                if not left:
                    break
                left -= 1
                kind = data[at]
                if kind < 0x80 or kind >= 0xE0:
                    at += 1
                elif kind >= 0xC0:
                    if kind in _SIZES:
                        at += _SIZES[kind]
                    elif kind in _LENGTHS:
                        width, between = _LENGTHS[kind]
                        at += 1 + width + between + int.from_bytes(data[at + 1 : at + 1 + width])
                    else:
                        width, container = _CONTAINERS[kind]
                        members = int.from_bytes(data[at + 1 : at + 1 + width])
                        left += members if container is _LIST else 2 * members
                        at += 1 + width
                elif kind >= 0xA0:
                    at += kind - 0x9F
                else:
                    left += kind - 0x90 if kind >= 0x90 else 2 * (kind - 0x80)
                    at += 1
        except LookupError:
            raise DamagedMessage from None
        if left:
            return None
        if at > len(data):
            raise DamagedMessage
        return at


def _head(data: bytes, at: int) -> tuple[str | None, int, int]:
    """What may be divided (None for a scalar), the number of its members or bytes, and where they begin."""
    kind = data[at] if at < len(data) else -1
    if 0x80 <= kind < 0xA0:
        return (_DICT, kind - 0x80, at + 1) if kind < 0x90 else (_LIST, kind - 0x90, at + 1)
    if kind in _CONTAINERS:
        width, divided = _CONTAINERS[kind]
    elif kind in _EXTENSIONS:
        width, divided = _EXTENSIONS[kind], _EXTENSION
    else:
        return None, 0, at
    inside = at + 1 + width + (divided is _EXTENSION)
    if inside > len(data):
        raise DamagedMessage
    return divided, int.from_bytes(data[at + 1 : at + 1 + width]), inside


def _next_count(count: int, size: int) -> int:
    """The number of members of the next group, when `count` members had so many bytes."""
    return max(1, min(2 * count, SLICE_BYTES * count // size, MOST_PARTS // 4))


def _list_head(count: int) -> bytes:
    return b"\xdd" + count.to_bytes(4)


def _dict_head(count: int) -> bytes:
    return b"\xdf" + count.to_bytes(4)
